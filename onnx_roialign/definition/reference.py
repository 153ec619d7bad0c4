"""RoiAlign in NumPy: the readable definition that every other implementation in this project is compared with.

RoiAlign divides each RoI of a feature map into ``output_height x output_width`` bins, samples each bin on a regular
grid by bilinear interpolation, and returns the mean or the maximum of each bin's samples (He et al., "Mask R-CNN",
2017, section 3; ONNX operator RoiAlign-16). `geometry` computes positions and weights; this module applies them.

All three pooling rules weigh the pixels of each bin and then reduce them, first along y, then along x:

    mean              sum_y sum_x  wy * wx * X[y, x]           Y = Wy @ X @ Wx.T with banded matrices
    max over corners  max_y max_x  wy * wx * X[y, x]           as the weights are >= 0, wx moves out of the max over y
    max over samples  max over samples of the interpolation    interpolates along both axes before the maximum

Matrix products would multiply every pixel of the map, mostly by zero, and 0 * NaN is NaN. Each bin therefore gathers
only the pixels that its samples touch, in pieces of bounded size (`pieces`). A sample touches both neighbours, even if
one has weight 0. These rules hold for finite pixels; for infinite and NaN pixels the order of operations matters: see
`special`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from types import MappingProxyType

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition import geometry
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.checks import check_arrays, new_output
from onnx_roialign.definition.element_types import coordinate_type
from onnx_roialign.definition.geometry import Samples
from onnx_roialign.definition.pieces import (
    Axis,
    Piece,
    axes_of,
    channels_at_once,
    piece_pairs,
    rois_at_once,
    rows_at_once,
)
from onnx_roialign.definition.special import pool_special
from onnx_roialign.definition.taps import Taps, corner_taps, mean_taps, sample_taps

__all__ = ["roi_align"]


@dataclass(frozen=True, slots=True)
class _Rule:
    """One pooling rule.

    Attributes:
        taps: returns the pixels that each bin reads, with their weights.
        join: combines J weighted pixels into one value.
        fold: reduces the values of a bin to one.
        start: neutral element of fold.
        interpolates_first: whether both axes are interpolated before fold reduces the first.
    """

    taps: Callable[[Samples], Taps]
    join: np.ufunc
    fold: np.ufunc
    start: float
    interpolates_first: bool = False


_MEAN = _Rule(mean_taps, join=np.add, fold=np.add, start=0)
_MAX: Mapping[str, _Rule] = MappingProxyType(
    {
        "corners": _Rule(corner_taps, join=np.maximum, fold=np.maximum, start=-math.inf),
        "samples": _Rule(sample_taps, join=np.add, fold=np.maximum, start=-math.inf, interpolates_first=True),
    }
)


def roi_align(X: Array, rois: Array, batch_indices: Array, attributes: Attributes) -> Array:
    """Pools every RoI.

    Apart from X, Y and the coordinates, it uses less than 128 MB for any sizes; its time is proportional to the number
    of pixels that bins touch.

    Args:
        X: (N, C, H, W) feature maps, float32, float64, float16 or bfloat16. 16-bit types are computed in float32 and
            rounded once.
        rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image, of any of these types.
        batch_indices: (num_rois,) image of each RoI, int64.
        attributes: sizes, sampling ratio, scale, mode and semantics.

    Returns:
        (num_rois, C, output_height, output_width), of X's type.

    Raises:
        RoiAlignError: an input is invalid; the message names it and the rule.
    """
    check_arrays(X, rois, batch_indices, attributes)
    Y = new_output(X, len(rois), attributes)
    if Y.size == 0:
        return Y
    # Without warnings: infinite or NaN features give infinite or NaN results, and the position of a sample 1e20 pixels
    # away may overflow, which leaves it outside the map.
    with np.errstate(all="ignore"):
        for block in _blocks(X, len(rois), attributes):
            corners = rois[block].astype(coordinate_type(X.dtype))
            axes = geometry.roi_axes(corners, X.shape[2:], attributes)
            rows, columns = (axes_of(geometry.axis_ranges(axis)) for axis in axes)
            for k, y, x in zip(range(len(rois))[block], rows, columns, strict=True):
                _pool(X[batch_indices[k]], y, x, attributes, Y[k])
    return Y


def _blocks(X: Array, num_rois: int, attributes: Attributes) -> Iterator[slice]:
    """Splits RoIs into blocks whose geometry arrays are small; adaptive samples are at least 0.5 pixels apart."""
    bins = max(attributes.output_height, attributes.output_width)
    samples = bins * attributes.sampling_ratio if attributes.sampling_ratio else 2 * (max(X.shape[2:]) + bins)
    size = rois_at_once(samples)
    return (slice(begin, begin + size) for begin in range(0, num_rois, size))


def _rule(attributes: Attributes) -> _Rule:
    return _MEAN if attributes.mode == "avg" else _MAX[attributes.semantics.max_rule]


def _pool(features: Array, y: Axis, x: Axis, attributes: Attributes, out: Array) -> None:
    """Pools one RoI of (C, H, W) features into out, (C, output_height, output_width), rounded to its type."""
    if y.count <= 0 or x.count <= 0:
        out[...] = _without_samples(y, x, attributes)
        return
    for channels in channels_at_once(len(features), attributes.output_width):
        part = features[channels]
        for rows in y.parts(rows_at_once(len(part) * attributes.output_width)):
            out[channels, slice(*rows.bins)] = _pool_part(part, rows, x, attributes)


def _pool_part(features: Array, y: Axis, x: Axis, attributes: Attributes) -> Array:
    """Pools some channels and rows of bins of a RoI, in the coordinate type."""
    rule, real = _rule(attributes), y.ranges.grid.start.dtype
    pooled = np.full((len(features), len(y.complete), len(x.complete)), rule.start, real)
    finite = True
    for rows, columns in piece_pairs(y, x, rule.taps):
        finite &= _add(features, rows, columns, rule, pooled)
    if attributes.mode == "max":
        # A sample outside the map has the value 0 and counts in the maximum.
        partial = ~(y.complete[:, None] & x.complete)
        pooled[:, partial] = np.maximum(pooled[:, partial], 0)
        if attributes.semantics.max_start is not None:
            pooled = np.maximum(pooled, pooled.dtype.type(attributes.semantics.max_start))
    if not finite:
        pool_special(features, y, x, attributes, pooled)
    return pooled


def _without_samples(y: Axis, x: Axis, attributes: Attributes) -> float:
    """The value of every bin of a RoI whose grid has no sample along an axis."""
    semantics = attributes.semantics
    if attributes.mode == "max" and semantics.max_start is not None:
        return semantics.max_start
    # The mean divides by the product of the counts: two negative counts give a positive product.
    return math.nan if semantics.empty == "nan" and (y.count == 0 or x.count == 0) else 0.0


def _add(features: Array, y: Piece, x: Piece, rule: _Rule, pooled: Array) -> bool:
    """Folds one piece into the result so far; returns whether all features that it touches are finite."""
    # Columns are selected before rows: a RoI is rarely as wide as its map, and its samples are rarely far apart.
    left, right = int(x.pixel.min()), int(x.pixel.max()) + 1
    columns: slice | Array
    if right - left <= 4 * x.pixel.size:
        columns, place = slice(left, right), x.pixel - left
    else:
        columns, place = np.unique(x.pixel, return_inverse=True)
    across = replace(x, pixel=place.reshape(x.pixel.shape))
    at = slice(None), y.bins[:, None], x.bins
    finite = True
    width = right - left if isinstance(columns, slice) else len(columns)
    for part in channels_at_once(len(features), y.pixel.shape[1] * max(width, x.pixel.shape[1])):
        rows = [_gather(features[part], pixel, columns) for pixel in y.pixel]
        finite &= all(bool(np.isfinite(row).all()) for row in rows)
        pooled[part][at] = rule.fold(pooled[part][at], _fold(rows, y, across, rule))
    return finite


def _gather(features: Array, rows: Array, columns: slice | Array) -> Array:
    """Selects (C, rows, columns) of (C, H, W)."""
    if isinstance(columns, slice):
        return features[:, :, columns][:, rows]
    return features[:, rows[:, None], columns]


def _fold(gathered: list[Array], y: Piece, x: Piece, rule: _Rule) -> Array:
    """Reduces J arrays of (C, T, columns) features to the (C, B, B') bins of a piece."""
    rows = _weigh(gathered, y.weight[:, :, None], rule)
    if not rule.interpolates_first:
        rows = rule.fold.reduceat(rows, y.starts, axis=1)
    cells = _weigh([rows[:, :, pixel] for pixel in x.pixel], x.weight, rule)
    if rule.interpolates_first:
        cells = rule.fold.reduceat(cells, y.starts, axis=1)
    return rule.fold.reduceat(cells, x.starts, axis=2)


def _weigh(values: list[Array], weights: Array, rule: _Rule) -> Array:
    """Combines J weighted pixels into one value; the result has the type of the weights."""
    return reduce(rule.join, (value * weight for value, weight in zip(values, weights, strict=True)))
