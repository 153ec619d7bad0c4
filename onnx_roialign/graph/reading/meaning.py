"""Compares the meaning of a RoiAlign with the wanted one, and expresses a meaning in ONNX's own attributes."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.onnx_form import nearest_mode, relevant
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, PRESETS, Semantics
from onnx_roialign.graph.reading.sites import Shift, Site

__all__ = ["OnnxForm", "differences", "express_in_onnx", "source_names", "without_the_sources_shift"]

_CLOSE = 1e-5  # pixels; below the precision of float32 for coordinates of a hundred pixels


@dataclass(frozen=True, slots=True)
class OnnxForm:
    """A meaning expressed with ONNX's RoiAlign and an addition before it.

    Attributes:
        mode: coordinate_transformation_mode.
        start: pixels of the image to add to x1 and y1 before the node.
        end: pixels of the image to add to x2 and y2 before the node.
    """

    mode: str
    start: float
    end: float


def differences(attributes: Attributes, wanted: Semantics) -> tuple[str, ...]:
    """Returns the fields in which a node with these attributes differs from the wanted meaning, with an effect."""
    has, wants = relevant(attributes), relevant(replace(attributes, semantics=wanted))
    names = (field.name for field in fields(Semantics))
    return tuple(name for name in names if not _equal(getattr(has, name), getattr(wants, name)))


def without_the_sources_shift(site: Site, wanted: Semantics) -> Site:
    """Returns the site without a shift of the boxes that is part of the source itself.

    If the node alone has the meaning of a source without an offset, a shift by half a pixel before it is not an
    emulation by the exporter: the source already moved the boxes, a common workaround for frameworks without
    half_pixel.
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
    """Returns how ONNX's RoiAlign of an opset expresses these attributes and their semantics; None if it cannot.

    ONNX has two meanings: output_half_pixel (offset 0, minimum size 1 x 1) at every opset, and half_pixel (offset 0.5,
    no minimum size) from opset 16 on. Another offset or end shift moves the RoI, which an addition before the node can
    do, up to its rounding. ONNX cannot express another minimum size, adaptive rule or border.

    Args:
        attributes: attributes with the semantics to express.
        opset: version of ONNX's own operators.
        exact: whether the NaN of bins without samples must be kept, for which ONNX computes 0.
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
    """Returns the names of the presets with this meaning."""
    return tuple(name for name, preset in PRESETS.items() if preset == meaning)
