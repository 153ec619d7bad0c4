"""A pass: what onnx's version converter must not see is put into a domain that it leaves alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import onnx
import onnx_ir as ir

from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.passes.state_meaning import import_private, write_private
from onnx_roialign.graph.probe import largest_change
from onnx_roialign.graph.same_operator import is_same
from onnx_roialign.graph.sites import Site, is_standard, sites
from onnx_roialign.semantics import HALF_PIXEL_OPSET, PRESETS

__all__ = ["HIDDEN", "HideNodes"]

HIDDEN = "onnx_roialign.hidden"
_BFLOAT16_OPSET = 22
_MODE = "coordinate_transformation_mode"


class HideNodes(ir.passes.InPlacePass):
    """Prepares a model for onnx's version converter.

    1. Every RoiAlign gets coordinate_transformation_mode as it means it now, and the domain `HIDDEN`.
    2. A RoiAlign that the target cannot say (half_pixel below opset 16, bfloat16 below 22) becomes the private op
       where that is allowed, else an error that says by how much its answers would change.
    3. On the way down, every other node that means the same in the older opset gets the domain `HIDDEN` too, as the
       converter knows no way down for most operators, even where nothing changes.

    Args:
        target: the opset to convert to.
        types: element type by value name, where known.
        private: whether the private op may be used.
    """

    def __init__(self, target: int, types: Mapping[str, int], *, private: bool) -> None:
        self._target = target
        self._types = types
        self._private = private

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules; modified tells whether any node changed."""
        roi_aligns = [site for site in sites(model) if is_standard(site.node)]
        for site in roi_aligns:
            problem = next(iter(site.problems), None)
            if problem is not None:
                raise RoiAlignError(problem.message).in_node(site.name)
            refusal = self._refusal(site)
            if refusal is None:
                meaning = site.attributes.semantics
                mode = "half_pixel" if meaning == PRESETS["onnx_half_pixel"] else "output_half_pixel"
                site.node.attributes.add(ir.AttrString(_MODE, mode))
                site.node.domain = HIDDEN
            elif self._private:
                write_private(site, site.effective.semantics)
            else:
                raise RoiAlignError(refusal).in_node(site.name)
        hidden = self._hide_same(model.graph)
        for function in model.functions.values():
            function.opset_imports.setdefault(HIDDEN, 1)
        model.graph.opset_imports.setdefault(HIDDEN, 1)
        import_private(model)
        return ir.passes.PassResult(model, bool(roi_aligns) or hidden)

    def _refusal(self, site: Site) -> str | None:
        """Why the target cannot say this node, and what would change; None where it can."""
        attributes, meaning = site.attributes, site.attributes.semantics
        if self._target < HALF_PIXEL_OPSET and meaning == PRESETS["onnx_half_pixel"]:
            legacy = PRESETS["onnx_output_half_pixel"]
            lost = largest_change(attributes, legacy)
            emulated = largest_change(attributes, replace(legacy, offset=meaning.offset))
            return (
                f"opset must be at least {HALF_PIXEL_OPSET} for half_pixel, got target {self._target}: as "
                f"output_half_pixel its answers would change by up to {lost:.2g} for features in [0, 1), and with half "
                f"a pixel taken off the boxes before, those of RoIs under 1 x 1 pixel by up to {emulated:.2g}; pass "
                "private_op=True to say it with onnx_roialign::AnyRoiAlign"
            )
        names = [value.name for value in (*site.node.inputs[:2], *site.node.outputs) if value is not None]
        bfloat16 = any(self._types.get(name or "") == onnx.TensorProto.BFLOAT16 for name in names)
        if self._target < _BFLOAT16_OPSET and bfloat16:
            return (
                f"opset must be at least {_BFLOAT16_OPSET} for a RoiAlign of bfloat16, got target {self._target}; pass "
                "private_op=True to say it with onnx_roialign::AnyRoiAlign"
            )
        return None

    def _hide_same(self, graph: ir.Graph) -> bool:
        current = graph.opset_imports[""]
        if self._target >= current:
            return False
        same = [
            node
            for node in ir.traversal.RecursiveGraphIterator(graph)
            if node.domain == "" and is_same(node, current, self._target, self._types)
        ]
        for node in same:
            node.domain = HIDDEN
        return bool(same)
