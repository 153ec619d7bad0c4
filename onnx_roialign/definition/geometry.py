"""Computes sampling positions and interpolation weights from a RoI and its Semantics: the only geometry in Python.

A RoI is cut into ``output_height x output_width`` bins, and each bin is sampled on a regular grid of ``gh x gw`` points
(He et al., "Mask R-CNN", 2017, section 3, RoIAlign; ONNX operator RoiAlign-16). Rows and columns are
independent: the y of a sample depends only on the RoI's y1 and y2, and bilinear interpolation at (y, x) is
interpolation along y, then along x. This module therefore computes ONE axis, of K RoIs at once, and is used twice.

    start  = (roi_start + start_shift) * spatial_scale - offset           (pixels of the feature map)
    end    = (roi_end + end_shift) * spatial_scale - offset
    size   = max(end - start, min_size)
    bin    = size / P                                     P: bins along this axis
    g      = sampling_ratio; if it is 0 (adaptive), ceil (or floor) of bin
    pos(p, i) = (start + p * bin) + ((i + 0.5) * bin) / g      sample i of bin p

The order of operations is part of the definition: each operation is rounded to the coordinate type, as in ONNX Runtime
and torchvision. Samples before -1 or beyond N, the number of pixels, contribute nothing: the result is discontinuous
there, so the last bit of a position matters.

Any other sample outside the map is clamped to its border. Each sample then lies between two pixels, ``low`` and
``high = low + 1``, and ``fraction`` is the weight of ``high``; `taps` sums these weights per bin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import Semantics

__all__ = [
    "Grid",
    "Ranges",
    "RoiAxis",
    "Samples",
    "all_positions",
    "axis_grid",
    "axis_ranges",
    "axis_samples",
    "first_taps",
    "roi_axes",
    "samples_in",
    "scaled_ends",
]

# A sample that lies further than this before the first pixel or after the last one contributes nothing.
MARGIN = 1.0


@dataclass(frozen=True, slots=True)
class RoiAxis:
    """One axis of K RoIs in pixels of the feature map, with its number of bins and samples.

    Attributes:
        start: (K,) scaled first coordinates, float32 or float64: the coordinate type.
        end: (K,) scaled last coordinates.
        length: pixels of the feature map along this axis, at least 1.
        bins: P, output_height or output_width.
        sampling_ratio: samples per bin; 0: adaptive.
        semantics: the semantics of the call.
    """

    start: Array
    end: Array
    length: int
    bins: int
    sampling_ratio: int
    semantics: Semantics


@dataclass(frozen=True, slots=True)
class Grid:
    """The bins and samples of K RoIs along one axis; arrays of the coordinate type.

    Attributes:
        start: (K,) scaled first coordinates.
        size: (K,) the RoI's length; negative where it is mirrored.
        step: (K,) the length of a bin.
        count: (K,) g, samples per bin; <= 0: there are none. A float, because it can be up to 3e38.
        base: (K, P) the start of each bin.
    """

    start: Array
    size: Array
    step: Array
    count: Array
    base: Array


@dataclass(frozen=True, slots=True)
class Ranges:
    """The ranges of samples of K RoIs that lie inside the map along one axis.

    Attributes:
        grid: the grid of all samples.
        length: N, pixels of the feature map along this axis.
        first: (K, P) the first sample of each bin that lies inside, a number for `_nth_index`.
        begins: (K, P) whether the first sample of the bin lies inside.
        complete: (K, P) whether all samples of the bin lie inside.
        offsets: (K * P + 1,) the number of inside samples of all bins before each bin.
    """

    grid: Grid
    length: int
    first: Array
    begins: Array
    complete: Array
    offsets: Array


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of K RoIs inside the map along one axis, bin after bin; arrays of length S have one entry per sample.

    Attributes:
        bins: P, bins per RoI.
        length: N, pixels of the feature map along this axis.
        count: (K,) g, samples per bin, inside and outside; <= 0: there are none. A float, because it can be up to 3e38.
        begins: (K, P) whether the first sample of the bin lies inside.
        complete: (K, P) whether all samples of the bin lie inside.
        bin: (S,) number of the bin, ``k * P + p``; ascending.
        position: (S,) position in pixels of the feature map, before it is clamped to the border.
        share: (S,) the part of the bin's g samples that have this position: 1 / g, or more where samples coincide.
        low: (S,) the pixel at or before the sample.
        high: (S,) the pixel after ``low``; equal to ``low`` at the last pixel.
        fraction: (S,) the weight of ``high``; the weight of ``low`` is 1 - fraction.
    """

    bins: int
    length: int
    count: Array
    begins: Array
    complete: Array
    bin: Array
    position: Array
    share: Array
    low: Array
    high: Array
    fraction: Array


