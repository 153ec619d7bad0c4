"""Comparing what a RoiAlign means with what it should, and saying a meaning in ONNX's own attributes."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.onnx_form import nearest_mode, relevant
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, PRESETS, Semantics
from onnx_roialign.graph.reading.sites import Shift, Site

__all__ = ["OnnxForm", "differences", "express_in_onnx", "source_names", "without_the_sources_shift"]

_CLOSE = 1e-5  # pixels: below what float32 can tell apart in coordinates of a hundred pixels


@dataclass(frozen=True, slots=True)
class OnnxForm:
    """A meaning in the words of ONNX's own RoiAlign.

    Attributes:
        mode: coordinate_transformation_mode.
        start: pixels of the image to add to x1 and y1 before the node.
        end: pixels of the image to add to x2 and y2 before the node.
    """

    mode: str
    start: float
    end: float


def differences(attributes: Attributes, wanted: Semantics) -> tuple[str, ...]:
    """The fields in which a node with these attributes answers otherwise than wanted."""
    has, wants = relevant(attributes), relevant(replace(attributes, semantics=wanted))
    names = (field.name for field in fields(Semantics))
    return tuple(name for name in names if not _equal(getattr(has, name), getattr(wants, name)))


def without_the_sources_shift(site: Site, wanted: Semantics) -> Site:
    """The site, its shift only where it can belong to the meaning.

    Boxes moved by half a pixel before a node that means what a source without an offset means: the source's own call
    was on moved boxes (a common way round a runtime without half_pixel), and the exporter wrote what it saw.
    """
    moved = site.shift.start != 0.0 and site.shift.start == site.shift.end
    if moved and wanted.offset == 0.0 and not set(differences(site.attributes, wanted)) - {"empty"}:
        return replace(site, shift=Shift(0.0, 0.0, site.input("rois")))
    return site


def _equal(a: object, b: object) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=0.0, abs_tol=_CLOSE)
    return a == b


def express_in_onnx(attributes: Attributes, opset: int, *, exact: bool = False) -> OnnxForm | None:
    """How ONNX's RoiAlign of an opset says these attributes with their semantics; None where it cannot.

    ONNX has two meanings, output_half_pixel (offset 0, at least 1 x 1) at every opset, and from opset 16 half_pixel
    (offset 0.5, no minimum). Any other offset and end shift is the same RoI moved, so an addition before the node says
    it, up to its rounding; a minimum size, an adaptive rule or a border cannot be said otherwise.

    Args:
        attributes: with the semantics to say.
        opset: version of ONNX's own operators.
        exact: whether NaN in bins without samples, where ONNX answers 0, must be kept.
    """
    wanted = relevant(attributes)
    if not exact:
        wanted = replace(wanted, empty="zero")
    mode = nearest_mode(wanted)
    if mode == "half_pixel" and opset < HALF_PIXEL_OPSET:
        return None
    base = PRESETS[f"onnx_{mode}"]
    if differences(replace(attributes, semantics=replace(wanted, offset=base.offset, end_shift=0.0)), base):
        return None
    start = (base.offset - wanted.offset) / attributes.spatial_scale
    return OnnxForm(mode, start, start + wanted.end_shift)


def source_names(meaning: Semantics) -> tuple[str, ...]:
    """The presets that mean this."""
    return tuple(name for name, preset in PRESETS.items() if preset == meaning)
