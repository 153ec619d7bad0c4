"""From a RoI and its Semantics to sampling positions and interpolation weights: the only Python geometry.

A RoI is cut into ``output_height x output_width`` bins, and each bin is sampled on a regular grid of ``gh x gw`` points
(He et al., "Mask R-CNN", 2017, section 3, RoIAlign; ONNX operator RoiAlign-16). Rows and columns are
independent: the y of a sample depends only on the RoI's y1 and y2, and bilinear interpolation at (y, x) is
interpolation along y, then along x. So this module computes ONE axis, of K RoIs at once, and is used twice.

    start  = (roi_start + start_shift) * spatial_scale - offset           (pixels of the feature map)
    end    = (roi_end + end_shift) * spatial_scale - offset
    size   = max(end - start, min_size)
    bin    = size / P                                     P: bins along this axis
    g      = sampling_ratio; if it is 0 (adaptive), ceil (or floor) of bin
    pos(p, i) = (start + p * bin) + ((i + 0.5) * bin) / g      sample i of bin p

The order of operations is part of the definition: every one of them is rounded to the coordinate type on its own, as in
ONNX Runtime and torchvision. Samples before -1 or beyond N, the number of pixels, contribute nothing: at these two
limits the result jumps, so that the last bit of a position decides.

Any other sample outside the map is moved onto its border. Then each lies between two pixels, ``low`` and
``high = low + 1``, and ``fraction`` is the weight of ``high``; `taps` has the sums of these weights per bin.
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

# A sample further than this outside the first pixel contributes nothing (and as far outside the last one).
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
        semantics: everything else.
    """

    start: Array
    end: Array
    length: int
    bins: int
    sampling_ratio: int
    semantics: Semantics


@dataclass(frozen=True, slots=True)
class Grid:
    """How K RoIs are cut into bins and samples along one axis; arrays of the coordinate type.

    Attributes:
        start: (K,) scaled first coordinates.
        size: (K,) the RoI's length; negative where it is mirrored.
        step: (K,) the length of a bin.
        count: (K,) g, samples per bin; <= 0: there are none. A float: up to 3e38.
        base: (K, P) where each bin begins.
    """

    start: Array
    size: Array
    step: Array
    count: Array
    base: Array


@dataclass(frozen=True, slots=True)
class Ranges:
    """Which samples of K RoIs lie inside the map along one axis.

    Attributes:
        grid: all of them.
        length: N, pixels of the feature map along this axis.
        first: (K, P) the first inside of each bin, a number for `_nth_index`.
        begins: (K, P) whether the first sample of the bin lies inside.
        complete: (K, P) whether all samples of the bin lie inside.
        offsets: (K * P + 1,) how many samples inside the bins before each bin have.
    """

    grid: Grid
    length: int
    first: Array
    begins: Array
    complete: Array
    offsets: Array


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of K RoIs inside the map along one axis, bin after bin; arrays of length S have one entry for each.

    Attributes:
        bins: P, bins per RoI.
        length: N, pixels of the feature map along this axis.
        count: (K,) g, samples per bin, those outside included; <= 0: there are none. A float: up to 3e38.
        begins: (K, P) whether the first sample of the bin lies inside.
        complete: (K, P) whether all samples of the bin lie inside.
        bin: (S,) which bin, ``k * P + p``; ascending.
        position: (S,) in pixels of the feature map, before it is moved onto the border.
        share: (S,) the part of the bin's g samples that lie at this position: 1 / g, or more where samples coincide.
        low: (S,) pixel at or before the sample.
        high: (S,) the pixel after that; ``low`` again at the last pixel.
        fraction: (S,) weight of ``high``; that of ``low`` is the rest to 1.
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
    """RoI coordinates in pixels of the image -> in pixels of the feature map; arrays of the coordinate type."""
    real = start.dtype.type
    scale, offset = real(spatial_scale), real(semantics.offset)
    first, last = start + real(semantics.start_shift), end + real(semantics.end_shift)
    return first * scale - offset, last * scale - offset


def roi_axes(rois: Array, size: tuple[int, ...], attributes: Attributes) -> tuple[RoiAxis, RoiAxis]:
    """The y axis and the x axis of K RoIs: the one place that knows which column of rois is which.

    Args:
        rois: (K, 4) rows x1, y1, x2, y2 in pixels of the image, of the coordinate type.
        size: (H, W) of the feature map.
        attributes: of the call.
    """
    start, end = scaled_ends(rois[:, :2], rois[:, 2:], attributes.spatial_scale, attributes.semantics)

    def axis(column: int, length: int, bins: int) -> RoiAxis:
        first, last = (np.ascontiguousarray(ends[:, column]) for ends in (start, end))
        return RoiAxis(first, last, length, bins, attributes.sampling_ratio, attributes.semantics)

    return axis(1, size[0], attributes.output_height), axis(0, size[1], attributes.output_width)


