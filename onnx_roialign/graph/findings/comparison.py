"""Compares the outputs of a model with the expected ones."""

from __future__ import annotations

import numpy as np

from onnx_roialign.arrays import Array, allowed_difference, differences, largest_difference

__all__ = ["difference_text", "is_same"]


def is_same(got: Array, want: Array) -> bool:
    """Returns whether two arrays are equal up to rounding."""
    return largest_difference(got, want) <= allowed_difference(want)


def difference_text(got: Array, want: Array) -> str:
    """Returns the largest difference of two arrays and its position, or their shapes, as the end of a sentence."""
    if got.shape != want.shape:
        return f"has shape {got.shape}, not {want.shape}"
    apart = differences(got, want)
    place = np.unravel_index(int(np.argmax(apart)), apart.shape)
    return f"differs by up to {apart[place]:.3g} at {tuple(int(index) for index in place)}"
