"""The door: a call's attributes and arrays, checked before anything computes."""

from __future__ import annotations

import math
import numbers
import operator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from onnx_roialign.errors import RoiAlignError
from onnx_roialign.geometry import scaled_ends
from onnx_roialign.semantics import PRESETS, Semantics

__all__ = [
    "MAX_SAMPLING_RATIO",
    "TYPES",
    "Attributes",
    "Given",
    "check_arrays",
    "check_signature",
    "check_values",
    "coordinate_type",
]

Array = npt.NDArray[Any]

# Bounds the time and memory of one RoI; frameworks use 0 to 4.
MAX_SAMPLING_RATIO = 16384

# Of features, and of rois where an op takes rois of a type of their own.
TYPES = ("float32", "float64", "float16", "bfloat16")
_COLUMNS = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of ONNX's RoiAlign, with Semantics in the place of coordinate_transformation_mode.

    Attributes:
        output_height: bins along y, at least 1.
        output_width: bins along x, at least 1.
        sampling_ratio: samples per bin and axis; 0: adaptive, as many as the bin is pixels long.
        spatial_scale: pixels of the feature map per pixel of the image.
        mode: ``"avg"`` or ``"max"`` of the samples.
        semantics: how coordinates, grids and borders are read.

    Raises:
        RoiAlignError: an attribute is of the wrong type or out of its range.
    """

    output_height: int = 1
    output_width: int = 1
    sampling_ratio: int = 0
    spatial_scale: float = 1.0
    mode: str = "avg"
    semantics: Semantics = field(default=PRESETS["onnx_half_pixel"])

    def __post_init__(self) -> None:
        for name in ("output_height", "output_width", "sampling_ratio"):
            object.__setattr__(self, name, _integer(name, getattr(self, name)))
        for name in ("output_height", "output_width"):
            if getattr(self, name) < 1:
                raise RoiAlignError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.sampling_ratio <= MAX_SAMPLING_RATIO:
            raise RoiAlignError(f"sampling_ratio must be in [0, {MAX_SAMPLING_RATIO}], got {self.sampling_ratio}")
        if not isinstance(self.spatial_scale, numbers.Real):
            raise RoiAlignError(f"spatial_scale must be a number, got {_kind(self.spatial_scale)}")
        object.__setattr__(self, "spatial_scale", float(self.spatial_scale))
        if not (math.isfinite(self.spatial_scale) and self.spatial_scale > 0):
            raise RoiAlignError(f"spatial_scale must be finite and > 0, got {self.spatial_scale:.9g}")
        if self.mode not in ("avg", "max"):
            raise RoiAlignError(f"mode must be 'avg' or 'max', got {self.mode!r}")
        if not isinstance(self.semantics, Semantics):
            raise RoiAlignError(f"semantics must be a Semantics, got {_kind(self.semantics)}")


def _integer(name: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise RoiAlignError(f"{name} must be an integer, got {_kind(value)}") from None


def _kind(value: object) -> str:
    kind = "float" if isinstance(value, np.floating) else type(value).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def coordinate_type(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """The type in which coordinates and sums of X's type are computed: 16-bit types are too coarse for either.

    Coordinates of another type are rounded to it, once, before anything else is done with them.
    """
    return np.float64 if dtype == np.float64 else np.float32


def check_arrays(X: Array, rois: Array, batch_indices: Array, attributes: Attributes) -> None:
    """Checks the inputs of one call.

    Args:
        X: (N, C, H, W) feature maps, float32, float64, float16 or bfloat16.
        rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image, of any of these types.
        batch_indices: (num_rois,) image of each RoI, int64.
        attributes: the call's attributes, for their spatial_scale.

    Raises:
        RoiAlignError: the text names the input, the rule and what was given.
    """
    check_signature(*map(Given.of, (X, rois, batch_indices)), rois_types=TYPES)
    check_values(X, rois, batch_indices, attributes)


class Given(NamedTuple):
    """What is known of an input before its values are: of an array all of it, of a model's value perhaps nothing.

    Attributes:
        dtype: NumPy's name of the type; None: not known.
        shape: sizes, or names of sizes, None where one is not known; None: not even the rank is known.
    """

    dtype: str | None
    shape: tuple[int | str | None, ...] | None

    @classmethod
    def of(cls, array: Array) -> Given:
        """All of it."""
        return cls(str(array.dtype), array.shape)

    def shape_text(self) -> str:
        """As NumPy prints a shape; ``?`` where a size is not known."""
        sizes = ["?" if size is None else str(size) for size in self.shape or ()]
        return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def check_signature(
    X: Given,
    rois: Given,
    batch_indices: Given,
    *,
    types: tuple[str, ...] = TYPES,
    rois_types: tuple[str, ...] | None = None,
) -> None:
    """Checks what is known of the types and shapes of one call; what is not known is taken for right.

    Args:
        X: (N, C, H, W), one of types.
        rois: (num_rois, 4), one of rois_types.
        batch_indices: (num_rois,), int64.
        types: names of the types that X may have.
        rois_types: names of the types that rois may have; None: that of X, as in ONNX's RoiAlign.

    Raises:
        RoiAlignError: the text names the input, the rule and what was given.
    """
    if X.shape is not None and len(X.shape) != 4:
        raise RoiAlignError(f"X must have rank 4 (N, C, H, W), got shape {X.shape_text()}")
    if X.dtype is not None and X.dtype not in types:
        raise RoiAlignError(f"X must be {_choice(types)}, got {X.dtype}")
    if rois.shape is not None and (len(rois.shape) != 2 or (isinstance(rois.shape[1], int) and rois.shape[1] != 4)):
        raise RoiAlignError(f"rois must have shape (num_rois, 4), got shape {rois.shape_text()}")
    if rois.dtype is not None and rois.dtype not in (rois_types or (X.dtype or rois.dtype,)):
        wanted = f"be {_choice(rois_types)}" if rois_types else f"have X's type {X.dtype}"
        raise RoiAlignError(f"rois must {wanted}, got {rois.dtype}")
    if batch_indices.shape is not None and len(batch_indices.shape) != 1:
        raise RoiAlignError(f"batch_indices must have shape (num_rois,), got shape {batch_indices.shape_text()}")
    if batch_indices.dtype not in (None, "int64"):
        raise RoiAlignError(f"batch_indices must be int64, got {batch_indices.dtype}")
    if rois.shape is not None and batch_indices.shape is not None:
        counts = rois.shape[0], batch_indices.shape[0]
        if isinstance(counts[0], int) and isinstance(counts[1], int) and counts[0] != counts[1]:
            raise RoiAlignError(f"rois and batch_indices must have the same count, got {counts[0]} and {counts[1]}")


def _choice(names: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def check_values(X: Array, rois: Array, batch_indices: Array, attributes: Attributes) -> None:
    """Checks the values of arrays that `check_signature` let pass, X for its shape only.

    Raises:
        RoiAlignError: the text names the input, the rule, the value and its place.
    """
    images, channels, height, width = X.shape
    with np.errstate(over="ignore"):  # a float64 that float32 has no number for is named below
        corners = rois.astype(coordinate_type(X.dtype))
    _check_coordinates(corners, attributes)
    wrong = np.flatnonzero((batch_indices < 0) | (batch_indices >= images))
    if wrong.size:
        row = wrong[0]
        raise RoiAlignError(f"batch_indices must be in [0, {images}), got {batch_indices[row]} at row {row}")
    if (height == 0 or width == 0) and images * channels * len(rois) > 0:
        raise RoiAlignError(f"X must have H and W of at least 1, got shape {X.shape}")


def _check_coordinates(corners: Array, attributes: Attributes) -> None:
    if place := _first(~np.isfinite(corners)):
        raise RoiAlignError(f"rois must be finite, got {_coordinate(corners, place)}")
    with np.errstate(over="ignore", invalid="ignore"):
        start, end = scaled_ends(corners[:, :2], corners[:, 2:], attributes.spatial_scale, attributes.semantics)
        size = end - start
    if place := _first(~np.isfinite(np.hstack([start, np.where(np.isfinite(end), size, end)]))):
        scale = attributes.spatial_scale
        raise RoiAlignError(f"rois must stay finite when scaled by {scale:.9g}, got {_coordinate(corners, place)}")


def _first(wrong: Array) -> tuple[int, int] | None:
    found = np.flatnonzero(wrong)
    return divmod(int(found[0]), 4) if found.size else None


def _coordinate(corners: Array, place: tuple[int, int]) -> str:
    row, column = place
    return f"{corners[place]:.9g} at row {row}, column {column} ({_COLUMNS[column]})"
