"""A pass: every RoiAlign says in its own attributes what it means, as an opset says it."""

from __future__ import annotations

from dataclasses import replace

import onnx
import onnx_ir as ir

from onnx_roialign.definition.onnx_form import nearest_mode
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, PRESETS
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.reading.change import largest_change
from onnx_roialign.graph.reading.sites import Site, sites
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.writing.private import as_private, import_private
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.nodes import is_roi_align

__all__ = ["MakeExplicit"]

_MODE = "coordinate_transformation_mode"
_BFLOAT16_OPSET = 22


class MakeExplicit(ir.passes.InPlacePass):
    """Writes every RoiAlign for an opset, so that it means there what it means now.

    1. From opset 16 on it gets coordinate_transformation_mode; below, it must not have it, and means output_half_pixel.
    2. A RoiAlign that the opset cannot say (half_pixel below 16, bfloat16 below 22) becomes the private op where that
       is allowed, with the same inputs, else an error that says by how much its answers would change.
    3. Without a target every node is written for the opset that it is in, and below 16, where no attribute says what it
       means, it becomes the private op.

    Args:
        target: the opset that the nodes will be in.
        known: element types, where known.
        private: whether the private op may be used.
        allow: how the caller is asked to allow it, for the error.
    """

    def __init__(self, target: int | None, known: Known, *, private: bool, allow: str = "private_op=True") -> None:
        self._target = target
        self._known = known
        self._private = private
        self._allow = allow

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules; modified tells whether any node changed."""
        self._may_be_bfloat16 = _mentions_bfloat16(model, self._known)
        roi_aligns = [site for site in sites(model) if is_roi_align(site.node)]
        modified = [self._write(site) for site in roi_aligns]
        import_private(model)
        return ir.passes.PassResult(model, any(modified))

    def _write(self, site: Site) -> bool:
        problem = next(iter(site.problems), None)
        if problem is not None:
            raise RoiAlignError(problem.message).in_node(site.name)
        assert site.opset is not None  # or it would be a problem
        target = site.opset if self._target is None else self._target
        if self._target is None and target < HALF_PIXEL_OPSET:
            as_private(site)
            return True
        refusal = self._refusal(site, site.opset, target)
        if refusal is not None:
            if not self._private:
                raise RoiAlignError(refusal).in_node(site.name)
            as_private(site)
            return True
        return _set_mode(site, target)

    def _refusal(self, site: Site, current: int, target: int) -> str | None:
        """Why the target cannot say this node, and what would change; None where it can."""
        attributes, meaning = site.attributes, site.attributes.semantics
        way_out = f"pass {self._allow} to say it with {private_op.DOMAIN}::{private_op.OP_TYPE}"
        if target < HALF_PIXEL_OPSET and meaning == PRESETS["onnx_half_pixel"]:
            legacy = PRESETS["onnx_output_half_pixel"]
            lost = largest_change(attributes, legacy)
            emulated = largest_change(attributes, replace(legacy, offset=meaning.offset))
            return (
                f"opset must be at least {HALF_PIXEL_OPSET} for half_pixel, got target {target}: as "
                f"output_half_pixel its answers would change by up to {lost:.2g} for features in [0, 1), and with half "
                f"a pixel taken off the boxes before, those of RoIs under 1 x 1 pixel by up to {emulated:.2g}; "
                f"{way_out}"
            )
        if target < _BFLOAT16_OPSET <= current and self._is_bfloat16(site):
            return (
                f"opset must be at least {_BFLOAT16_OPSET} for a RoiAlign of bfloat16, got target {target}; {way_out}"
            )
        return None

    def _is_bfloat16(self, site: Site) -> bool:
        """Whether a node is of bfloat16, or may be: of a function's values the types show where it is called."""
        kinds = {self._known.type(value) for value in (*site.node.inputs[:2], *site.node.outputs)}
        return onnx.TensorProto.BFLOAT16 in kinds or (self._may_be_bfloat16 and site.in_function)


def _mentions_bfloat16(model: ir.Model, known: Known) -> bool:
    """Whether a value of the graph is of bfloat16, or something in a function makes one."""
    if onnx.TensorProto.BFLOAT16 in known.kinds:
        return True
    attributes = (
        attribute
        for function in model.functions.values()
        for node in ir.traversal.RecursiveGraphIterator(function)
        for attribute in node.attributes.values()
        if not attribute.is_ref()
    )
    return any(
        (one.type == ir.AttributeType.INT and one.name in ("to", "dtype") and one.value == ir.DataType.BFLOAT16)
        or (one.type == ir.AttributeType.TENSOR and one.value.dtype == ir.DataType.BFLOAT16)
        for one in attributes
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
