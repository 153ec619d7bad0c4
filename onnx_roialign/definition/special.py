"""Pools bins that touch an infinite or NaN feature sample by sample, because the order of operations matters there.

The rules are ONNX Runtime's. The value of a sample is the sum of its four taps, weight * feature, or over corners their
std::max in the order (low, low), (low, high), (high, low), (high, high). A weight of 0 takes part: 0 * infinity is NaN.
``std::max(a, b)`` is b only if ``a < b``: a NaN is the result if it comes first, and is ignored if it comes later. A
bin's maximum is the std::max of its samples in the order of the grid, starting with `max_start` if it is set. A sample
outside the map is 0 and touches no feature.

A bin of mode ``max`` is therefore NaN only if its first sample is; over corners, only if the pixel at (low, low) of
that sample is NaN, since the weight there is never 0. A mean is NaN if a sample touches NaN, infinities of both signs,
or an infinity with a weight of 0.

Among the samples between the same four pixels, only those with the smallest and the largest weights matter, which are
`taps.sample_taps`: the cost depends on the number of touched pixels, not of samples.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.pieces import Axis, Piece, channels_at_once, piece_pairs
from onnx_roialign.definition.taps import sample_taps

__all__ = ["pool_special"]


def pool_special(features: Array, y: Axis, x: Axis, attributes: Attributes, pooled: Array) -> None:
    """Pools again the bins that touch an infinite or NaN feature.

    Args:
        features: (C, H, W), some channels of the RoI's image.
        y: some of its rows of bins.
        x: all of its columns of bins.
        attributes: the attributes of the call.
        pooled: (C, P, Q) these bins, in the coordinate type; changed in place.
    """
    mean = attributes.mode == "avg"
    touched = np.zeros(pooled.shape, bool)
    values = np.full(pooled.shape, 0 if mean else np.nan, pooled.dtype)
    # np.fmax ignores NaN.
    fold = np.add if mean else np.fmax
    for rows, columns in piece_pairs(y, x, sample_taps):
        at = slice(None), rows.bins[:, None], columns.bins
        for part in channels_at_once(len(features), rows.pixel.shape[1] * columns.pixel.shape[1]):
            taps = _taps(features[part], rows.pixel[:, :, None], columns.pixel[:, None])
            special = reduce(np.logical_or, (~np.isfinite(tap) for tap in taps))
            if mean and not special.any():
                continue
            products = _products(taps, rows.weight[:, :, None], columns.weight[:, None])
            cells = _mean(products) if mean else reduce(_join(attributes), products)
            touched[part][at] |= _by_bin(np.logical_or, special, rows, columns)
            values[part][at] = fold(values[part][at], _by_bin(fold, cells, rows, columns))
    if not mean:
        values = _maximum(features, y, x, attributes, values)
    pooled[touched] = values[touched]


def _by_bin(fold: np.ufunc, cells: Array, y: Piece, x: Piece) -> Array:
    """Reduces (C, S, S') samples to (C, B, B') bins."""
    down: Array = fold.reduceat(cells, y.starts, axis=1)
    return np.asarray(fold.reduceat(down, x.starts, axis=2))


def _taps(features: Array, y: Array, x: Array) -> list[Array]:
    """The four features of every sample, (C, S, S') each, at low and high pixels y, (2, S, 1), and x, (2, 1, S')."""
    return [features[:, y[a], x[b]] for a in range(2) for b in range(2)]


def _products(taps: list[Array], y: Array, x: Array) -> list[Array]:
    """The product weight * feature of each tap, in the coordinate type."""
    weights = (y[a] * x[b] for a in range(2) for b in range(2))
    return [weight * tap.astype(weight.dtype) for weight, tap in zip(weights, taps, strict=True)]


def _mean(products: list[Array]) -> Array:
    # Finite terms do not change an infinite or NaN sum, nor does the division by the number of samples.
    return np.asarray(reduce(np.add, (np.where(np.isfinite(product), 0, product) for product in products)))


def _maximum(features: Array, y: Axis, x: Axis, attributes: Attributes, best: Array) -> Array:
    """The maximum of each bin, given the maximum of its samples inside the map that are not NaN."""
    best = np.where(y.complete[:, None] & x.complete, best, np.fmax(best, 0))
    if attributes.semantics.max_start is not None:
        return np.asarray(np.fmax(best, best.dtype.type(attributes.semantics.max_start)))
    (rows, row_weights), (columns, column_weights) = y.first_taps(), x.first_taps()
    taps = _taps(features, rows[:, :, None], columns[:, None])
    first = reduce(_join(attributes), _products(taps, row_weights[:, :, None], column_weights[:, None]))
    begins = y.begins[:, None] & x.begins
    return np.asarray(np.where(begins & np.isnan(first), first, best))


def _join(attributes: Attributes) -> Callable[[Array, Array], Array]:
    """The function that combines the four taps of a sample to its value."""
    return np.add if attributes.semantics.max_rule == "samples" else _std_max


def _std_max(a: Array, b: Array) -> Array:
    return np.where(a < b, b, a)
