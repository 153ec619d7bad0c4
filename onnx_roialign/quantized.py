"""RoiAlign of quantized feature maps in NumPy, bit for bit as torchvision's kernel for quantized tensors pools them.

A quantized q means ``scale * (q - zero_point)``. A bin answers, in float32 and in this order:

    value = scale * (sum(w * q) - zero_point * sum(w)) / samples
    Y     = zero_point + round(value * (1 / scale)), clamped to the type

The sums run sample by sample in the order of the grid, each over its four weighted pixels, and round() takes ties to
even, before the zero point is added. Ties are common (weights are often quarters), so that the order decides the last
bit. The interpolation is that of `geometry`; samples past the cut add nothing to either sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onnx_roialign import attributes as common
from onnx_roialign import geometry
from onnx_roialign.attributes import Attributes, Given, check_values, new_output
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.geometry import Samples

__all__ = ["check", "check_attributes", "check_signature", "roi_align"]

Array = npt.NDArray[Any]

# A quantized bin costs the square of it, since torchvision's sums are not separable to the last bit. An adaptive grid
# has no more samples than the map has pixels. kernels/qlinear.cpp has the same bound.
MAX_SAMPLING_RATIO = 32
# Samples per bin from which on positions coincide in float32, far from zero.
_COINCIDING = 65536


def check_attributes(attributes: Attributes) -> None:
    """Refuses what a quantized answer cannot say.

    Raises:
        RoiAlignError: mode "max", which torchvision does not have, NaN for an empty bin, or a sampling_ratio above 32.
    """
    if attributes.mode != "avg":
        raise RoiAlignError(f"mode must be 'avg', got {attributes.mode!r}")
    if attributes.semantics.empty != "zero":
        raise RoiAlignError(f"empty must be 'zero' where the answer is quantized, got {attributes.semantics.empty!r}")
    if attributes.sampling_ratio > MAX_SAMPLING_RATIO:
        raise RoiAlignError(
            f"sampling_ratio must be at most {MAX_SAMPLING_RATIO} where the answer is quantized, "
            f"got {attributes.sampling_ratio}"
        )


def roi_align(
    X: Array, x_scale: Array, x_zero_point: Array, rois: Array, batch_indices: Array, attributes: Attributes
) -> Array:
    """Pools every RoI.

    Args:
        X: (N, C, H, W) feature maps, uint8 or int8.
        x_scale: float32 scalar, finite and > 0, its reciprocal too.
        x_zero_point: scalar of X's type.
        rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image, float32.
        batch_indices: (num_rois,) image of each RoI, int64.
        attributes: mode "avg", and a semantics without NaN.

    Returns:
        (num_rois, C, output_height, output_width), of X's type, with its scale and zero point.

    Raises:
        RoiAlignError: an input is not as described; the text says which and why.
    """
    scale, zero_point = check(X, x_scale, x_zero_point, rois, batch_indices, attributes)
    Y = new_output(X, len(rois), attributes)
    if Y.size == 0:
        return Y
    limits = np.iinfo(X.dtype)
    with np.errstate(all="ignore"):
        start, end = geometry.scaled_ends(rois[:, :2], rois[:, 2:], attributes.spatial_scale, attributes.semantics)
        for k in range(len(rois)):
            y, x = _axes(start[k], end[k], X.shape[2:], attributes)
            values, weights = _sums(X[batch_indices[k]].astype(np.float32), y, x)
            samples = np.float32(max(y.divisor * x.divisor, 1.0))
            value = scale * (values - zero_point * weights) / samples
            Y[k] = np.clip(np.rint(value * (np.float32(1) / scale)) + zero_point, limits.min, limits.max)
    return Y


def check(
    X: Array, x_scale: Array, x_zero_point: Array, rois: Array, batch_indices: Array, attributes: Attributes
) -> tuple[np.float32, np.float32]:
    """Checks the arguments of `roi_align`; answers scale and zero point.

    Raises:
        RoiAlignError: an input is not as described there.
    """
    check_attributes(attributes)
    check_signature(*map(Given.of, (X, x_scale, x_zero_point, rois, batch_indices)))
    scale = np.float32(x_scale.item())
    with np.errstate(all="ignore"):
        if not (scale > 0 and math.isfinite(scale) and math.isfinite(np.float32(1) / scale)):
            raise RoiAlignError(f"x_scale must be finite and > 0, and so must 1 / x_scale, got {scale:.9g}")
    check_values(X, rois, batch_indices, attributes)
    return scale, np.float32(x_zero_point.item())


def check_signature(X: Given, x_scale: Given, x_zero_point: Given, rois: Given, batch_indices: Given) -> None:
    """Checks what is known of the types and shapes of one call; what is not known is taken for right.

    Raises:
        RoiAlignError: an input is not as `roi_align` describes it.
    """
    common.check_signature(X, rois, batch_indices, types=("uint8", "int8"), rois_types=("float32",))
    for name, value, dtype in (("x_scale", x_scale, "float32"), ("x_zero_point", x_zero_point, X.dtype)):
        if value.shape is not None and (
            len(value.shape) > 1 or any(isinstance(n, int) and n != 1 for n in value.shape)
        ):
            raise RoiAlignError(f"{name} must be a scalar, got shape {value.shape_text()}")
        if value.dtype is not None and value.dtype != (dtype or value.dtype):
            raise RoiAlignError(f"{name} must be {dtype}, got {value.dtype}")


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of one RoI: per bin P and place J in it, two pixels and their weights; missing places weigh 0.

    `times` is how often a sample counts, and `divisor` how many there are, or where that is more than _COINCIDING, what
    part of them it is, and 1: so that their squares stay in float32's range.
    """

    low: Array  # (P, J)
    high: Array
    low_weight: Array
    high_weight: Array
    times: Array
    divisor: float


