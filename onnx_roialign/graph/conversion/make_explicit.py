"""A pass that writes the meaning of every RoiAlign into its attributes, for a given opset."""

from __future__ import annotations

from dataclasses import replace

import onnx
import onnx_ir as ir

from onnx_roialign.definition.onnx_form import nearest_mode
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, PRESETS
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.reading.change import largest_change
from onnx_roialign.graph.reading.sites import Site, sites
from onnx_roialign.graph.reading.value_types import Known, every_node
from onnx_roialign.graph.writing.private import as_private, import_private
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.nodes import is_roi_align

__all__ = ["MakeExplicit"]

_MODE = "coordinate_transformation_mode"
_BFLOAT16_OPSET = 22


class MakeExplicit(ir.passes.InPlacePass):
    """Writes every RoiAlign so that it has the same meaning in the target opset.

    1. From opset 16 on, coordinate_transformation_mode is written. Below opset 16 the attribute does not exist, and
       RoiAlign means output_half_pixel.
    2. A RoiAlign that the target cannot express (half_pixel below 16, bfloat16 below 22) becomes the private operator
       with the same inputs, if that is allowed; else the pass raises an error with the change of the results.
    3. Without a target, every node is written for its own opset; below opset 16 it becomes the private operator.

    Args:
        target: the opset to write for; None: the opset of each node.
        known: known element types.
        private: whether the private operator may be used.
        allow: the option that allows it, for the message.
    """

    def __init__(self, target: int | None, known: Known, *, private: bool, allow: str = "private_op=True") -> None:
        self._target = target
        self._known = known
        self._private = private
        self._allow = allow

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules; `modified` of the result is whether any node changed."""
        self._may_be_bfloat16 = _mentions_bfloat16(model, self._known)
        roi_aligns = [site for site in sites(model) if is_roi_align(site.node)]
        modified = [self._write(site) for site in roi_aligns]
        import_private(model)
        return ir.passes.PassResult(model, any(modified))

    def _write(self, site: Site) -> bool:
        problem = next(iter(site.problems), None)
        if problem is not None:
            raise problem.error.in_node(site.name)
        assert site.opset is not None  # a missing opset is one of the problems
        target = site.opset if self._target is None else self._target
        if self._target is None and target < HALF_PIXEL_OPSET:
            as_private(site)
            return True
        refusal = self._refusal(site, site.opset, target)
        if refusal is not None:
            if not self._private:
                raise refusal.in_node(site.name)
            as_private(site)
            return True
        return _set_mode(site, target)

    def _refusal(self, site: Site, current: int, target: int) -> RoiAlignError | None:
        """Returns why the target cannot express this node, and what would change; None if it can."""
        attributes, meaning = site.attributes, site.attributes.semantics
        way_out = f"pass {self._allow} to write it as {private_op.DOMAIN}::{private_op.OP_TYPE}"
        if target < HALF_PIXEL_OPSET and meaning == PRESETS["onnx_half_pixel"]:
            legacy = PRESETS["onnx_output_half_pixel"]
            lost = largest_change(attributes, legacy)
            emulated = largest_change(attributes, replace(legacy, offset=meaning.offset))
            return RoiAlignError(
                "opset",
                "unsupported",
                f"must be at least {HALF_PIXEL_OPSET} for half_pixel, got target {target}: as "
                f"output_half_pixel its results would change by up to {lost:.2g} for features in [0, 1), and with half "
                f"a pixel subtracted from the boxes before, those of RoIs under 1 x 1 pixel by up to {emulated:.2g}; "
                f"{way_out}",
            )
        if target < _BFLOAT16_OPSET <= current and self._is_bfloat16(site):
            return RoiAlignError(
                "opset",
                "unsupported",
                f"must be at least {_BFLOAT16_OPSET} for a RoiAlign of bfloat16, got target {target}; {way_out}",
            )
        return None

    def _is_bfloat16(self, site: Site) -> bool:
        """Whether a node has or may have the type bfloat16: types of values in functions depend on the call."""
        kinds = {self._known.type(value) for value in (*site.node.inputs[:2], *site.node.outputs)}
        return onnx.TensorProto.BFLOAT16 in kinds or (self._may_be_bfloat16 and site.in_function)


def _mentions_bfloat16(model: ir.Model, known: Known) -> bool:
    """Whether a value of the graph is bfloat16, or a node in a function can create such a value."""
    bfloat16 = ir.DataType.BFLOAT16
    if bfloat16 in known.kinds:
        return True
    attributes = (
        attribute
        for function in model.functions.values()
        for node in every_node(function)
        for attribute in node.attributes.values()
        if not attribute.is_ref()
    )
    return any(
        (attribute.type == ir.AttributeType.INT and attribute.name in ("to", "dtype") and attribute.value == bfloat16)
        or (attribute.type == ir.AttributeType.TENSOR and attribute.value.dtype == bfloat16)
        for attribute in attributes
    )


def _set_mode(site: Site, target: int) -> bool:
    attributes = site.node.attributes
    present = _MODE in attributes
    if target < HALF_PIXEL_OPSET:
        if present:
            del attributes[_MODE]
        return present
    if not present:
        attributes.add(ir.AttrString(_MODE, nearest_mode(site.attributes.semantics)))
    return not present
