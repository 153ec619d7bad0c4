"""What the frameworks' calls share: a function with a `to_onnx`, and the checks of the arguments."""

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
    "FrameworkCall",
    "boxes_of",
    "features_of",
    "framework_call",
    "join_images",
    "onnx_sampling_ratio",
    "pair",
    "pool",
    "split_images",
]


Call = ParamSpec("Call")
Write = ParamSpec("Write")


class FrameworkCall(Generic[Call, Write]):
    """A framework's function on NumPy arrays; `to_onnx` writes it as a model from its arguments that are not arrays."""

    def __init__(self, call: Callable[Call, Array], to_onnx: Callable[Write, onnx.ModelProto]) -> None:
        functools.update_wrapper(self, call)
        self._call = call
        self.to_onnx = to_onnx

    def __call__(self, *args: Call.args, **kwargs: Call.kwargs) -> Array:
        """Runs the framework's call."""
        return self._call(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<function {self._call.__module__}.{self._call.__qualname__} with to_onnx>"


def framework_call(
    to_onnx: Callable[Write, onnx.ModelProto],
) -> Callable[[Callable[Call, Array]], FrameworkCall[Call, Write]]:
    """Returns a decorator that adds `to_onnx` to a framework's function."""
    return lambda call: FrameworkCall(call, to_onnx)


def pool(X: Array, rois: Array, batch_indices: Array, attributes: Attributes, engine: Engine) -> Array:
    """Computes RoiAlign on the named engine."""
    return engine_named(engine)(X, rois, batch_indices, attributes)


def pair(output_size: int | Iterable[int]) -> tuple[int, int]:
    """Returns (height, width) from one integer or from a pair.

    Raises:
        RoiAlignError: output_size is neither an integer nor a pair.
    """
    if isinstance(output_size, Iterable):
        sizes = list(output_size)
        if len(sizes) == 2:
            return sizes[0], sizes[1]
    elif hasattr(output_size, "__index__"):
        return output_size, output_size
    raise RoiAlignError(f"output_size must be an integer or a pair (height, width), got {output_size!r}")


def onnx_sampling_ratio(sampling_ratio: int) -> int:
    """Returns ONNX's sampling_ratio for a framework's: any value of 0 or less is adaptive, which is 0 in ONNX.

    Raises:
        RoiAlignError: sampling_ratio is not an integer.
    """
    try:
        return max(operator.index(sampling_ratio), 0)
    except TypeError:
        raise RoiAlignError(f"sampling_ratio must be an integer, got {sampling_ratio!r}") from None


def features_of(name: str, value: npt.ArrayLike, types: tuple[str, ...]) -> Array:
    """Returns value as an array of feature maps (N, C, H, W) of one of these types.

    Raises:
        RoiAlignError: the rank is not 4, or the type is another one.
    """
    array = np.asarray(value)
    if array.ndim != 4:
        raise RoiAlignError(f"{name} must have rank 4 (N, C, H, W), got shape {array.shape}")
    if array.dtype.name not in types:
        raise RoiAlignError(f"{name} must be {' or '.join(types)}, got {array.dtype}")
    return array


def boxes_of(name: str, value: Any, columns: str, dtype: np.dtype[Any], owner: str) -> Array:
    """Returns value as a matrix with one row per box.

    Args:
        name: name of the argument, for messages.
        value: the argument.
        columns: the expected shape as the framework writes it, such as "(K, 5)".
        dtype: type of the feature maps, which the boxes must have too.
        owner: name of the feature maps, for messages.

    Raises:
        RoiAlignError: the shape or the type is another one.
    """
    array = np.asarray(value)
    if array.ndim != 2 or array.shape[1] != int(columns[-2]):
        raise RoiAlignError(f"{name} must have shape {columns}, got shape {array.shape}")
    if array.dtype != dtype:
        whose = f"{owner}'" if owner.endswith("s") else f"{owner}'s"
        raise RoiAlignError(f"{name} must have {whose} type {dtype}, got {array.dtype}")
    return array


def join_images(boxes: Sequence[npt.ArrayLike], dtype: np.dtype[Any], owner: str) -> tuple[Array, Array]:
    """Concatenates one (L, 4) matrix of rows x1, y1, x2, y2 per image; returns (K, 4) rois and (K,) batch_indices.

    Args:
        boxes: one matrix per image, at least one.
        dtype: type of the feature maps, which the boxes must have too.
        owner: name of the feature maps, for messages.

    Raises:
        RoiAlignError: a matrix has another shape or type.
    """
    images = [boxes_of(f"boxes[{i}]", image, "(L, 4)", dtype, owner) for i, image in enumerate(boxes)]
    return np.concatenate(images), np.repeat(np.arange(len(images)), [len(image) for image in images])


def split_images(name: str, boxes: Array, *, nearest: bool = False) -> tuple[Array, Array]:
    """Splits rows (image, x1, y1, x2, y2) into (K, 4) boxes and (K,) int64 image indices.

    Args:
        name: name of the argument, for messages.
        boxes: the rows.
        nearest: whether an image index is rounded to the nearest integer (halves up) instead of truncated.

    Raises:
        RoiAlignError: an image index is not finite.
    """
    images = boxes[:, 0]
    wrong = np.flatnonzero(~np.isfinite(images))
    if wrong.size:
        row = wrong[0]
        raise RoiAlignError(f"{name} must be finite, got {images[row]} at row {row}, column 0 (image)")
    limit = 2**62  # larger than any number of images, and within int64
    images = np.floor(images.astype(np.float64) + 0.5) if nearest else images.astype(np.float64)
    return np.ascontiguousarray(boxes[:, 1:]), np.clip(images, -limit, limit).astype(np.int64)