def scaled_ends(start: Array, end: Array, spatial_scale: float, semantics: Semantics) -> tuple[Array, Array]:
    """Converts RoI coordinates from pixels of the image to pixels of the feature map; arrays of the coordinate type."""
    real = start.dtype.type
    scale, offset = real(spatial_scale), real(semantics.offset)
    first, last = start + real(semantics.start_shift), end + real(semantics.end_shift)
    return first * scale - offset, last * scale - offset


def roi_axes(rois: Array, size: tuple[int, ...], attributes: Attributes) -> tuple[RoiAxis, RoiAxis]:
    """The y axis and the x axis of K RoIs; the only function that assigns the columns of rois to axes.

    Args:
        rois: (K, 4) rows x1, y1, x2, y2 in pixels of the image, of the coordinate type.
        size: (H, W) of the feature map.
        attributes: the attributes of the call.
    """
    start, end = scaled_ends(rois[:, :2], rois[:, 2:], attributes.spatial_scale, attributes.semantics)

    def axis(column: int, length: int, bins: int) -> RoiAxis:
        first, last = (np.ascontiguousarray(ends[:, column]) for ends in (start, end))
        return RoiAxis(first, last, length, bins, attributes.sampling_ratio, attributes.semantics)

    return axis(1, size[0], attributes.output_height), axis(0, size[1], attributes.output_width)


def axis_grid(axis: RoiAxis) -> Grid:
    """Cuts K RoIs into bins and samples along one axis."""
    start, bins, sampling_ratio, semantics = axis.start, axis.bins, axis.sampling_ratio, axis.semantics
    real = start.dtype.type
    size = axis.end - start
    if semantics.min_size is not None:
        size = np.maximum(size, real(semantics.min_size))
    step = size / real(bins)
    if sampling_ratio > 0:
        count = np.full_like(step, sampling_ratio)
    else:
        count = np.ceil(step) if semantics.adaptive == "ceil" else np.floor(step)
    return Grid(start, size, step, count, start[:, None] + np.arange(bins).astype(real) * step[:, None])


def all_positions(grid: Grid, roi: int) -> Array:
    """(P, g) positions of all samples of one RoI along an axis, inside and outside the map; g must fit in memory."""
    step, count = grid.step[roi], max(grid.count[roi], grid.step.dtype.type(0))
    return _position(grid.base[roi, :, None], np.arange(int(count)).astype(step.dtype), step, count)


def axis_ranges(axis: RoiAxis) -> Ranges:
    """Finds the ranges of samples of K RoIs that lie inside the map along one axis.

    An adaptive grid is unbounded (a RoI 1e9 pixels wide has 1e8 samples per bin), but positions grow with the index:
    the samples inside the map are one range of indices, which bisection finds. The cost grows with the map, not with
    the RoI.
    """
    grid = axis_grid(axis)
    step, count, base = grid.step, grid.count, grid.base
    first, last = _indices_inside(base, step[:, None], count[:, None], axis.length, axis.semantics)
    return Ranges(
        grid=grid,
        length=axis.length,
        first=first,
        begins=(first == 0) & (last > 0),
        complete=(first == 0) & (last == _index_count(count)[:, None]),
        offsets=np.concatenate([[0], np.cumsum(last - first)]),
    )


def axis_samples(axis: RoiAxis) -> Samples:
    """All samples of K RoIs inside the map along one axis, with their pixels and weights."""
    ranges = axis_ranges(axis)
    return samples_in(ranges, 0, int(ranges.offsets[-1]))


def samples_in(ranges: Ranges, begin: int, end: int) -> Samples:
    """The samples with the numbers begin to end - 1, counted over the samples inside the map, bin after bin."""
    grid, bins = ranges.grid, ranges.first.shape[1]
    bin_ = np.repeat(np.arange(ranges.first.size), np.diff(np.clip(ranges.offsets, begin, end)))
    rank = np.arange(begin, end) - ranges.offsets[bin_]
    index = _nth_index(ranges.first.ravel()[bin_] + rank, grid.start.dtype.type)
    roi = bin_ // bins
    position = _position(grid.base.ravel()[bin_], index, grid.step[roi], grid.count[roi])
    low, high, fraction = _interpolate(position, ranges.length)
    return Samples(
        bins=bins,
        length=ranges.length,
        count=grid.count,
        begins=ranges.begins,
        complete=ranges.complete,
        bin=bin_,
        position=position,
        share=_coinciding(index, grid.count[roi]) / grid.count[roi].astype(np.float64),
        low=low,
        high=high,
        fraction=fraction,
    )


def first_taps(ranges: Ranges, roi: int) -> tuple[Array, Array]:
    """(2, P) pixels and weights of the first sample of each bin of a RoI; pixel 0 where it lies outside the map."""
    grid, zero = ranges.grid, ranges.grid.start.dtype.type(0)
    position = _position(grid.base[roi], zero, grid.step[roi], grid.count[roi])
    low, high, fraction = _interpolate(np.where(ranges.begins[roi], position, zero), ranges.length)
    return np.stack([low, high]), np.stack([1 - fraction, fraction])


