"""The attributes of a call, which are checked when they are created, and the check of the number of threads.

`checks` documents the order of all checks.
"""

from __future__ import annotations

import math
import numbers
import operator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from onnx_roialign.definition.element_types import coordinate_type
from onnx_roialign.definition.semantics import NUMBERS, PRESETS, Semantics
from onnx_roialign.errors import RoiAlignError, shown

__all__ = [
    "MAX_OUTPUT_SIZE",
    "MAX_SAMPLING_RATIO",
    "MAX_THREADS",
    "PLAIN",
    "Attributes",
    "as_index",
    "check_threads",
    "flag",
    "integer",
    "positive",
    "positive_in",
]

# The limits of kernels/checks.cpp, which has the reasons.
MAX_OUTPUT_SIZE = 32768
MAX_SAMPLING_RATIO = 16384
MAX_SAMPLES = 1 << 20
MAX_THREADS = 1024


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of ONNX's RoiAlign, with Semantics instead of coordinate_transformation_mode.

    Attributes:
        output_height: number of bins along y, 1 to 32768.
        output_width: number of bins along x, 1 to 32768.
        sampling_ratio: samples per bin and axis, 0 to 16384; 0: adaptive, the bin's length in pixels, rounded up (see
            `Semantics.adaptive`). At most 2^20 samples along an axis over all bins.
        spatial_scale: pixels of the feature map per pixel of the image; finite and > 0.
        mode: pooling of the samples, ``"avg"`` or ``"max"``.
        semantics: the remaining differences between implementations.

    Raises:
        RoiAlignError: an attribute has the wrong type or is out of range.
    """

    output_height: int = 1
    output_width: int = 1
    sampling_ratio: int = 0
    spatial_scale: float = 1.0
    mode: str = "avg"
    semantics: Semantics = field(default=PRESETS["onnx_half_pixel"])

    def __post_init__(self) -> None:
        for name in ("output_height", "output_width"):
            object.__setattr__(self, name, value := integer(name, getattr(self, name)))
            if value < 1:
                raise RoiAlignError(name, "range", f"must be at least 1, got {shown(value)}")
            if value > MAX_OUTPUT_SIZE:
                raise RoiAlignError(name, "range", f"must be at most {MAX_OUTPUT_SIZE}, got {shown(value)}")
        object.__setattr__(self, "sampling_ratio", ratio := integer("sampling_ratio", self.sampling_ratio))
        if not 0 <= ratio <= MAX_SAMPLING_RATIO:
            raise RoiAlignError("sampling_ratio", "range", f"must be in [0, {MAX_SAMPLING_RATIO}], got {shown(ratio)}")
        if (bins := max(self.output_height, self.output_width)) * ratio > MAX_SAMPLES:
            raise RoiAlignError(
                "sampling_ratio",
                "range",
                f"must leave at most {MAX_SAMPLES} samples along an axis, got {ratio} in each of {bins} bins",
            )
        object.__setattr__(self, "spatial_scale", positive("spatial_scale", self.spatial_scale))
        if not (isinstance(self.mode, str) and self.mode in ("avg", "max")):
            raise RoiAlignError("mode", "choice", f"must be 'avg' or 'max', got {shown(self.mode)}")
        if not isinstance(self.semantics, Semantics):
            raise RoiAlignError("semantics", "type", f"must be a Semantics, got {_kind(self.semantics)}")

    def plain(self) -> dict[str, Any]:
        """Returns the attributes that ONNX's RoiAlign also has, by name: all except the semantics."""
        return {name: getattr(self, name) for name in PLAIN}

    def check_in(self, dtype: np.dtype[Any]) -> None:
        """Checks the numbers after rounding to the coordinate type of feature maps of type dtype.

        Raises:
            RoiAlignError: a number is not finite in that type, or the spatial_scale is not > 0.
        """
        real = coordinate_type(dtype)
        with np.errstate(over="ignore"):
            for name in NUMBERS:
                value = getattr(self.semantics, name)
                if value is not None and not np.isfinite(real(value)):
                    raise RoiAlignError(name, "range", f"must be finite in {np.dtype(real)}, got {shown(value)}")
        positive_in("spatial_scale", self.spatial_scale, dtype)


# The attributes that ONNX's RoiAlign also has: all except the semantics.
PLAIN = tuple(attribute.name for attribute in fields(Attributes) if attribute.name != "semantics")


def as_index(value: object) -> int:
    """Returns an integer as an int, as operator.index does.

    Raises:
        TypeError: the value is not an integer. NumPy's booleans are none, which NumPy before 2 only warns of.
    """
    if isinstance(value, np.bool_):
        raise TypeError("a boolean of NumPy")
    return int(operator.index(value))  # type: ignore[arg-type]


def integer(name: str, value: object) -> int:
    """Returns value as an int.

    Raises:
        RoiAlignError: the value is not an integer.
    """
    try:
        return as_index(value)
    except TypeError:
        raise RoiAlignError(name, "type", f"must be an integer, got {_kind(value)}") from None


def flag(name: str, value: object) -> bool:
    """Returns a truth value; a text such as "False" is none.

    Raises:
        RoiAlignError: it is neither True nor False, nor 1 nor 0.
    """
    if isinstance(value, (bool, int, np.bool_, np.integer)) and value in (0, 1):
        return bool(value)
    raise RoiAlignError(name, "type", f"must be True or False, got {shown(value)}")


def positive(name: str, value: object) -> float:
    """Returns value as a float.

    Raises:
        RoiAlignError: the value is not a number, not finite or not > 0.
    """
    if not isinstance(value, numbers.Real):
        raise RoiAlignError(name, "type", f"must be a number, got {_kind(value)}")
    try:
        if math.isfinite(number := float(value)) and number > 0:
            return number
    except OverflowError:  # an integer or a fraction beyond float64
        pass
    raise RoiAlignError(name, "range", f"must be finite and > 0, got {shown(value)}")


def positive_in(name: str, value: object, dtype: np.dtype[Any]) -> float:
    """Returns value as a float that is also > 0 and finite in the coordinate type of feature maps of type dtype.

    Raises:
        RoiAlignError: it is not.
    """
    number, real = positive(name, value), coordinate_type(dtype)
    with np.errstate(over="ignore", under="ignore"):
        rounded = real(number)
    if not (np.isfinite(rounded) and rounded > 0):
        raise RoiAlignError(name, "range", f"must be finite and > 0 in {np.dtype(real)}, got {shown(number)}")
    return number


def _kind(value: object) -> str:
    kind = "float" if isinstance(value, np.floating) else type(value).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def check_threads(threads: object) -> int:
    """Returns the number of threads to use; 0: one per core that this process may run on.

    Raises:
        RoiAlignError: threads is neither None (which means 0) nor an integer in [0, MAX_THREADS].
    """
    number = 0 if threads is None else integer("threads", threads)
    if not 0 <= number <= MAX_THREADS:
        raise RoiAlignError("threads", "range", f"must be in [0, {MAX_THREADS}], got {shown(number)}")
    return number
