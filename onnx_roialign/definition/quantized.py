"""RoiAlign of quantized feature maps in NumPy, equal bit for bit to torchvision's kernel for quantized tensors.

A quantized q stands for ``scale * (q - zero_point)``. A bin is computed in float32 and in this order:

    value = scale * (sum(w * q) - zero_point * sum(w)) / samples
    Y     = zero_point + round(value * (1 / scale)), clamped to the type in float64, which holds every int32

The sums run sample by sample in the order of the grid, each sample over its four weighted pixels; round() takes ties to
even before the zero point is added. Ties are common (weights are often quarters), so the order determines the last bit.
The interpolation is that of `geometry`; samples that contribute nothing are in neither sum.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition import checks, geometry
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.checks import Given, check_values, new_output
from onnx_roialign.definition.element_types import QUANTIZED
from onnx_roialign.definition.geometry import Ranges, Samples
from onnx_roialign.definition.pieces import channels_at_once
from onnx_roialign.errors import RoiAlignError

__all__ = ["TYPES", "check", "check_attributes", "check_signature", "roi_align"]

# A quantized bin costs its square, since torchvision's sums are not separable to the last bit. An adaptive grid has no
# more samples than the map has pixels. kernels/pool/qlinear.cpp has the same bound.
MAX_SAMPLING_RATIO = 32
TYPES = tuple(element.name for element in QUANTIZED)
# With more samples per bin than this, positions far from zero coincide in float32.
_COINCIDING = 65536
# Samples along one axis in one table, and elements of one temporary array; both bound the memory of a call.
_BLOCK = 1 << 9
_CHUNK = 1 << 18


def check_attributes(attributes: Attributes) -> None:
    """Refuses attributes that quantized features do not support.

    Raises:
        RoiAlignError: `mode` is "max", which torchvision does not have, `empty` is "nan", or `sampling_ratio` is > 32.
    """
    if attributes.mode != "avg":
        raise RoiAlignError("mode", "choice", f"must be 'avg', got {attributes.mode!r}")
    if attributes.semantics.empty != "zero":
        raise RoiAlignError(
            "empty", "choice", f"must be 'zero' where the output is quantized, got {attributes.semantics.empty!r}"
        )
    if attributes.sampling_ratio > MAX_SAMPLING_RATIO:
        raise RoiAlignError(
            "sampling_ratio",
            "range",
            f"must be at most {MAX_SAMPLING_RATIO} where the output is quantized, got {attributes.sampling_ratio}",
        )


def roi_align(
    X: Array, x_scale: Array, x_zero_point: Array, rois: Array, batch_indices: Array, attributes: Attributes
) -> Array:
    """Pools every RoI.

    Args:
        X: (N, C, H, W) feature maps, uint8, int8 or int32.
        x_scale: float32 scalar; it and its reciprocal are finite and > 0.
        x_zero_point: scalar of X's type.
        rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image, float32.
        batch_indices: (num_rois,) image of each RoI, int64.
        attributes: with mode "avg" and `empty` "zero".

    Returns:
        (num_rois, C, output_height, output_width), of X's type, with its scale and zero point.

    Raises:
        RoiAlignError: an input is invalid; the message names it, the rule and the value.
    """
    scale, zero_point = check(X, x_scale, x_zero_point, rois, batch_indices, attributes)
    Y = new_output(X, len(rois), attributes)
    if Y.size == 0:
        return Y
    with np.errstate(all="ignore"):
        for k in range(len(rois)):
            y, x = map(geometry.axis_ranges, geometry.roi_axes(rois[k : k + 1], X.shape[2:], attributes))
            samples = np.float32(max(_divisor(y) * _divisor(x), 1.0))
            Y[k] = _quantize(np.zeros((), np.float32), scale, zero_point, X.dtype)  # bins without samples
            for rows, columns in itertools.product(_groups(y), _groups(x)):
                size = (rows[1] - rows[0]) * (columns[1] - columns[0])
                for channels in channels_at_once(X.shape[1], size):
                    values, weights = _sums(X[batch_indices[k], channels], y, x, rows, columns)
                    means = scale * (values - zero_point * weights) / samples
                    Y[k, channels, slice(*rows), slice(*columns)] = _quantize(means, scale, zero_point, X.dtype)
    return Y


def _quantize(means: Array, scale: np.float32, zero_point: np.float32, dtype: np.dtype[Any]) -> Array:
    limits = np.iinfo(dtype)
    rounded = np.rint(means * (np.float32(1) / scale)) + zero_point
    return np.clip(rounded.astype(np.float64), limits.min, limits.max).astype(dtype)


def check(
    X: Array, x_scale: Array, x_zero_point: Array, rois: Array, batch_indices: Array, attributes: Attributes
) -> tuple[np.float32, np.float32]:
    """Checks the arguments of `roi_align` and returns the scale and the zero point.

    Raises:
        RoiAlignError: an argument is invalid.
    """
    check_attributes(attributes)
    check_signature(*map(Given.of, (X, x_scale, x_zero_point, rois, batch_indices)))
    scale = np.float32(x_scale.item())
    with np.errstate(all="ignore"):
        if not (scale > 0 and math.isfinite(scale) and math.isfinite(np.float32(1) / scale)):
            raise RoiAlignError("x_scale", "range", f"must be finite and > 0, and so must 1 / x_scale, got {scale:.9g}")
    check_values(X, rois, batch_indices, attributes)
    return scale, np.float32(x_zero_point.item())


def check_signature(X: Given, x_scale: Given, x_zero_point: Given, rois: Given, batch_indices: Given) -> None:
    """Checks the known types and shapes of one call; unknown ones are accepted.

    Raises:
        RoiAlignError: an input is invalid; the message names it, the rule and the value.
    """
    checks.check_signature(X, rois, batch_indices, types=TYPES, rois_types=("float32",))
    for name, value, dtype in (("x_scale", x_scale, "float32"), ("x_zero_point", x_zero_point, X.dtype)):
        checks.check_scalar(name, value)
        if value.dtype is not None and value.dtype != (dtype or value.dtype):
            raise RoiAlignError(name, "type", f"must be {dtype}, got {value.dtype}")


def _divisor(ranges: Ranges) -> float:
    """The number that `_sums` are divided by along one axis: samples per bin, or 1 if `share` already divides them."""
    count = float(ranges.grid.count[0])
    return 1.0 if count > _COINCIDING else count


def _groups(ranges: Ranges) -> Iterator[tuple[int, int]]:
    """Groups of neighbouring bins, as first and end: bins whose samples fit in one table, or a single bin."""
    held = np.diff(ranges.offsets)
    filled = np.flatnonzero(held)
    if filled.size:
        most = max(1, _BLOCK // int(held.max()))
        end = int(filled[-1]) + 1
        yield from ((first, min(first + most, end)) for first in range(int(filled[0]), end, most))


@dataclass(frozen=True, slots=True)
class _Places:
    """Samples of some bins of one axis: for bin P and place J two pixels and their weights; empty places have weight 0.

    `times` is the number of samples at the place, in the unit of `_divisor`.
    """

    low: Array  # (P, J)
    high: Array
    low_weight: Array
    high_weight: Array
    times: Array


def _tables(ranges: Ranges, bins: tuple[int, int], most: int) -> Iterator[_Places]:
    """The samples of a group in the order of the grid: all in one table, or those of a single bin in several."""
    begin, end = ranges.offsets[list(bins)]
    step = most if bins[1] - bins[0] == 1 else end - begin
    for number in range(begin, end, step):
        yield _table(geometry.samples_in(ranges, number, min(number + step, end)), bins)


def _table(samples: Samples, bins: tuple[int, int]) -> _Places:
    count = float(samples.count[0])
    times = samples.share if count > _COINCIDING else np.rint(samples.share * count)
    bin_ = samples.bin - bins[0]
    held = np.bincount(bin_, minlength=bins[1] - bins[0])
    place = np.arange(bin_.size) - np.repeat(np.cumsum(held) - held, held)

    def table(values: Array) -> Array:
        filled = np.zeros((held.size, int(held.max())), values.dtype)
        filled[bin_, place] = values
        return filled

    return _Places(
        low=table(samples.low),
        high=table(samples.high),
        low_weight=table(1 - samples.fraction),
        high_weight=table(samples.fraction),
        times=table(times.astype(samples.fraction.dtype)),
    )


def _sums(
    features: Array, y: Ranges, x: Ranges, rows: tuple[int, int], columns: tuple[int, int]
) -> tuple[Array, Array]:
    """The sums of w * q, (C, P, Q), and of w, (1, P, Q), of a group of bins."""
    shape = rows[1] - rows[0], columns[1] - columns[0]
    values, weights = np.zeros((len(features), *shape), np.float32), np.zeros((1, *shape), np.float32)
    # All samples of a row are added before the next row: if they do not fit in one table, rows are added singly.
    whole = x.offsets[columns[1]] - x.offsets[columns[0]] <= _BLOCK
    for down in _tables(y, rows, _BLOCK if whole else 1):
        for across in _tables(x, columns, _BLOCK):
            _add(features, down, across, values, weights)
    return values, weights


def _add(features: Array, y: _Places, x: _Places, values: Array, weights: Array) -> None:
    """Adds the samples to both sums one after the other in the order of the grid, many in one NumPy operation."""
    number = y.low.shape[1] * x.low.shape[1]
    together = max(1, _CHUNK // values.size)
    for begin in range(0, number, together):
        i, j = np.divmod(np.arange(begin, min(begin + together, number)), x.low.shape[1])
        w = [
            a[:, i].T[:, :, None] * b[:, j].T[:, None]
            for a in (y.low_weight, y.high_weight)
            for b in (x.low_weight, x.high_weight)
        ]
        q = [
            features[:, row[:, i].T[:, :, None], column[:, j].T[:, None]].astype(np.float32)
            for row in (y.low, y.high)
            for column in (x.low, x.high)
        ]
        times = y.times[:, i].T[:, :, None] * x.times[:, j].T[:, None]
        _accumulate(values, times * (w[0] * q[0] + w[1] * q[1] + w[2] * q[2] + w[3] * q[3]))
        _accumulate(weights, (times * (w[0] + w[1] + w[2] + w[3]))[None])


def _accumulate(sums: Array, terms: Array) -> None:
    """Adds terms, (C, n, P, Q), to sums, (C, P, Q), one by one: NumPy's sum would add pairs of terms first."""
    sums[...] = np.add.accumulate(np.concatenate([sums[:, None], terms], axis=1), axis=1)[:, -1]
