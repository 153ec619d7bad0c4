"""A pass that removes or corrects attributes which ONNX does not have or whose values it forbids."""

from __future__ import annotations

import onnx_ir as ir

from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET
from onnx_roialign.graph.reading.sites import Site, sites
from onnx_roialign.ops.nodes import MODE, STANDARD_ATTRIBUTES

__all__ = ["TidyAttributes"]


class TidyAttributes(ir.passes.InPlacePass):
    """Corrects the attributes of every RoiAlign so that all runtimes load it and read it alike.

    1. An attribute that RoiAlign does not have is removed; no runtime reads it.
    2. coordinate_transformation_mode is removed if its value is invalid, and below opset 16, which does not have it.
       `StateMeaning` then writes the meaning of the source.
    3. A negative sampling_ratio becomes 0: frameworks write -1 for adaptive, ONNX writes 0.
    4. A missing sampling_ratio is written as 0, ONNX's default, because some runtimes have another default.

    The private operators are not changed.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules; `modified` of the result is whether any node changed."""
        modified = [_tidy(site) for site in sites(model) if not site.private]
        return ir.passes.PassResult(model, any(modified))


def _tidy(site: Site) -> bool:
    attributes = site.node.attributes
    removed = [name for name in attributes if name not in STANDARD_ATTRIBUTES]
    mode = attributes.get(MODE)
    if mode is not None and (
        (site.opset is not None and site.opset < HALF_PIXEL_OPSET)
        or mode.value not in ("half_pixel", "output_half_pixel")
    ):
        removed.append(MODE)
    for name in removed:
        del attributes[name]
    ratio = attributes.get("sampling_ratio")
    adaptive = ratio is None or (ratio.type == ir.AttributeType.INT and ratio.value < 0)
    if adaptive:
        attributes.add(ir.AttrInt64("sampling_ratio", 0))
    return bool(removed) or adaptive