def _axes(start: Array, end: Array, lengths: tuple[int, ...], attributes: Attributes) -> tuple[_Axis, _Axis]:
    bins = attributes.output_height, attributes.output_width
    y, x = (
        _axis(
            geometry.axis_samples(
                np.ascontiguousarray(start[column : column + 1]),
                np.ascontiguousarray(end[column : column + 1]),
                length=length,
                bins=number,
                sampling_ratio=attributes.sampling_ratio,
                semantics=attributes.semantics,
            )
        )
        for column, length, number in ((1, lengths[0], bins[0]), (0, lengths[1], bins[1]))
    )
    return y, x


def _axis(samples: Samples) -> _Axis:
    """The samples of each bin, in the order of the grid, side by side."""
    count = float(samples.count[0])
    held = np.bincount(samples.bin, minlength=samples.bins)
    parts = count > _COINCIDING
    times = samples.share if parts else np.rint(samples.share * count)
    place = np.arange(samples.bin.size) - np.repeat(np.cumsum(held) - held, held)

    def table(values: Array) -> Array:
        filled = np.zeros((samples.bins, int(held.max(initial=0))), values.dtype)
        filled[samples.bin, place] = values
        return filled

    return _Axis(
        low=table(samples.low),
        high=table(samples.high),
        low_weight=table(1 - samples.fraction),
        high_weight=table(samples.fraction),
        times=table(times.astype(samples.fraction.dtype)),
        divisor=1.0 if parts else count,
    )


def _sums(features: Array, y: _Axis, x: _Axis) -> tuple[Array, Array]:
    """The sums of w * q, (C, P, Q), and of w, (P, Q), of every bin."""
    shape = len(y.low), len(x.low)
    values, weights = np.zeros((len(features), *shape), np.float32), np.zeros(shape, np.float32)
    for i in range(y.low.shape[1]):
        rows = y.low[:, i, None], y.high[:, i, None]
        for j in range(x.low.shape[1]):
            w = [a[:, i, None] * b[:, j] for a in (y.low_weight, y.high_weight) for b in (x.low_weight, x.high_weight)]
            q = [features[:, row, column[:, j]] for row in rows for column in (x.low, x.high)]
            times = y.times[:, i, None] * x.times[:, j]
            values += times * (w[0] * q[0] + w[1] * q[1] + w[2] * q[2] + w[3] * q[3])
            weights += times * (w[0] + w[1] + w[2] + w[3])
    return values, weights
