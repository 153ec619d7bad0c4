"""RoiAlign in plain NumPy with one method per step, which mutants replace. Imports nothing of the package."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["HALF_PIXEL", "OUTPUT_HALF_PIXEL", "Axis", "Node", "PlainRoiAlign"]

Array = NDArray[Any]

# The fields of Semantics in ONNX's two coordinate modes.
HALF_PIXEL: Mapping[str, Any] = {
    "offset": 0.5,
    "min_size": None,
    "start_shift": 0.0,
    "end_shift": 0.0,
    "adaptive": "ceil",
    "empty": "zero",
    "max_rule": "corners",
    "max_start": None,
    "border": "inclusive",
}
OUTPUT_HALF_PIXEL: Mapping[str, Any] = {**HALF_PIXEL, "offset": 0.0, "min_size": 1.0}


@dataclass(slots=True)
class Node:
    """A RoiAlign node: its attributes, with defaults filled in, and its fields of Semantics."""

    mode: str
    output_height: int
    output_width: int
    sampling_ratio: int
    spatial_scale: float
    meaning: dict[str, Any]


@dataclass(slots=True)
class Axis:
    """One RoI along one axis.

    Attributes:
        name: "y" or "x".
        first: y1 or x1, in pixels of the image.
        last: y2 or x2.
        length: H or W.
        bins: output_height or output_width.
        node: the node.
        real: the type of coordinates.
        other: the other axis.
        start: `first` in pixels of the feature map.
        end: `last` in pixels of the feature map.
        size: size of the RoI in pixels of the feature map.
        step: size of a bin.
        count: samples per bin.
    """

    name: str
    first: Any
    last: Any
    length: int
    bins: int
    node: Node
    real: Any
    other: Axis = field(init=False, repr=False)
    start: Any = 0
    end: Any = 0
    size: Any = 0
    step: Any = 0
    count: int = 0


class PlainRoiAlign:
    """RoiAlign; a mutant is a subclass that replaces a step."""

    def run(self, X: Array, rois: Array, batch_indices: Array, opset: int, attributes: Mapping[str, Any]) -> Array:
        """Returns Y."""
        node = self.node(opset, attributes)
        real = self.real(X.dtype)
        Y = np.zeros((len(rois), X.shape[1], node.output_height, node.output_width), real)
        with np.errstate(all="ignore"):
            for k in range(len(rois)):
                y, x = self.axes(self.box(rois, k), X.shape[2:], node, real)
                plane = self.plane(X, self.image(k, batch_indices, len(X))).astype(real)
                Y[k] = self.pool(plane, y, x) if y.count > 0 and x.count > 0 else self.without_samples(y, x)
            return self.finish(Y, X)

    def node(self, opset: int, attributes: Mapping[str, Any]) -> Node:
        """Returns the attributes with their defaults."""
        mode = attributes.get("coordinate_transformation_mode", self.default_mode(opset))
        return Node(
            mode=attributes.get("mode", "avg"),
            output_height=attributes.get("output_height", 1),
            output_width=attributes.get("output_width", 1),
            sampling_ratio=attributes.get("sampling_ratio", 0),
            spatial_scale=attributes.get("spatial_scale", 1.0),
            meaning=dict(HALF_PIXEL if mode == "half_pixel" else OUTPUT_HALF_PIXEL),
        )

    def default_mode(self, opset: int) -> str:
        """Returns the coordinate mode of a node without the attribute."""
        return "half_pixel" if opset >= 16 else "output_half_pixel"

    def real(self, dtype: np.dtype[Any]) -> Any:
        """Returns the type to compute in."""
        return np.float64 if dtype == np.float64 else np.float32

    def box(self, rois: Array, k: int) -> Array:
        """Returns x1, y1, x2, y2 of RoI k."""
        row: Array = rois[k]
        return row

    def image(self, k: int, batch_indices: Array, images: int) -> int:
        """Returns the image of RoI k."""
        return int(batch_indices[k])

    def plane(self, X: Array, image: int) -> Array:
        """Returns (C, H, W) of an image."""
        features: Array = X[image]
        return features

    def axes(self, box: Array, shape: tuple[int, ...], node: Node, real: Any) -> tuple[Axis, Axis]:
        """Returns y and x of a RoI, filled in."""
        x1, y1, x2, y2 = (real(value) for value in box)
        y = Axis("y", y1, y2, shape[0], node.output_height, node, real)
        x = Axis("x", x1, x2, shape[1], node.output_width, node, real)
        y.other, x.other = x, y
        for axis in (y, x):
            axis.start = self.scaled(axis, axis.first + real(node.meaning["start_shift"]))
            axis.end = self.scaled(axis, axis.last + real(node.meaning["end_shift"]))
        for axis in (y, x):
            axis.size = self.size(axis)
        for axis in (y, x):
            axis.step = self.step(axis)
        for axis in (y, x):
            axis.count = self.count(axis)
        return y, x

    def scaled(self, a: Axis, value: Any) -> Any:
        """Returns a coordinate in pixels of the feature map."""
        return value * a.real(a.node.spatial_scale) - a.real(a.node.meaning["offset"])

    def size(self, a: Axis) -> Any:
        """Returns the RoI's size."""
        least = a.node.meaning["min_size"]
        return a.end - a.start if least is None else max(a.end - a.start, a.real(least))

    def step(self, a: Axis) -> Any:
        """Returns a bin's size."""
        return a.size / a.real(a.bins)

    def count(self, a: Axis) -> int:
        """Returns the samples per bin."""
        return a.node.sampling_ratio or self.adaptive(a)

    def adaptive(self, a: Axis) -> int:
        """Returns the samples per bin of an adaptive grid."""
        rounding = math.ceil if a.node.meaning["adaptive"] == "ceil" else math.floor
        return int(rounding(a.step))

    def positions(self, a: Axis) -> Array:
        """Returns (bins, count) positions of the samples."""
        bins = np.arange(a.bins).astype(a.real)[:, None]
        samples = self.within(np.arange(a.count).astype(a.real), a)
        made: Array = a.start + bins * a.step + samples * a.step
        return made

    def within(self, i: Array, a: Axis) -> Array:
        """Returns the position of sample i of count in its bin, in units of the bin's size."""
        made: Array = (i + a.real(0.5)) / a.real(a.count)
        return made

    def inside(self, at: Array, a: Axis) -> Array:
        """Returns whether samples have a value."""
        if a.node.meaning["border"] == "exclusive":
            return (at > -1) & (at < a.length)
        return (at >= -1) & (at <= a.length)

    def taps(self, at: Array, a: Axis) -> tuple[Array, Array, Array]:
        """Returns low, high and the weight of high of each sample."""
        at = np.clip(at, 0, a.length - 1)
        low = np.minimum(at.astype(np.int64), max(a.length - 2, 0))
        return low, np.minimum(low + 1, a.length - 1), (at - low).astype(a.real)

    def weights(self, fy: Array, fx: Array) -> list[Array]:
        """Returns the weights of the neighbours low-low, low-high, high-low, high-high (y first)."""
        return [(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx]

    def products(self, plane: Array, y: Axis, x: Axis, at_y: Array, at_x: Array) -> list[Array]:
        """Returns weight * feature of the four neighbours of every sample, (C, rows, columns) each."""
        ly, hy, fy = self.taps(at_y, y)
        lx, hx, fx = self.taps(at_x, x)
        weights = self.weights(fy[:, None], fx)
        places = [(ly, lx), (ly, hx), (hy, lx), (hy, hx)]
        return [w * plane[:, r[:, None], c] for w, (r, c) in zip(weights, places, strict=True)]

    def pool(self, plane: Array, y: Axis, x: Axis) -> Array:
        """Returns (C, output_height, output_width) of a RoI with samples."""
        at_y, at_x = self.positions(y).ravel(), self.positions(x).ravel()
        products = self.products(plane, y, x, at_y, at_x)
        inside = self.inside(at_y, y)[:, None] & self.inside(at_x, x)
        kept = [np.where(inside, product, y.real(0)) for product in products]
        bins = (y.bins, y.count, x.bins, x.count)
        if y.node.mode == "avg":
            return self.mean([product.reshape(-1, *bins) for product in kept], inside.reshape(bins), y, x)
        return self.maximum([product.reshape(-1, *bins) for product in kept], inside.reshape(bins), y, x)

    def mean(self, products: list[Array], inside: Array, y: Axis, x: Axis) -> Array:
        """Returns the mean of (C, P, gy, Q, gx) samples over gy and gx."""
        made: Array = np.add.reduce(products).sum(axis=(2, 4), dtype=y.real) / self.divisor(inside, y, x)
        return made

    def divisor(self, inside: Array, y: Axis, x: Axis) -> Any:
        """Returns the divisor of the sum."""
        return y.real(y.count * x.count)

    def maximum(self, products: list[Array], inside: Array, y: Axis, x: Axis) -> Array:
        """Returns the maximum of (C, P, gy, Q, gx) samples over gy and gx."""
        meaning = y.node.meaning
        values = self.corners(products) if meaning["max_rule"] == "corners" else np.add.reduce(products)
        made: Array = values.max(axis=(2, 4))
        return made if meaning["max_start"] is None else np.maximum(made, y.real(meaning["max_start"]))

    def corners(self, products: list[Array]) -> Array:
        """Returns the largest of a sample's four weighted neighbours."""
        made: Array = np.maximum.reduce(products)
        return made

    def without_samples(self, y: Axis, x: Axis) -> Any:
        """Returns the value of the bins of a RoI without samples."""
        meaning = y.node.meaning
        if y.node.mode == "max" and meaning["max_start"] is not None:
            return meaning["max_start"]
        return math.nan if meaning["empty"] == "nan" else 0.0

    def finish(self, Y: Array, X: Array) -> Array:
        """Returns Y in X's type."""
        return Y.astype(X.dtype)