def _position(base: Array, index: Array, step: Array, count: Array) -> Array:
    """pos(p, i), with each operation rounded."""
    position: Array = base + ((index + base.dtype.type(0.5)) * step) / count
    return position


def _interpolate(position: Array, length: int) -> tuple[Array, Array, Array]:
    """The two pixels around each position, and the weight of the second."""
    on_map = np.maximum(position, position.dtype.type(0))
    low = np.minimum(on_map.astype(np.int64), length - 1)
    fraction = np.where(low < length - 1, on_map - low.astype(position.dtype), position.dtype.type(0))
    return low, np.minimum(low + 1, length - 1), fraction


def _indices_inside(base: Array, step: Array, count: Array, length: int, semantics: Semantics) -> tuple[Array, Array]:
    """The range of sample indices, as numbers for _nth_index, that lie inside the map: (K, P) first, (K, P) end."""
    real = base.dtype.type
    # A mirrored RoI (x2 < x1) has a negative step: reverse the axis, so that positions always grow with the index.
    sign = np.where(step < 0, real(-1), real(1))
    lower = np.where(step < 0, real(-length), real(-MARGIN))
    upper = np.where(step < 0, real(MARGIN), real(length))
    inclusive = semantics.border == "inclusive"
    before: np.ufunc = np.less if inclusive else np.less_equal
    beyond: np.ufunc = np.greater if inclusive else np.greater_equal
    limit = np.broadcast_to(_index_count(count), base.shape)

    def along(nth: Array) -> Array:
        return np.asarray(sign * _position(base, _nth_index(nth, real), step, count))

    first = _bisect(limit, lambda nth: ~before(along(nth), lower))
    last = _bisect(limit, lambda nth: beyond(along(nth), upper))
    return first, last


def _bisect(limit: Array, holds: Callable[[Array], Array]) -> Array:
    """For each element the smallest n in [0, limit) for which a monotone condition holds; limit where none does."""
    low, high = np.zeros_like(limit), limit.copy()
    while np.any(open_ := low < high):
        middle = low + (high - low) // 2
        true = holds(middle)
        high = np.where(open_ & true, middle, high)
        low = np.where(open_ & ~true, middle + 1, low)
    return low


# Sample indices as floats. The definition computes with float(i). Beyond 2^24 (float32; 2^53 in float64) not every
# integer is a float: several i share one float(i), hence one position. The functions below therefore enumerate the
# distinct values of float(i), "the nth index", and count how many i each value stands for. Up to 2^24, the nth index
# is n and stands for one i.


def _exact_limit(real: type[np.floating[Any]]) -> tuple[int, int, type[np.signedinteger[Any]]]:
    """The limit up to which a type holds every integer, its bit pattern, and the integer type of bit patterns."""
    bits = np.int32 if real is np.float32 else np.int64
    limit = 2 ** (np.finfo(real).nmant + 1)
    return limit, int(np.asarray(limit, real).view(bits)), bits


def _nth_index(nth: Array, real: type[np.floating[Any]]) -> Array:
    """The nth distinct value of float(i). Above the limit these are consecutive floats, hence bit patterns."""
    limit, limit_bits, bits = _exact_limit(real)
    above = (np.maximum(nth - limit, 0) + limit_bits).astype(bits).view(real)
    return np.where(nth > limit, above, np.minimum(nth, limit).astype(real))


def _index_count(count: Array) -> Array:
    """The number of distinct values of float(i) for i in [0, count)."""
    real = count.dtype.type
    limit, limit_bits, bits = _exact_limit(real)
    count = np.maximum(count, real(0))
    below = np.minimum(count, real(limit)).astype(np.int64)
    above = np.maximum(count, real(limit)).view(bits).astype(np.int64) - limit_bits
    # The last i may round up to count itself.
    return np.asarray(below + above + (_rounded_onto(count)[0] > 0))


def _rounded_onto(index: Array) -> tuple[Array, Array]:
    """The numbers of integers below and above each float(i) that are rounded to it (ties go to even bit patterns)."""
    _, _, bits = _exact_limit(index.dtype.type)
    odd = (np.ascontiguousarray(index).view(bits) & 1).astype(index.dtype)
    previous, following = (np.nextafter(index, index.dtype.type(end)) for end in (-np.inf, np.inf))
    below, above = (np.maximum(np.floor(gap / 2) - odd, 0) for gap in (index - previous, following - index))
    return below, above


def _coinciding(index: Array, count: Array) -> Array:
    """The number of i in [0, count) that are rounded to each float(i)."""
    below, above = _rounded_onto(index)
    return np.where(index < count, 1 + below + above, below)
