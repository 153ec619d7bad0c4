"""Checks the arrays of a call before anything is computed.

The order of the checks is the same here and in kernels/checks.cpp, so that both report the same error if there are
several: the fields of Semantics; the attributes in the order of their fields (`attributes`); threads; types and shapes;
the numbers in the coordinate type; sizes; batch_indices; coordinates, row by row.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.element_types import TYPES, coordinate_type
from onnx_roialign.definition.geometry import scaled_ends
from onnx_roialign.errors import RoiAlignError

__all__ = [
    "Given",
    "check_arrays",
    "check_counts",
    "check_scalar",
    "check_signature",
    "check_sizes",
    "check_values",
    "choice",
    "enough_memory",
    "new_output",
    "place",
]

# The limits of kernels/checks.cpp, which has the reasons.
MAX_MAP_SIZE = 1 << 22
_MAX_INT64 = 2**63 - 1
_MAX_ELEMENTS = _MAX_INT64 // 8

_COLUMNS = ("x1", "y1", "x2", "y2")


def check_arrays(X: Array, rois: Array, batch_indices: Array, attributes: Attributes) -> None:
    """Checks the inputs of one call.

    Args:
        X: (N, C, H, W) feature maps, float32, float64, float16 or bfloat16.
        rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image, of any of these types.
        batch_indices: (num_rois,) image of each RoI, int64.
        attributes: the attributes of the call.

    Raises:
        RoiAlignError: an input is invalid; the message names it, the rule and the value.
    """
    check_signature(*map(Given.of, (X, rois, batch_indices)), rois_types=TYPES)
    check_values(X, rois, batch_indices, attributes)


class Given(NamedTuple):
    """The known type and shape of an input: complete for an array, perhaps incomplete for a value of a model.

    Attributes:
        dtype: NumPy's name of the type; None: unknown.
        shape: for each dimension its size, its name, or None if it is unknown; None: the rank is unknown.
    """

    dtype: str | None
    shape: tuple[int | str | None, ...] | None

    @classmethod
    def of(cls, array: Array) -> Given:
        """Returns the type and shape of an array."""
        return cls(str(array.dtype), array.shape)

    def shape_text(self) -> str:
        """Returns the shape as NumPy prints it, with ``?`` for unknown sizes."""
        sizes = ["?" if size in (None, "") else str(size) for size in self.shape or ()]
        return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"


def check_signature(
    X: Given,
    rois: Given,
    batch_indices: Given,
    *,
    types: tuple[str, ...] = TYPES,
    rois_types: tuple[str, ...] | None = None,
) -> None:
    """Checks the known types and shapes of one call; unknown ones are accepted.

    Args:
        X: (N, C, H, W), one of types.
        rois: (num_rois, 4), one of rois_types.
        batch_indices: (num_rois,), int64.
        types: names of the types that X may have.
        rois_types: names of the types that rois may have; None: only X's type, as in ONNX's RoiAlign.

    Raises:
        RoiAlignError: an input is invalid; the message names it, the rule and the value.
    """
    if X.shape is not None and len(X.shape) != 4:
        raise RoiAlignError("X", "shape", f"must have rank 4 (N, C, H, W), got shape {X.shape_text()}")
    if X.dtype is not None and X.dtype not in types:
        raise RoiAlignError("X", "type", f"must be {choice(types)}, got {X.dtype}")
    if rois.shape is not None and (len(rois.shape) != 2 or (isinstance(rois.shape[1], int) and rois.shape[1] != 4)):
        raise RoiAlignError("rois", "shape", f"must have shape (num_rois, 4), got shape {rois.shape_text()}")
    if rois.dtype is not None and rois.dtype not in (rois_types or (X.dtype or rois.dtype,)):
        wanted = f"be {choice(rois_types)}" if rois_types else f"have X's type {X.dtype}"
        raise RoiAlignError("rois", "type", f"must {wanted}, got {rois.dtype}")
    if batch_indices.shape is not None and len(batch_indices.shape) != 1:
        raise RoiAlignError(
            "batch_indices",
            "shape",
            f"must have shape (num_rois,), got shape {batch_indices.shape_text()}",
        )
    if batch_indices.dtype not in (None, "int64"):
        raise RoiAlignError("batch_indices", "type", f"must be int64, got {batch_indices.dtype}")
    check_counts("rois and batch_indices", rois, batch_indices)


def check_counts(names: str, first: Given, second: Given) -> None:
    """Checks that the first axes of two inputs of rank 1 or more, if both are known, have the same size.

    Raises:
        RoiAlignError: the sizes differ; ``names`` is the subject of the message.
    """
    if first.shape is not None and second.shape is not None:
        counts = first.shape[0], second.shape[0]
        if isinstance(counts[0], int) and isinstance(counts[1], int) and counts[0] != counts[1]:
            raise RoiAlignError(names, "shape", f"must have the same count, got {counts[0]} and {counts[1]}")


def check_scalar(name: str, value: Given) -> None:
    """Checks the shape of an input of one element.

    Raises:
        RoiAlignError: the known shape is neither () nor (1,).
    """
    if value.shape is not None and (len(value.shape) > 1 or any(isinstance(n, int) and n != 1 for n in value.shape)):
        raise RoiAlignError(name, "shape", f"must be a scalar, got shape {value.shape_text()}")


def choice(names: tuple[str, ...]) -> str:
    """Returns names as messages list them: "a, b or c"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def check_values(X: Array, rois: Array, batch_indices: Array, attributes: Attributes) -> None:
    """Checks the values of rois and batch_indices that passed `check_signature`, and the shape of X.

    Raises:
        RoiAlignError: a value is invalid; the message names the input, the rule, the value and its position.
    """
    check_sizes(X, len(rois), attributes)
    images = len(X)
    wrong = np.flatnonzero((batch_indices < 0) | (batch_indices >= images))
    if wrong.size:
        row = wrong[0]
        raise RoiAlignError(
            "batch_indices", "range", f"must be in [0, {images}), got {batch_indices[row]} at row {row}"
        )
    with np.errstate(over="ignore"):  # a float64 too large for float32 is reported below
        corners = rois.astype(coordinate_type(X.dtype))
    _check_coordinates(corners, attributes)


