"""Converts a caller's arguments to arrays if no value is lost, and refuses ambiguous ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from onnx_roialign.arrays import Array
from onnx_roialign.definition.checks import enough_memory, place
from onnx_roialign.definition.element_types import TYPES, coordinate_type
from onnx_roialign.errors import RoiAlignError, one_line

__all__ = ["array_of", "as_arrays"]

_TOO_LARGE = "must fit into memory, got more than there is"


def as_arrays(X: npt.ArrayLike, rois: npt.ArrayLike, batch_indices: npt.ArrayLike) -> tuple[Array, Array, Array]:
    """Returns the inputs of one call as arrays; their types and shapes are still to be checked.

    Arrays are converted to the machine's byte order. batch_indices of any integer type become int64. rois in lists have
    no type of the caller's choice and get the type in which coordinates are computed. An array of another type is not
    converted.

    Raises:
        RoiAlignError: NumPy cannot make an array of an argument, or a number in rois or batch_indices is too large.
    """
    features, boxes, indices = (
        array_of(name, argument) for name, argument in (("X", X), ("rois", rois), ("batch_indices", batch_indices))
    )
    if not hasattr(rois, "dtype"):
        boxes = _rounded(boxes, features.dtype)
    with enough_memory("batch_indices", _TOO_LARGE):
        return features, boxes, _int64(indices, listed=not hasattr(batch_indices, "dtype"))


def array_of(name: str, argument: npt.ArrayLike) -> Array:
    """Returns an argument as an array in the machine's byte order.

    Raises:
        RoiAlignError: NumPy cannot make an array of the argument.
    """
    with enough_memory(name, _TOO_LARGE):
        try:
            array = np.asarray(argument)
        except MemoryError:
            raise
        except Exception as error:  # lists of uneven lengths and arrays of other libraries raise various exceptions
            reason = one_line(error)
            raise RoiAlignError(
                name, "type", f"must be an array, got a value that NumPy cannot convert to one: {reason[:200]}"
            ) from error
        return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _rounded(rois: Array, dtype: np.dtype[Any]) -> Array:
    if rois.dtype.kind not in "iuf" or dtype.name not in TYPES:
        return rois
    real = np.dtype(coordinate_type(dtype))
    with np.errstate(over="ignore"):
        rounded = rois.astype(real)
    lost = np.isfinite(rois.astype(np.float64)) & ~np.isfinite(rounded)
    if rois.ndim == 2 and rois.shape[1] == 4 and lost.any():
        row, column = map(int, np.argwhere(lost)[0])
        raise RoiAlignError("rois", "range", f"must be finite in {real}, got {place(rois, row, column)}")
    return rounded


def _int64(indices: Array, listed: bool) -> Array:
    if listed and indices.size == 0:
        return indices.astype(np.int64)  # an empty list is an array of float64
    if indices.dtype.kind not in "iu":
        return indices
    if indices.ndim == 1 and indices.dtype.kind == "u":
        large = np.flatnonzero(indices > np.iinfo(np.int64).max)
        if large.size:
            row = large[0]
            raise RoiAlignError("batch_indices", "range", f"must fit into int64, got {indices[row]} at row {row}")
    return indices.astype(np.int64, copy=False)
