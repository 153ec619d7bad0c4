"""RoiAlign sample by sample in scalars: slow, and so plain that reading verifies it. For tests only."""

from __future__ import annotations

import math

import numpy as np

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import Semantics


def axis_positions(start, end, bins, sampling_ratio, scale, semantics: Semantics):
    """Positions of the samples of each bin: a list of lists, all numbers of start's type. And g, the divisor."""
    real = type(start)
    start = (start + real(semantics.start_shift)) * real(scale) - real(semantics.offset)
    end = (end + real(semantics.end_shift)) * real(scale) - real(semantics.offset)
    size = end - start
    if semantics.min_size is not None:
        size = max(size, real(semantics.min_size))
    step = size / real(bins)
    if sampling_ratio > 0:
        count = sampling_ratio
    else:
        count = math.ceil(step) if semantics.adaptive == "ceil" else math.floor(step)
    positions = [
        [(start + real(p) * step) + ((real(i) + real(0.5)) * step) / real(count) for i in range(count)]
        for p in range(bins)
    ]
    return positions, count


def taps(position, length, semantics: Semantics):
    """The two (pixel, weight) of a sample along one axis, or None where it lies outside the map."""
    real = type(position)
    if position < -1 or position > length:
        return None
    if semantics.border == "exclusive" and position in (-1, length):
        return None
    position = max(position, real(0))
    low = int(position)
    if low >= length - 1:
        return (length - 1, real(1)), (length - 1, real(0))
    fraction = position - real(low)
    return (low, real(1) - fraction), (low + 1, fraction)


def corners(plane, y, x, semantics: Semantics):
    """The four weighted neighbours of a sample at (y, x), as float; a sample outside the map is a single 0.

    A weight of 0 takes part: 0 * infinity is NaN.
    """
    rows, columns = taps(y, plane.shape[0], semantics), taps(x, plane.shape[1], semantics)
    if rows is None or columns is None:
        return [0.0]
    return [
        float(row_weight * column_weight) * float(plane[row, column])
        for row, row_weight in rows
        for column, column_weight in columns
    ]


def maximum(values):
    """std::max of one value after the other: a NaN stays if it comes first, and is skipped if it comes later."""
    best = values[0]
    for value in values[1:]:
        best = value if best < value else best
    return best


def pool_bin(plane, ys, xs, divisor, mode, semantics: Semantics) -> float:
    start = [] if mode == "avg" or semantics.max_start is None else [semantics.max_start]
    if not ys or not xs:
        if start:
            return start[0]
        return math.nan if semantics.empty == "nan" and divisor == 0 else 0.0
    samples = [corners(plane, y, x, semantics) for y in ys for x in xs]
    if mode == "avg":
        return sum(map(sum, samples)) / divisor
    return maximum(start + [(maximum if semantics.max_rule == "corners" else sum)(sample) for sample in samples])


def roi_align(X, rois, batch_indices, attributes: Attributes) -> np.ndarray:
    """As onnx_roialign.definition.reference.roi_align, in float64 where that has rounded to the coordinate type."""
    real = np.float64 if X.dtype == np.float64 else np.float32
    shape = len(rois), X.shape[1], attributes.output_height, attributes.output_width
    Y = np.zeros(shape, np.float64)
    semantics, ratio, scale = attributes.semantics, attributes.sampling_ratio, attributes.spatial_scale
    for k, roi in enumerate(rois):
        x1, y1, x2, y2 = (real(value) for value in roi)
        ys, gh = axis_positions(y1, y2, attributes.output_height, ratio, scale, semantics)
        xs, gw = axis_positions(x1, x2, attributes.output_width, ratio, scale, semantics)
        for c, p, q in np.ndindex(shape[1:]):
            Y[k, c, p, q] = pool_bin(X[batch_indices[k], c], ys[p], xs[q], gh * gw, attributes.mode, semantics)
    return Y
