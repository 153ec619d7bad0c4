"""The inputs of a model: read from a .npz file, or generated from the declared shapes; checked in both cases."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.checks import check_arrays
from onnx_roialign.errors import RoiAlignError, UnreadableModelError
from onnx_roialign.onnx_model.file import parse
from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.ops.nodes import is_private, is_roi_align, node_name

__all__ = [
    "Declared",
    "array_names",
    "check_inputs",
    "check_repeat",
    "declared_inputs",
    "generated_inputs",
    "given_inputs",
    "read_model",
]

GENERATED_ROIS = 8  # RoIs if the model does not declare their number
GENERATED_SIDE = 64  # height and width of an image or feature map if the model does not declare them
GENERATED_SIZE = 2  # every other dimension that is not declared
_MOST_GENERATED = 2**28  # elements of an input: 1 GB of float32


@dataclass(frozen=True, slots=True)
class Declared:
    """A graph input as the model declares it.

    Attributes:
        name: the input's name.
        dtype: the type of its elements.
        dims: for each dimension its number, or its name, which may be empty; None: the model declares no shape.
    """

    name: str
    dtype: np.dtype[Any]
    dims: tuple[int | str, ...] | None


# More runs do not make a median more precise.
_MOST_RUNS = 10_000


def check_repeat(repeat: int) -> None:
    """Checks the number of runs.

    Raises:
        RoiAlignError: the number is not in [1, 10000].
    """
    if not 1 <= repeat <= _MOST_RUNS:
        raise RoiAlignError("--repeat", "range", f"must be in [1, {_MOST_RUNS}], got {repeat}")


def read_model(given: Path | bytes) -> onnx.ModelProto:
    """Reads a model, given as a path or as bytes, without its external data.

    Raises:
        UnreadableModelError: the file does not exist, or has no ONNX graph with outputs.
    """
    model = parse(given)
    if not model.graph.output:
        shown = f"{len(given)} bytes" if isinstance(given, bytes) else repr(str(given))
        raise UnreadableModelError("model", "form", f"must be an ONNX model with outputs, got {shown} without any")
    return model


def _read_arrays(path: Path) -> dict[str, Array]:
    """Reads every array of the .npz file at `path`.

    Raises:
        RoiAlignError: the file does not exist, or is not a readable .npz.
    """
    if not os.path.isfile(path):
        raise RoiAlignError("--inputs", "file", f"must be a file, got {str(path)!r}")
    try:
        with np.load(path) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        # NumPy also opens .npy and text files, and then fails with one of these exceptions.
        raise RoiAlignError("--inputs", "file", f"must be a readable .npz file, got {str(path)!r}") from error


def declared_inputs(model: onnx.ModelProto) -> tuple[Declared, ...]:
    """Returns the inputs that a caller must pass: the graph's inputs without an initializer.

    Raises:
        RoiAlignError: an input is not a tensor of numbers.
    """
    initialized = {tensor.name for tensor in model.graph.initializer}
    return tuple(_declared(value) for value in model.graph.input if value.name not in initialized)


def _declared(value: onnx.ValueInfoProto) -> Declared:
    tensor = value.type.tensor_type
    if tensor.elem_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        raise RoiAlignError(
            value.name, "type", f"must be a tensor of numbers, got {value.type.WhichOneof('value') or 'none'}"
        )
    dims = None
    if tensor.HasField("shape"):
        dims = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in tensor.shape.dim)
    return Declared(value.name, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)), dims)


def check_inputs(declared: tuple[Declared, ...], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Returns the arrays that are inputs, in the model's order.

    Raises:
        RoiAlignError: an input is missing, or its type or shape is not the declared value.
    """
    for value in declared:
        if value.name not in arrays:
            raise RoiAlignError(
                value.name, "missing", f"must be among the inputs, got {', '.join(sorted(arrays)) or 'none'}"
            )
        got = arrays[value.name]
        if got.dtype != value.dtype:
            raise RoiAlignError(value.name, "type", f"must be {value.dtype}, got {got.dtype}")
        if value.dims is not None and not _fits(got.shape, value.dims):
            raise RoiAlignError(value.name, "shape", f"must have shape ({_listed(value.dims)}), got shape {got.shape}")
    return {value.name: arrays[value.name] for value in declared}


def given_inputs(model: onnx.ModelProto, path: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """Returns the arrays of a .npz file that are the model's inputs, and those that are its outputs.

    A .npz file stores bfloat16, which NumPy does not have, as two bytes without a type; the type is read from the
    model.

    Raises:
        RoiAlignError: the file cannot be read, or an input is missing or has another type or shape than declared.
    """
    arrays = _read_arrays(path)
    for value in (*model.graph.input, *model.graph.output):
        kind = value.type.tensor_type.elem_type
        got = arrays.get(value.name)
        if got is not None and got.dtype.kind == "V" and kind not in (0, onnx.TensorProto.STRING):
            dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))
            if dtype.kind == "V" and dtype.itemsize == got.dtype.itemsize:
                arrays[value.name] = got.view(dtype)
    outputs = {output.name: arrays[output.name] for output in model.graph.output if output.name in arrays}
    return check_inputs(declared_inputs(model), arrays), outputs


def array_names(path: Path) -> tuple[str, ...]:
    """Returns the names of the arrays in a .npz file that `given_inputs` has read."""
    with np.load(path) as arrays:
        return tuple(arrays.files)


def _fits(shape: tuple[int, ...], dims: tuple[int | str, ...]) -> bool:
    return len(shape) == len(dims) and all(isinstance(d, str) or n == d for n, d in zip(shape, dims, strict=True))