def check_sizes(X: Array, num_rois: int, attributes: Attributes) -> None:
    """Checks the attributes' numbers in X's coordinate type, and that the sizes can be addressed.

    Raises:
        RoiAlignError: a number or a size is invalid; the message names it and the rule.
    """
    attributes.check_in(X.dtype)
    shape = images, channels, height, width = X.shape
    if not _addressable(images, channels, height, width):
        raise RoiAlignError("X", "size", f"must have sizes whose product can be addressed, got shape {shape}")
    if max(height, width) > MAX_MAP_SIZE:
        raise RoiAlignError("X", "range", f"must have H and W of at most {MAX_MAP_SIZE}, got shape {shape}")
    if not _addressable(num_rois, channels, attributes.output_height, attributes.output_width):
        raise RoiAlignError(
            "rois", "size", f"must leave an output that can be addressed, got {num_rois} rois of {channels} channels"
        )
    if (height == 0 or width == 0) and images * channels * num_rois > 0:
        raise RoiAlignError("X", "range", f"must have H and W of at least 1, got shape {shape}")


def _addressable(*sizes: int) -> bool:
    elements = 1
    for size in sizes:
        elements *= size
        if elements > _MAX_INT64:
            return False
    return elements <= _MAX_ELEMENTS


def _check_coordinates(corners: Array, attributes: Attributes) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        start, end = scaled_ends(corners[:, :2], corners[:, 2:], attributes.spatial_scale, attributes.semantics)
        size = end - start
    given = np.isfinite(corners)
    scaled = np.isfinite(np.hstack([start, np.where(np.isfinite(end), size, end)]))
    wrong = np.flatnonzero(~(given & scaled).all(axis=1))
    if wrong.size == 0:
        return
    row = int(wrong[0])
    if not given[row].all():
        raise RoiAlignError("rois", "range", f"must be finite, got {place(corners, row, int(given[row].argmin()))}")
    where = place(corners, row, int(scaled[row].argmin()))
    raise RoiAlignError("rois", "range", f"must stay finite when scaled by {attributes.spatial_scale:.9g}, got {where}")


def place(rois: Array, row: int, column: int) -> str:
    """Returns a coordinate and its position in the form that messages use."""
    return f"{float(rois[row, column]):.9g} at row {row}, column {column} ({_COLUMNS[column]})"


def new_output(X: Array, num_rois: int, attributes: Attributes) -> Array:
    """Returns an uninitialised output array, (num_rois, C, output_height, output_width), of X's type.

    Raises:
        RoiAlignError: there is not enough memory.
    """
    with enough_memory(
        "rois", f"must leave an output that fits into memory, got {num_rois} rois of {X.shape[1]} channels"
    ):
        return np.empty((num_rois, X.shape[1], attributes.output_height, attributes.output_width), X.dtype)


@contextlib.contextmanager
def enough_memory(subject: str, rule: str) -> Iterator[None]:
    """Context manager that turns a MemoryError into a RoiAlignError with this subject and rule."""
    try:
        yield
    except MemoryError:
        raise RoiAlignError(subject, "size", rule) from None
