"""Arrays of numbers: how far two answers of RoiAlign lie apart, and how far apart they may lie."""

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
    "close",
    "largest_difference",
    "largest_finite",
    "ordinal",
]

Array = npt.NDArray[Any]

# The one table of tolerances: the largest difference of two answers that count as the same. In units of max|X| of the
# call unless a line says otherwise: every value is a mean of products with weights <= 1, so errors grow with max|X|,
# not with the answer, which may cancel.

# Rounded once, a 16-bit answer is at most this far from the exact one, in units of the answer.
UNIT_IN_THE_LAST_PLACE: Mapping[str, float] = MappingProxyType({"float16": 2.0**-10, "bfloat16": 2.0**-7})

# Another implementation in the same type that sums in another order. Measured: 1.4e-7 over the 378 recorded calls of
# torchvision, MindSpore and ONNX Runtime; the bar leaves room for other orders. float64 resolves 2^29 times as finely.
FLOAT32 = 2e-6
FLOAT64 = 4e-15

# An engine that is about to be timed. The bar must catch a wrong engine, not judge roundings: Paddle rounds positions
# in another order and so is off by 2.5e-5 on fpn_mask_14x14_s2 (the others by 1.2e-7), features read in bfloat16 would
# be by 4e-3.
OTHER_ORDER: Mapping[str, float] = MappingProxyType({"float32": 1e-4, "float64": 2e-13, **UNIT_IN_THE_LAST_PLACE})

# A recorded call against a Semantics. The farthest that any of the 905 recorded calls of six frameworks lies from its
# own Semantics, ill-conditioned bins left out, is 3.3e-6; two Semantics differ by 1e-2 and more.
RECORDED = 1e-4

# A whole model's answer against a framework's, in units of the answer's largest number (at least 1).
# Frameworks' recorded answers differ by 1.6e-5 at most, two Semantics that can be told apart by 1e-2 and more.
FRAMEWORKS = 5e-5
FRAMEWORKS_16_BIT = 2e-2

# Lengths in pixels of up to 16 that a probe of `identify` reads, of features in [-1.5, 1): two values of a field read
# at least 0.06 apart, while noise of 1e-5 in the answers moves no reading by more than 1e-4.
LENGTHS = 2e-3


def close(a: Array, b: Array, tolerance: float) -> Array:
    """Elementwise: within tolerance, both NaN, or the same infinity.

    Args:
        a: numbers of any type.
        b: as many.
        tolerance: the largest absolute difference, itself included.
    """
    return np.asarray(_differences(a, b) <= tolerance)


def largest_difference(got: Array, want: Array) -> float:
    """Returns max |got - want|: infinite where the shapes differ or only one side is NaN, 0 where both are empty.

    What is no array of numbers, a text, a sequence of arrays, an optional that is empty, differs by 0 or infinitely.
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
    return float(np.max(_differences(got, want), initial=0.0))


def _differences(a: Array, b: Array) -> Array:
    """Elementwise |a - b| in float64: 0 where both are NaN or the same infinity, infinite where only one is NaN."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    same = (np.isnan(a) & np.isnan(b)) | (a == b)  # equal infinities, whose difference is NaN
    apart = np.where(same, 0.0, np.abs(np.where(same, 0.0, a) - np.where(same, 0.0, b)))
    return np.where(np.isnan(apart), np.inf, apart)


def largest_finite(values: Array) -> float:
    """Returns max |v| of the finite values v, 0 where there are none: the unit of most tolerances."""
    numbers = np.abs(values.astype(np.float64))
    return float(np.max(numbers[np.isfinite(numbers)], initial=0.0))


def ordinal(values: Array) -> Array:
    """Floats counted from zero, so that neighbours differ by 1 and -0.0 is 0: a difference of two is in ULP.

    Args:
        values: float16, bfloat16, float32 or float64, not NaN.
    """
    bits = np.ascontiguousarray(values).view(f"i{values.dtype.itemsize}").astype(np.int64)
    return np.where(bits < 0, np.int64(-1 << (8 * values.dtype.itemsize - 1)) - bits, bits)
