"""The common parts of the frameworks' calls: functions with a `to_onnx`, and the checks of arguments."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, ParamSpec

import numpy as np
import numpy.typing as npt
import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import Attributes, as_index, integer, positive
from onnx_roialign.definition.checks import choice
from onnx_roialign.definition.pyramid import MAX_LEVELS, Pyramid
from onnx_roialign.engines.by_name import Engine, engine_named, multiscale_engine_named
from onnx_roialign.engines.caller_arrays import array_of
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.onnx_model.writer import GraphWriter

__all__ = [
    "TORCH_TYPES",
    "Array",
    "Engine",
    "FrameworkCall",
    "boxes_of",
    "elements",
    "features_of",
    "framework_call",
    "image_count",
    "join_images",
    "maps_of",
    "onnx_sampling_ratio",
    "pair",
    "pool",
    "pool_levels",
    "positives",
    "split_images",
    "write_levels",
]

# The types of maps that torchvision's operator supports, which the poolers of other libraries call.
TORCH_TYPES = ("float32", "float64", "float16")

_MOST_IMAGES = 65536

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

    def __reduce__(self) -> str:
        return f"{self._call.__qualname__}"  # the name by which pickle finds it in its module, like any function

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


def pool_levels(
    rois: Array,
    batch_indices: Array,
    features: Sequence[Array],
    pyramid: Pyramid,
    engine: Engine,
    levels: Array | None = None,
) -> Array:
    """Computes MultiScaleRoiAlign on the named engine, or for a single map RoiAlign, as all frameworks do."""
    if len(features) == 1:
        return pool(features[0], rois, batch_indices, pyramid.at(0), engine)
    return multiscale_engine_named(engine)(rois, batch_indices, features, pyramid, levels)


def write_levels(
    graph: GraphWriter,
    rois: str,
    batch_indices: str,
    features: Sequence[str],
    pyramid: Pyramid,
    *,
    levels: str = "",
    same_type: bool = True,
) -> onnx.ModelProto:
    """Returns a model that computes the same as `pool_levels`.

    Args:
        graph: the graph with the inputs.
        rois: name of the value.
        batch_indices: name of the value.
        features: names of the maps.
        pyramid: the attributes.
        levels: name of the value; empty: the pyramid's rule assigns the levels.
        same_type: whether rois have the type of the maps.
    """
    if len(features) == 1:
        graph.roi_align(features[0], rois, batch_indices, "output", pyramid.at(0), same_type=same_type)
    else:
        graph.multiscale_roi_align(rois, batch_indices, features, "output", pyramid, levels=levels)
    return graph.model("output", ("K", "C", pyramid.attributes.output_height, pyramid.attributes.output_width))


def pair(output_size: int | Iterable[int]) -> tuple[int, int]:
    """Returns (height, width) from one integer or from a pair.

    Raises:
        RoiAlignError: output_size is neither an integer nor a pair.
    """
    with contextlib.suppress(TypeError):
        size = as_index(output_size)
        return size, size
    try:
        height, width = output_size  # type: ignore[misc]
        return height, width
    except (TypeError, ValueError):
        raise RoiAlignError(
            "output_size", "type", f"must be an integer or a pair (height, width), got {shown(output_size)}"
        ) from None


def image_count(images: object) -> int:
    """Returns the number of images for which a model gets inputs of their own.

    Raises:
        RoiAlignError: it is not an integer in [1, 65536].
    """
    count = integer("images", images)
    if not 1 <= count <= _MOST_IMAGES:
        raise RoiAlignError("images", "range", f"must be in [1, {_MOST_IMAGES}], got {shown(count)}")
    return count


def positives(name: str, values: Iterable[float]) -> tuple[float, ...]:
    """Returns one number for each map of a pyramid.

    Raises:
        RoiAlignError: there are no numbers or too many, or a number is not finite or not > 0.
    """
    try:
        given = list(itertools.islice(values, MAX_LEVELS + 1))  # it may have no end
    except TypeError:
        given = []
    if not 1 <= len(given) <= MAX_LEVELS:
        raise RoiAlignError(name, "range", f"must be 1 to {MAX_LEVELS} numbers, got {shown(values)}")
    return tuple(positive(f"{name}[{i}]", value) for i, value in enumerate(given))


def onnx_sampling_ratio(sampling_ratio: int) -> int:
    """Converts a framework's sampling_ratio to ONNX's: any value of 0 or less is adaptive, which is 0 in ONNX.

    Raises:
        RoiAlignError: sampling_ratio is not an integer.
    """
    return max(integer("sampling_ratio", sampling_ratio), 0)


def features_of(name: str, value: npt.ArrayLike, types: tuple[str, ...]) -> Array:
    """Returns value as an array of feature maps (N, C, H, W) of one of these types.

    Raises:
        RoiAlignError: the rank is not 4, or the type is not one of these.
    """
    array = array_of(name, value)
    if array.ndim != 4:
        raise RoiAlignError(name, "shape", f"must have rank 4 (N, C, H, W), got shape {array.shape}")
    if array.dtype.name not in types:
        raise RoiAlignError(name, "type", f"must be {' or '.join(types)}, got {array.dtype}")
    return array


def maps_of(name: str, values: Sequence[npt.ArrayLike], types: tuple[str, ...]) -> list[Array]:
    """Returns the maps of a feature pyramid as arrays (N, C, H, W) of one of these types.

    Args:
        name: name of the argument, for messages.
        values: the maps, at least one.
        types: names of the permitted types.

    Raises:
        RoiAlignError: a map has another rank, or the maps differ in N, C or type.
    """
    maps = [array_of(f"{name}[{i}]", value) for i, value in enumerate(values)]
    if any(X.ndim != 4 or X.shape[:2] != maps[0].shape[:2] for X in maps):
        shapes = [X.shape for X in maps]
        raise RoiAlignError(name, "shape", f"must have maps (N, C, H, W) of one N and one C, got shapes {shapes}")
    if any(X.dtype != maps[0].dtype or X.dtype.name not in types for X in maps):
        got = ", ".join(str(X.dtype) for X in maps)
        raise RoiAlignError(name, "type", f"must have maps of one type, {choice(types)}, got {got}")
    return maps


def elements(value: Any) -> list[Any]:
    """Returns the elements of anything that has a number of them, else none."""
    try:
        return list(value) if len(value) else []
    except TypeError:
        return []


def boxes_of(name: str, value: Any, columns: str, dtype: np.dtype[Any], owner: str) -> Array:
    """Returns value as a matrix with one row per box.

    Args:
        name: name of the argument, for messages.
        value: the argument.
        columns: the expected shape as the framework writes it, such as "(K, 5)".
        dtype: type of the feature maps, which the boxes must also have.
        owner: name of the feature maps, for messages.

    Raises:
        RoiAlignError: the shape or the type is not the expected one.
    """
    array = array_of(name, value)
    if array.ndim != 2 or array.shape[1] != int(columns[-2]):
        raise RoiAlignError(name, "shape", f"must have shape {columns}, got shape {array.shape}")
    if array.dtype != dtype:
        whose = f"{owner}'" if owner.endswith("s") else f"{owner}'s"
        raise RoiAlignError(name, "type", f"must have {whose} type {dtype}, got {array.dtype}")
    return array


def join_images(boxes: Sequence[npt.ArrayLike], dtype: np.dtype[Any], owner: str) -> tuple[Array, Array]:
    """Concatenates one (L, 4) matrix of rows x1, y1, x2, y2 per image; returns (K, 4) rois and (K,) batch_indices.

    Args:
        boxes: one matrix per image.
        dtype: type of the feature maps, which the boxes must also have.
        owner: name of the feature maps, for messages.

    Raises:
        RoiAlignError: there is no matrix, or one has another shape or type.
    """
    given = elements(boxes)
    if not given:
        raise RoiAlignError("boxes", "type", f"must be one (L, 4) matrix per image, got {shown(boxes)}")
    images = [boxes_of(f"boxes[{i}]", image, "(L, 4)", dtype, owner) for i, image in enumerate(given)]
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
        raise RoiAlignError(name, "range", f"must be finite, got {images[row]} at row {row}, column 0 (image)")
    limit = 2**62  # larger than any number of images, and an int64
    images = np.floor(images.astype(np.float64) + 0.5) if nearest else images.astype(np.float64)
    return np.ascontiguousarray(boxes[:, 1:]), np.clip(images, -limit, limit).astype(np.int64)
