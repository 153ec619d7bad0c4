"""Checks spatial_scale: it must agree with the sizes of the feature map and of the image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from onnx_roialign.graph.reading.sites import Site
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.reading.values import settle

__all__ = ["Strides", "extent"]

# Padding, and strides that do not divide the image, make the map larger or smaller than image * scale by up to this
# many pixels of the map, or this part of its size. A wrong scale is wrong by a factor of at least 2.
_SLACK_PIXELS = 2.0
_SLACK_PART = 0.25

# A map for which more image sizes are possible is not checked: this bounds the memory per value.
_MOST_SIZES = 16

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Origin:
    """The convolutions and graph inputs from which a value is computed.

    Attributes:
        read: the sizes of the inputs of the first convolutions before it; None for an unknown one.
        inputs: the inputs of the graph before it, by size.
        convolved: whether there is a convolution before it.
    """

    read: tuple[Size | None, ...] = ()
    inputs: tuple[Size, ...] = ()
    convolved: bool = False


class Strides:
    """Compares the spatial_scale of RoiAligns with the sizes of feature maps and images.

    The image is the input of the first convolutions before the map, or an input of the graph before them: the boxes of
    a network that resizes or crops its input can be in pixels of either. If none of the sizes is known, any scale fits.
    """

    def __init__(self, known: Known) -> None:
        self._known = known
        self._origins: dict[ir.Value, _Origin] = {}

    def misfit(self, site: Site) -> tuple[Size, Size] | None:
        """Returns the sizes (height, width) of image and map if spatial_scale does not agree with them; else None."""
        X = site.input("X")
        feature = _size(X, self._known)
        if X is None or feature is None:
            return None
        images = self._images(X)
        scale = site.attributes.spatial_scale
        if not images or any(_fits(image, feature, scale) for image in images):
            return None
        return images[0], feature

    def _images(self, value: ir.Value) -> list[Size]:
        """Returns the sizes of the first convolutions' inputs, then of the graph's inputs; empty if one is unknown."""
        origin = settle(self._origins, value, _inputs, self._decide)
        read = [size for size in origin.read if size is not None]
        if not read or len(read) < len(origin.read) or len(read) + len(origin.inputs) > _MOST_SIZES:
            return []
        return list(dict.fromkeys((*read, *origin.inputs)))

    def _decide(self, value: ir.Value) -> _Origin:
        node = value.producer()
        if node is None:
            size = _size(value, self._known)
            return _Origin(inputs=() if size is None or not value.is_graph_input() else (size,))
        before = [self._origins.get(source, _Origin()) for source in _inputs(value)]
        convolved = any(value.convolved for value in before)
        read = _few(size for value in before for size in value.read)
        inputs = _few(size for value in before for size in value.inputs)
        if node.op_type != "Conv" or node.domain != "":
            return _Origin(read, inputs, convolved)
        data = node.inputs[0] if node.inputs else None
        if data is None or not self._origins.get(data, _Origin()).convolved:
            read = _few((*read, _size(data, self._known)))
        return _Origin(read, inputs, True)


def _few(sizes: Iterable[Any]) -> tuple[Any, ...]:
    """Returns each size once; one more than the limit if there are more."""
    return tuple(dict.fromkeys(sizes))[: _MOST_SIZES + 1]


def _inputs(value: ir.Value) -> list[ir.Value]:
    node = value.producer()
    return [] if node is None else [value for value in node.inputs if value is not None]


def extent(site: Site, known: Known) -> float | None:
    """Returns the larger side of the image in pixels, from the map's size and spatial_scale; None if unknown."""
    feature = _size(site.input("X"), known)
    return None if feature is None else max(feature) / site.attributes.spatial_scale


def _fits(image: Size, feature: Size, scale: float) -> bool:
    return all(
        abs(length - full * scale) <= max(_SLACK_PIXELS, _SLACK_PART * full * scale)
        for full, length in zip(image, feature, strict=True)
    )


def _size(value: ir.Value | None, known: Known) -> Size | None:
    """Returns height and width of (N, C, H, W) or (C, H, W)."""
    shape = known.shape(value) or ()
    if len(shape) not in (3, 4):
        return None
    height, width = shape[-2:]
    return (height, width) if isinstance(height, int) and isinstance(width, int) and height and width else None
