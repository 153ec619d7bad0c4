"""A model's inputs: read from a .npz file, or made up from the shapes that the model declares; checked either way."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onnx_roialign.errors import RoiAlignError, UnreadableModelError
from onnx_roialign.model import is_roi_align, parse

__all__ = ["Declared", "check_inputs", "declared_inputs", "made_inputs", "read_arrays", "read_model"]

Array = NDArray[Any]

MADE_ROIS = 8  # RoIs where the model leaves their number open
MADE_SIDE = 64  # height and width of an image or feature map where the model leaves them open
MADE_SIZE = 2  # every other open dimension


@dataclass(frozen=True, slots=True)
class Declared:
    """One graph input as the model declares it; a dimension is a number, or a name (maybe empty) where it is open."""

    name: str
    dtype: np.dtype[Any]
    dims: tuple[int | str, ...]


def read_model(path: Path) -> onnx.ModelProto:
    """Reads the model at `path` without the data that it keeps in other files.

    Raises:
        UnreadableModelError: there is no such file, or it holds no ONNX graph with outputs.
    """
    model = parse(path)
    if not model.graph.output:
        raise UnreadableModelError(f"model must be an ONNX model with outputs, got {str(path)!r} without any")
    return model


def read_arrays(path: Path) -> dict[str, Array]:
    """Reads every array of the .npz file at `path`.

    Raises:
        RoiAlignError: there is no such file, or it is not a readable .npz.
    """
    if not path.is_file():
        raise RoiAlignError(f"--inputs must be a file, got {str(path)!r}")
    try:
        with np.load(path) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        # NumPy opens a lone .npy or a text file too, and then fails on what follows in one of these ways.
        raise RoiAlignError(f"--inputs must be a readable .npz file, got {str(path)!r}") from error


def declared_inputs(model: onnx.ModelProto) -> tuple[Declared, ...]:
    """Returns the inputs that a caller must give: the graph's, less those with an initializer.

    Raises:
        RoiAlignError: an input is not a tensor of numbers.
    """
    initialized = {tensor.name for tensor in model.graph.initializer}
    return tuple(_declared(value) for value in model.graph.input if value.name not in initialized)


def _declared(value: onnx.ValueInfoProto) -> Declared:
    tensor = value.type.tensor_type
    if tensor.elem_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        raise RoiAlignError(f"{value.name} must be a tensor of numbers, got {value.type.WhichOneof('value') or 'none'}")
    dims = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in tensor.shape.dim)
    return Declared(value.name, np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)), dims)


def check_inputs(declared: tuple[Declared, ...], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Returns those of `arrays` that are inputs, in the model's order.

    Raises:
        RoiAlignError: an input is missing, or its type or shape is not the declared one.
    """
    for one in declared:
        if one.name not in arrays:
            raise RoiAlignError(f"{one.name} must be among the inputs, got {', '.join(sorted(arrays)) or 'none'}")
        got = arrays[one.name]
        if got.dtype != one.dtype:
            raise RoiAlignError(f"{one.name} must be {one.dtype}, got {got.dtype}")
        if not _fits(got.shape, one.dims):
            raise RoiAlignError(f"{one.name} must have shape ({_listed(one.dims)}), got shape {got.shape}")
    return {one.name: arrays[one.name] for one in declared}


def _fits(shape: tuple[int, ...], dims: tuple[int | str, ...]) -> bool:
    return len(shape) == len(dims) and all(isinstance(d, str) or n == d for n, d in zip(shape, dims, strict=True))


def _listed(dims: tuple[int | str, ...]) -> str:
    return ", ".join(str(d) if d != "" else "?" for d in dims) + ("," if len(dims) == 1 else "")


def made_inputs(model: onnx.ModelProto, seed: int = 0) -> dict[str, Array]:
    """Makes inputs that the model can run on, the same ones every time.

    Floats are uniform in [0, 1), integers and booleans zero. What looks like boxes is made as boxes that lie inside
    the image: a float input with 4 columns (x1, y1, x2, y2), or with 5 (image 0, then the same), or that a RoiAlign
    node takes as its `rois`. Dimensions that the model leaves open become 8 RoIs, 64 pixels, or 2; one name, one size.

    Raises:
        RoiAlignError: an input is not a tensor of numbers.
    """
    declared = declared_inputs(model)
    nodes = [node for node in model.graph.node if is_roi_align(node) and len(node.input) == 3]
    rois, indices = {node.input[1] for node in nodes}, {node.input[2] for node in nodes}
    shapes = _made_shapes(declared, rois | indices)
    extent = _image_extent(model, shapes)
    rng = np.random.default_rng(seed)
    made: dict[str, Array] = {}
    for one in declared:
        shape = shapes[one.name]
        floating = one.dtype.kind not in "biu"
        if floating and len(shape) == 2 and (shape[1] in (4, 5) or one.name in rois):
            values: Array = _boxes(rng, shape[0], shape[1], extent)
        elif floating:
            values = rng.random(shape)
        else:
            values = np.zeros(shape)
        made[one.name] = values.astype(one.dtype)
    return made


def _made_shapes(declared: tuple[Declared, ...], per_roi: set[str]) -> dict[str, tuple[int, ...]]:
    # RoiAlign's own inputs first: where they share a dimension's name with another input, it means the RoIs there too.
    sizes: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for one in sorted(declared, key=lambda d: d.name not in per_roi):
        shape = []
        for axis, dim in enumerate(one.dims):
            boxes = len(one.dims) == 2 and one.dims[1] in (4, 5)
            if isinstance(dim, int):
                size = dim
            elif axis == 0 and (one.name in per_roi or boxes):
                size = MADE_ROIS
            elif one.name in per_roi:
                size = 4  # the columns of rois
            else:
                size = MADE_SIDE if len(one.dims) >= 3 and axis >= len(one.dims) - 2 else MADE_SIZE
            shape.append(sizes.setdefault(dim, size) if isinstance(dim, str) and dim else size)
        shapes[one.name] = tuple(shape)
    return shapes


def _image_extent(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> tuple[float, float]:
    """Height and width of the image in pixels, as far as the inputs tell."""
    for node in model.graph.node:
        if is_roi_align(node) and len(shapes.get(node.input[0], ())) == 4:
            scale = next((a.f for a in node.attribute if a.name == "spatial_scale" and a.f > 0), 1.0)
            height, width = shapes[node.input[0]][2:]
            return height / scale, width / scale
    maps = [shape[-2:] for shape in shapes.values() if len(shape) >= 3]
    height, width = max(maps, default=(MADE_SIDE, MADE_SIDE))
    return float(height), float(width)


def _boxes(rng: np.random.Generator, count: int, columns: int, extent: tuple[float, float]) -> Array:
    height, width = extent
    first, second = rng.uniform(0.0, 0.5, (2, count, 2))
    corner = first * (width, height)
    boxes = np.concatenate([corner, corner + second * (width, height)], axis=1)
    return np.concatenate([np.zeros((count, columns - 4)), boxes], axis=1)
