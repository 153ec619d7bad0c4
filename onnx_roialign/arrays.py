"""Compares arrays: differences between results of RoiAlign, and their tolerances."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "FLOAT32",
    "FLOAT64",
    "FRAMEWORKS",
    "FRAMEWORKS_16_BIT",
    "LENGTHS",
    "OTHER_ORDER",
    "RECORDED",
    "UNIT_IN_THE_LAST_PLACE",
    "Array",
    "allowed_difference",
    "close",
    "differences",
    "largest_difference",
    "largest_finite",
    "ordinal",
]

Array = npt.NDArray[Any]

# The table of tolerances: the largest difference of two results that count as equal. The unit is max|X| of the call
# unless a comment names another: every value is a mean of products with weights <= 1, so errors grow with max|X|, not
# with the result, in which terms may cancel.

# A 16-bit result that is rounded once differs from the exact one by at most this, in units of the result.
UNIT_IN_THE_LAST_PLACE: Mapping[str, float] = MappingProxyType({"float16": 2.0**-10, "bfloat16": 2.0**-7})

# Another implementation of the same type that adds in another order. Measured: 1.4e-7 over the 378 recorded calls of
# torchvision, MindSpore and ONNX Runtime; the tolerance allows for other orders. float64 is 2^29 times as precise.
FLOAT32 = 2e-6
FLOAT64 = 4e-15

# An engine that is about to be timed. The tolerance must detect a wrong engine, not rounding: Paddle rounds positions
# in another order and differs by 2.5e-5 on fpn_mask_14x14_s2 (the others by 1.2e-7); features read in bfloat16 would
# differ by 4e-3.
OTHER_ORDER: Mapping[str, float] = MappingProxyType({"float32": 1e-4, "float64": 2e-13, **UNIT_IN_THE_LAST_PLACE})

# A recorded call compared with a Semantics. The 905 recorded calls of six frameworks differ from their own Semantics
# by at most 3.3e-6, apart from ill-conditioned bins; two Semantics differ by at least 1e-2.
RECORDED = 1e-4

# A whole model's output compared with a framework's, in units of the output's largest number (at least 1).
# Recorded outputs of frameworks differ by at most 1.6e-5, two distinguishable Semantics by at least 1e-2.
FRAMEWORKS = 5e-5
FRAMEWORKS_16_BIT = 2e-2

# Lengths of up to 16 pixels that a probe of `identify` reads from features in [-1.5, 1). The readings of two values of
# a field differ by at least 0.06; noise of 1e-5 in the outputs changes a reading by at most 1e-4.
LENGTHS = 2e-3


def close(a: Array, b: Array, tolerance: float) -> Array:
    """Returns elementwise whether two arrays are within tolerance, both NaN, or the same infinity.

    Args:
        a: numbers of any type.
        b: numbers of the same shape.
        tolerance: the largest allowed absolute difference (inclusive).
    """
    return np.asarray(differences(a, b) <= tolerance)


def largest_difference(got: Array, want: Array) -> float:
    """Returns max |got - want|: infinite where the shapes differ or only one side is NaN, 0 where both are empty.

    Texts, sequences of arrays and empty optionals differ by 0 or infinitely.
    """
    if isinstance(got, list) and isinstance(want, list):
        if len(got) != len(want):
            return float("inf")
        return max((largest_difference(a, b) for a, b in zip(got, want, strict=True)), default=0.0)
    if not (isinstance(got, np.ndarray) and isinstance(want, np.ndarray)):
        return 0.0 if got is None and want is None else float("inf")
    if got.shape != want.shape:
        return float("inf")
    if got.dtype.kind in "OSU" or want.dtype.kind in "OSU":
        return 0.0 if np.array_equal(got, want) else float("inf")
    return float(np.max(differences(got, want), initial=0.0))


def allowed_difference(want: Array, tolerance: float | None = None) -> float:
    """Returns the largest difference from a model's expected output that counts as rounding.

    Args:
        want: the expected output, of numbers.
        tolerance: in units of the output's largest finite number (at least 1); None: that of the output's type.
    """
    if tolerance is None:
        tolerance = FRAMEWORKS_16_BIT if want.dtype.itemsize == 2 else FRAMEWORKS
    return max(largest_finite(want), 1.0) * tolerance


def differences(a: Array, b: Array) -> Array:
    """Returns |a - b| by element in float64: 0 for two NaN or equal infinities, infinite where only one is NaN."""
    with np.errstate(over="ignore"):  # of longdouble
        a, b = a.astype(np.float64), b.astype(np.float64)
    same = (np.isnan(a) & np.isnan(b)) | (a == b)  # includes equal infinities, whose difference is NaN
    apart = np.where(same, 0.0, np.abs(np.where(same, 0.0, a) - np.where(same, 0.0, b)))
    return np.where(np.isnan(apart), np.inf, apart)


def largest_finite(values: Array) -> float:
    """Returns max |v| of the finite values v, 0 where there are none: the unit of most tolerances."""
    with np.errstate(over="ignore"):
        numbers = np.abs(values.astype(np.float64))
    return float(np.max(numbers[np.isfinite(numbers)], initial=0.0))


def ordinal(values: Array) -> Array:
    """Numbers floats from zero so that neighbours differ by 1 and -0.0 is 0; the difference of two numbers is in ULP.

    Args:
        values: float16, bfloat16, float32 or float64, not NaN.
    """
    bits = np.ascontiguousarray(values).view(f"i{values.dtype.itemsize}").astype(np.int64)
    return np.where(bits < 0, np.int64(-1 << (8 * values.dtype.itemsize - 1)) - bits, bits)
