"""What the front doors share: a function that can write itself as a model, and the checks of their arguments."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, ParamSpec

import numpy as np
import numpy.typing as npt
import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.engines.by_name import Engine, engine_named
from onnx_roialign.errors import RoiAlignError

__all__ = [
    "Array",
    "Engine",
    "FrontDoor",
    "adaptive_or",
    "boxes_of",
    "features_of",
    "front_door",
    "join_images",
    "pair",
    "pool",
    "split_images",
]


Call = ParamSpec("Call")
Write = ParamSpec("Write")


class FrontDoor(Generic[Call, Write]):
    """A framework's function on NumPy arrays; `to_onnx` writes it as a model, from the arguments that are no arrays."""

    def __init__(self, call: Callable[Call, Array], to_onnx: Callable[Write, onnx.ModelProto]) -> None:
        functools.update_wrapper(self, call)
        self._call = call
        self.to_onnx = to_onnx

    def __call__(self, *args: Call.args, **kwargs: Call.kwargs) -> Array:
        """The framework's call."""
        return self._call(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<front door {self._call.__module__}.{self._call.__qualname__}>"


def front_door(
    to_onnx: Callable[Write, onnx.ModelProto],
) -> Callable[[Callable[Call, Array]], FrontDoor[Call, Write]]:
    """Decorates a function with the one that writes it."""
    return lambda call: FrontDoor(call, to_onnx)


def pool(X: Array, rois: Array, batch_indices: Array, attributes: Attributes, engine: Engine) -> Array:
    """One call by an engine."""
    return engine_named(engine)(X, rois, batch_indices, attributes)


def pair(output_size: int | Iterable[int]) -> tuple[int, int]:
    """(height, width), of an integer or of two.

    Raises:
        RoiAlignError: neither.
    """
    if isinstance(output_size, Iterable):
        sizes = list(output_size)
        if len(sizes) == 2:
            return sizes[0], sizes[1]
    elif hasattr(output_size, "__index__"):
        return output_size, output_size
    raise RoiAlignError(f"output_size must be an integer or a pair (height, width), got {output_size!r}")


def adaptive_or(sampling_ratio: int) -> int:
    """ONNX's sampling_ratio: 0 for adaptive, which the frameworks spell as anything up to 0.

    Raises:
        RoiAlignError: not an integer.
    """
    try:
        return max(operator.index(sampling_ratio), 0)
    except TypeError:
        raise RoiAlignError(f"sampling_ratio must be an integer, got {sampling_ratio!r}") from None


def features_of(name: str, value: npt.ArrayLike, types: tuple[str, ...]) -> Array:
    """Feature maps (N, C, H, W) of one of these types.

    Raises:
        RoiAlignError: they are not.
    """
    array = np.asarray(value)
    if array.ndim != 4:
        raise RoiAlignError(f"{name} must have rank 4 (N, C, H, W), got shape {array.shape}")
    if array.dtype.name not in types:
        raise RoiAlignError(f"{name} must be {' or '.join(types)}, got {array.dtype}")
    return array


def boxes_of(name: str, value: Any, columns: str, dtype: np.dtype[Any], owner: str) -> Array:
    """A matrix with one row per box.

    Args:
        name: the argument's, for messages.
        value: the argument.
        columns: the expected shape as the framework writes it, "(K, 5)".
        dtype: of the feature maps, which the boxes must share.
        owner: the name of the feature maps.

    Raises:
        RoiAlignError: another shape or type.
    """
    array = np.asarray(value)
    if array.ndim != 2 or array.shape[1] != int(columns[-2]):
        raise RoiAlignError(f"{name} must have shape {columns}, got shape {array.shape}")
    if array.dtype != dtype:
        whose = f"{owner}'" if owner.endswith("s") else f"{owner}'s"
        raise RoiAlignError(f"{name} must have {whose} type {dtype}, got {array.dtype}")
    return array


def join_images(boxes: Sequence[npt.ArrayLike], dtype: np.dtype[Any], owner: str) -> tuple[Array, Array]:
    """One (L, 4) matrix of rows x1, y1, x2, y2 per image together: (K, 4) rois and (K,) batch_indices.

    Args:
        boxes: at least one matrix.
        dtype: of the feature maps, which the boxes must share.
        owner: the name of the feature maps.

    Raises:
        RoiAlignError: another shape or type.
    """
    each = [boxes_of(f"boxes[{i}]", own, "(L, 4)", dtype, owner) for i, own in enumerate(boxes)]
    return np.concatenate(each), np.repeat(np.arange(len(each)), [len(own) for own in each])


def split_images(name: str, boxes: Array, *, nearest: bool = False) -> tuple[Array, Array]:
    """Rows (image, x1, y1, x2, y2) apart: (K, 4) boxes and (K,) images.

    Args:
        name: the argument's, for messages.
        boxes: the rows.
        nearest: whether an image is rounded to the nearest whole number, halves up, instead of cut to one.

    Raises:
        RoiAlignError: an image that is no number.
    """
    images = boxes[:, 0]
    wrong = np.flatnonzero(~np.isfinite(images))
    if wrong.size:
        row = wrong[0]
        raise RoiAlignError(f"{name} must be finite, got {images[row]} at row {row}, column 0 (image)")
    limit = 2**62  # of any sign: no tensor has that many images, and int64 has room for it
    images = np.floor(images.astype(np.float64) + 0.5) if nearest else images.astype(np.float64)
    return np.ascontiguousarray(boxes[:, 1:]), np.clip(images, -limit, limit).astype(np.int64)