def axis_grid(axis: RoiAxis) -> Grid:
    """How K RoIs are cut along one axis."""
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
    """(P, g) positions of all samples of one RoI along one axis, those outside the map too: for g that fits memory."""
    step, count = grid.step[roi], max(grid.count[roi], grid.step.dtype.type(0))
    return _position(grid.base[roi, :, None], np.arange(int(count)).astype(step.dtype), step, count)


def axis_ranges(axis: RoiAxis) -> Ranges:
    """Which samples of K RoIs lie inside the map along one axis.

    An adaptive grid has no bound (a RoI 1e9 pixels wide has 1e8 samples a bin), but positions grow with the index, so
    the samples inside the map are one range of indices, found by bisection: the cost follows the map, not the RoI.
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
    """Where K RoIs are sampled along one axis, and between which pixels each sample lies: all of `axis_ranges`."""
    ranges = axis_ranges(axis)
    return samples_in(ranges, 0, int(ranges.offsets[-1]))


def samples_in(ranges: Ranges, begin: int, end: int) -> Samples:
    """Those of all samples inside the map that have the numbers begin to end, less one, counted bin after bin."""
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
    """Of the first sample of each bin of a RoI, (2, P) pixels and weights; of pixel 0 where it lies outside the map."""
    grid, zero = ranges.grid, ranges.grid.start.dtype.type(0)
    position = _position(grid.base[roi], zero, grid.step[roi], grid.count[roi])
    low, high, fraction = _interpolate(np.where(ranges.begins[roi], position, zero), ranges.length)
    return np.stack([low, high]), np.stack([1 - fraction, fraction])


def _position(base: Array, index: Array, step: Array, count: Array) -> Array:
    """pos(p, i), each operation rounded on its own."""
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
    # A mirrored RoI (x2 < x1) has a negative step: turn the axis round, so that positions always grow with the index.
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
    """The smallest n in [0, limit) that holds, everywhere at once; limit where none does. Once true, it stays true."""
    low, high = np.zeros_like(limit), limit.copy()
    while np.any(open_ := low < high):
        middle = low + (high - low) // 2
        true = holds(middle)
        high = np.where(open_ & true, middle, high)
        low = np.where(open_ & ~true, middle + 1, low)
    return low


# Sample indices as floats. The definition computes with float(i), and beyond 2^24 (float32; 2^53 in float64) a float
# has no room for every integer: several i share one float(i), hence one position. So we walk over the distinct values
# of float(i), "the nth index", and count how many i each of them stands for. Up to 2^24 it is n, and stands for itself.


def _exact_limit(real: type[np.floating[Any]]) -> tuple[int, int, type[np.signedinteger[Any]]]:
    """Up to where a type holds every integer, that number's bit pattern, and the integer type of bit patterns."""
    bits = np.int32 if real is np.float32 else np.int64
    limit = 2 ** (np.finfo(real).nmant + 1)
    return limit, int(np.asarray(limit, real).view(bits)), bits


def _nth_index(nth: Array, real: type[np.floating[Any]]) -> Array:
    """The nth distinct value of float(i): above the limit, the floats in order, that is bit pattern by bit pattern."""
    limit, limit_bits, bits = _exact_limit(real)
    above = (np.maximum(nth - limit, 0) + limit_bits).astype(bits).view(real)
    return np.where(nth > limit, above, np.minimum(nth, limit).astype(real))


def _index_count(count: Array) -> Array:
    """How many distinct values float(i) takes for i in [0, count)."""
    real = count.dtype.type
    limit, limit_bits, bits = _exact_limit(real)
    count = np.maximum(count, real(0))
    below = np.minimum(count, real(limit)).astype(np.int64)
    above = np.maximum(count, real(limit)).view(bits).astype(np.int64) - limit_bits
    # The last i may round up to count itself.
    return np.asarray(below + above + (_rounded_onto(count)[0] > 0))


def _rounded_onto(index: Array) -> tuple[Array, Array]:
    """Returns how many integers below and above each float(i) are rounded to it (ties go to even bit patterns)."""
    _, _, bits = _exact_limit(index.dtype.type)
    odd = (np.ascontiguousarray(index).view(bits) & 1).astype(index.dtype)
    previous, following = (np.nextafter(index, index.dtype.type(end)) for end in (-np.inf, np.inf))
    below, above = (np.maximum(np.floor(gap / 2) - odd, 0) for gap in (index - previous, following - index))
    return below, above


def _coinciding(index: Array, count: Array) -> Array:
    """Returns how many i in [0, count) are rounded to each float(i)."""
    below, above = _rounded_onto(index)
    return np.where(index < count, 1 + below + above, below)
