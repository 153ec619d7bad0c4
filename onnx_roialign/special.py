"""Bins that touch an infinite or NaN feature: pooled sample by sample, in the order that decides there.

What a sample makes of such a feature is ONNX Runtime's rule. Its value is the sum of its four taps, weight * feature,
or over corners their std::max in the order (low, low), (low, high), (high, low), (high, high). A weight of 0 takes
part: 0 * infinity is NaN. ``std::max(a, b)`` is b only where ``a < b``: so a NaN is the result where it comes first,
and is passed over where it comes later. A bin's maximum is the std::max of its samples in the order of the grid,
beginning with `max_start` where there is one. A sample outside the map is 0 and touches nothing.

So a bin of mode ``max`` is NaN only where the first of its samples is; over corners, where the pixel at (low, low) of
that sample is NaN, as the weight there is never 0. And a mean is NaN where a sample touches NaN, or infinities of both
signs, or one with a weight of 0.

Of the samples between the same four pixels only those decide that have the least and the greatest weights, which are
`geometry.sample_taps`: the cost follows the touched pixels, not the samples.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from onnx_roialign import geometry
from onnx_roialign.attributes import Attributes

__all__ = ["pool_special"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class _Taps:
    """Samples along one axis: (2, S) pixels low and high of each, and their weights."""

    pixel: Array
    weight: Array


@dataclass(frozen=True, slots=True)
class _Bin:
    """One bin along one axis.

    Attributes:
        samples: those inside the map that decide.
        first: the first sample of the grid; None where it lies outside the map.
        complete: whether all samples lie inside.
    """

    samples: _Taps
    first: _Taps | None
    complete: bool


def pool_special(features: Array, roi: Array, attributes: Attributes, pooled: Array) -> None:
    """Pools those bins of a RoI again that touch an infinite or NaN feature.

    Args:
        features: (C, H, W) of its image.
        roi: (4,) x1, y1, x2, y2 in the coordinate type.
        attributes: of the call.
        pooled: (C, output_height, output_width) in the coordinate type, changed in place.
    """
    rows = _bins(roi[1::2], features.shape[1], attributes.output_height, attributes)
    columns = _bins(roi[0::2], features.shape[2], attributes.output_width, attributes)
    (top, bottom), (left, right) = _ends(rows), _ends(columns)
    # (h, w) of what the RoI lies on: most bins of a large RoI touch nothing special.
    special = np.logical_or.reduce(~np.isfinite(features[:, top:bottom, left:right]), axis=0)
    every = np.arange(len(features))
    pool = _mean if attributes.mode == "avg" else _maximum
    for p, row in enumerate(rows):
        across = special[row.samples.pixel.ravel() - top].any(axis=0)
        for q, column in enumerate(columns):
            if across[column.samples.pixel - left].any():
                touched = _gather(features, every, row.samples, column.samples)
                own = np.flatnonzero(~np.isfinite(touched).all(axis=(1, 2, 3, 4)))
                pooled[own, p, q] = pool(features, own, row, column, attributes).astype(pooled.dtype)


def _bins(corners: Array, length: int, bins: int, attributes: Attributes) -> list[_Bin]:
    start, end = geometry.scaled_ends(corners[:1], corners[1:], attributes.spatial_scale, attributes.semantics)
    samples = geometry.axis_samples(
        start,
        end,
        length=length,
        bins=bins,
        sampling_ratio=attributes.sampling_ratio,
        semantics=attributes.semantics,
    )
    taps = geometry.sample_taps(samples)
    found = []
    for p, own in enumerate(map(slice, taps.offsets[:-1], taps.offsets[1:])):
        first = None
        if samples.begins[0, p]:
            i = np.searchsorted(samples.bin, [p])
            fraction = samples.fraction[i]
            first = _Taps(np.stack([samples.low[i], samples.high[i]]), np.stack([1 - fraction, fraction]))
        found.append(_Bin(_Taps(taps.pixel[:, own], taps.weight[:, own]), first, bool(samples.complete[0, p])))
    return found


def _ends(bins: list[_Bin]) -> tuple[int, int]:
    """The first pixel that any bin touches, and the one after the last."""
    pixels = np.concatenate([one.samples.pixel.ravel() for one in bins])
    return int(pixels.min()), int(pixels.max()) + 1


def _gather(features: Array, channels: Array, y: _Taps, x: _Taps) -> Array:
    """(C, 2, S, 2, S') features at low and high of each sample along y and along x."""
    return features[channels[:, None, None, None, None], y.pixel[:, :, None, None], x.pixel]


def _products(features: Array, channels: Array, y: _Taps, x: _Taps) -> list[Array]:
    """The four taps of every sample, (C, S, S') each: weight * feature in the coordinate type."""
    values = _gather(features, channels, y, x).astype(y.weight.dtype)
    return [y.weight[a][:, None] * x.weight[b] * values[:, a, :, b] for a in range(2) for b in range(2)]


def _mean(features: Array, channels: Array, row: _Bin, column: _Bin, attributes: Attributes) -> Array:
    # What is finite has no part beside what is not: no sum, and no division by the number of samples.
    taps = np.stack(_products(features, channels, row.samples, column.samples))
    return np.asarray(np.where(np.isfinite(taps), 0, taps).sum(axis=(0, 2, 3)))


def _maximum(features: Array, channels: Array, row: _Bin, column: _Bin, attributes: Attributes) -> Array:
    semantics = attributes.semantics
    join: Callable[[Array, Array], Array] = np.add if semantics.max_rule == "samples" else _std_max
    values = reduce(join, _products(features, channels, row.samples, column.samples))
    best: Array = np.fmax.reduce(values, axis=(1, 2))  # passes NaN over
    if not (row.complete and column.complete):
        best = np.fmax(best, 0)
    if semantics.max_start is not None:
        best = np.fmax(best, best.dtype.type(semantics.max_start))
    elif row.first is not None and column.first is not None:
        first = reduce(join, _products(features, channels, row.first, column.first))[:, 0, 0]
        best = np.where(np.isnan(first), first, best)
    return best


def _std_max(a: Array, b: Array) -> Array:
    return np.where(a < b, b, a)
