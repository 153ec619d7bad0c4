"""Whether spatial_scale fits the feature map: its size, beside that of the image, says what its stride is."""

from __future__ import annotations

import onnx_ir as ir

from onnx_roialign.graph.known import Known
from onnx_roialign.graph.sites import Site
from onnx_roialign.graph.values import ancestors

__all__ = ["extent", "misfit"]

# Padding, and strides that do not divide the image, make a map this much larger or smaller than image * scale: in
# pixels of the map, and as a part of its size. A wrong scale is off by a factor of 2 at least.
_SLACK_PIXELS = 2.0
_SLACK_PART = 0.25

Size = tuple[int, int]


def misfit(site: Site, known: Known) -> tuple[Size, Size] | None:
    """The sizes (height, width) of the image and of the map that spatial_scale does not fit; None where it may fit.

    The image is what the first convolutions before the map read, or an input of the graph before them: a network that
    resizes or cuts its input has its boxes in pixels of either. Where none of their sizes is known, anything fits.
    """
    feature = _size(site.node.inputs[0], known)
    if feature is None:
        return None
    images = _images(site.node.inputs[0], known)
    scale = site.attributes.spatial_scale
    if not images or any(_fits(image, feature, scale) for image in images):
        return None
    return images[0], feature


def extent(site: Site, known: Known) -> float | None:
    """The larger side of the image in pixels, as the map's size and spatial_scale say it; None where not known."""
    feature = _size(site.node.inputs[0] if site.node.inputs else None, known)
    return None if feature is None else max(feature) / site.attributes.spatial_scale


def _fits(image: Size, feature: Size, scale: float) -> bool:
    return all(
        abs(length - full * scale) <= max(_SLACK_PIXELS, _SLACK_PART * full * scale)
        for full, length in zip(image, feature, strict=True)
    )


def _size(value: ir.Value | None, known: Known) -> Size | None:
    """Height and width of (N, C, H, W) or (C, H, W)."""
    shape = () if value is None or value.name is None else known.shapes.get(value.name, ())
    if len(shape) not in (3, 4):
        return None
    height, width = shape[-2:]
    return (height, width) if isinstance(height, int) and isinstance(width, int) and height and width else None


def _images(value: ir.Value | None, known: Known) -> list[Size]:
    """Sizes of what the first convolutions read, then of the graph's inputs; empty where one of the former is open."""
    before = list(ancestors(value))
    convolutions = [node for node in before if node.op_type == "Conv" and node.domain == ""]
    first = [node for node in convolutions if not any(one.op_type == "Conv" for one in ancestors(node.inputs[0]))]
    sizes = [_size(node.inputs[0], known) for node in first]
    if not sizes or None in sizes:
        return []
    inputs = {one for node in before for one in node.inputs if one is not None and one.is_graph_input()}
    sizes += [_size(one, known) for one in sorted(inputs, key=lambda one: one.name or "")]
    return list(dict.fromkeys(size for size in sizes if size is not None))
