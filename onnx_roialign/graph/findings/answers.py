"""Comparing what a model answers with what is expected."""

from __future__ import annotations

import numpy as np

from onnx_roialign.arrays import FRAMEWORKS, FRAMEWORKS_16_BIT, Array, largest_difference, largest_finite

__all__ = ["how_far", "is_same"]


def is_same(got: Array, want: Array) -> bool:
    """Whether two answers are the same but for their roundings."""
    return largest_difference(got, want) <= _allowed(want)


def _allowed(want: Array) -> float:
    return max(largest_finite(want), 1.0) * (FRAMEWORKS_16_BIT if want.dtype.itemsize == 2 else FRAMEWORKS)


def how_far(got: Array, want: Array) -> str:
    """How far two answers are apart, and where most."""
    if got.shape != want.shape:
        return f"shape {got.shape} for {want.shape}"
    a, b = got.astype(np.float64), want.astype(np.float64)
    apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    place = np.unravel_index(int(np.argmax(np.where(np.isnan(apart), np.inf, apart))), apart.shape)
    return f"{apart[place]:.3g} at {tuple(int(one) for one in place)}"