def _listed(dims: tuple[int | str, ...]) -> str:
    return ", ".join(str(d) if d != "" else "?" for d in dims) + ("," if len(dims) == 1 else "")


def generated_inputs(model: onnx.ModelProto, seed: int = 0) -> dict[str, Array]:
    """Generates inputs on which the model can run; the same seed gives the same inputs.

    Floats are uniform in [0, 1), integers and booleans are zero. Float inputs with 4 columns (x1, y1, x2, y2) or 5
    columns (image 0, x1, y1, x2, y2), and those that a RoiAlign reads as `rois`, are boxes inside the image. Dimensions
    that the model does not declare become 8 RoIs, 64 pixels, or 2; dimensions of the same name have the same size. An
    input of a RoiAlign without a declared shape gets the shape that RoiAlign needs.

    Raises:
        RoiAlignError: an input is not a tensor of numbers, has no known shape, or does not satisfy the rules of the
            RoiAlign that reads it.
    """
    nodes = [node for node in _pooling_nodes(model) if len(node.input) == 3]
    declared = tuple(_with_dims(value, nodes) for value in declared_inputs(model))
    rois, indices = {node.input[1] for node in nodes}, {node.input[2] for node in nodes}
    shapes = _generated_shapes(declared, rois | indices)
    for name, shape in shapes.items():
        if min(shape, default=0) < 0 or math.prod(shape) > _MOST_GENERATED:
            raise RoiAlignError(
                name, "size", f"must have at most {_MOST_GENERATED} elements to be generated, got shape {shape}"
            )
    extent = _image_extent(model, shapes)
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    for value in declared:
        shape = shapes[value.name]
        floating = value.dtype.kind not in "biu"
        if floating and len(shape) == 2 and (shape[1] in (4, 5) or value.name in rois):
            values: Array = _boxes(rng, shape[0], shape[1], extent)
        elif floating:
            values = rng.random(shape)
        else:
            values = np.zeros(shape)
        arrays[value.name] = values.astype(value.dtype)
    for node in nodes:
        if is_roi_align(node) and all(name in arrays for name in node.input):
            try:
                X, boxes, images = (arrays[name] for name in node.input)
                check_arrays(X, boxes, images, Attributes())
            except RoiAlignError as error:
                subject, code, rule = error.args
                rule += ", as the model declares its inputs"
                raise RoiAlignError(subject, code, rule, node=node_name(node)) from None
    return arrays


def _pooling_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Returns the RoiAligns of the model's graph and its bodies, which can read the graph's inputs."""
    return [
        node
        for scope in scopes(model)
        if scope.graph is not None
        for node in scope.nodes
        if is_roi_align(node) or is_private(node)
    ]


def _with_dims(value: Declared, nodes: Sequence[onnx.NodeProto]) -> Declared:
    """Returns the input with dimensions: if the model declares none, those that a RoiAlign needs."""
    if value.dims is not None:
        return value
    roles: tuple[tuple[int | str, ...], ...] = (("", "", "", ""), ("", 4), ("",))
    for node in nodes:
        for name, dims in zip(node.input, roles, strict=True):
            if name == value.name:
                return replace(value, dims=dims)
    raise RoiAlignError(value.name, "missing", "must have a shape for inputs to be generated, got none; pass --inputs")


def _generated_shapes(declared: Sequence[Declared], per_roi: set[str]) -> dict[str, tuple[int, ...]]:
    # The inputs of RoiAlign come first: other inputs that share the name of a dimension then also get the number of
    # RoIs.
    fixed = [value.dims[0] for value in declared if value.name in per_roi and value.dims]
    count = next((size for size in fixed if isinstance(size, int)), GENERATED_ROIS)
    sizes: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for value in sorted(declared, key=lambda d: d.name not in per_roi):
        shape = []
        dims = value.dims or ()
        for axis, dim in enumerate(dims):
            boxes = len(dims) == 2 and dims[1] in (4, 5)
            if isinstance(dim, int):
                size = dim
            elif axis == 0 and (value.name in per_roi or boxes):
                size = count if value.name in per_roi else GENERATED_ROIS
            elif value.name in per_roi:
                size = 4  # the columns of rois
            else:
                size = GENERATED_SIDE if len(dims) >= 3 and axis >= len(dims) - 2 else GENERATED_SIZE
            shape.append(sizes.setdefault(dim, size) if isinstance(dim, str) and dim else size)
        shapes[value.name] = tuple(shape)
    return shapes


def _image_extent(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> tuple[float, float]:
    """Returns height and width of the image in pixels, from the shapes of the inputs."""
    for node in _pooling_nodes(model):
        if node.input and len(shapes.get(node.input[0], ())) == 4:
            scale = next((a.f for a in node.attribute if a.name == "spatial_scale" and a.f > 0), 1.0)
            height, width = shapes[node.input[0]][2:]
            return height / scale, width / scale
    maps = [shape[-2:] for shape in shapes.values() if len(shape) >= 3]
    height, width = max(maps, default=(GENERATED_SIDE, GENERATED_SIDE))
    return float(height), float(width)


def _boxes(rng: np.random.Generator, count: int, columns: int, extent: tuple[float, float]) -> Array:
    height, width = extent
    first, second = rng.uniform(0.0, 0.5, (2, count, 2))
    corner = first * (width, height)
    boxes = np.concatenate([corner, corner + second * (width, height)], axis=1)
    return np.concatenate([np.zeros((count, columns - 4)), boxes], axis=1)
