"""Poolers and mask pasting as Detectron2, mmdetection, mmdeploy and PyTorch export them, with their results."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import helper
from paths import DATA

ARCHIVE = DATA / "poolers.tar.xz"
FORMS = DATA / "pooler_forms.tar.xz"


@cache
def archived(path: Path = ARCHIVE) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def names() -> list[str]:
    return sorted(name.removesuffix(".onnx") for name in archived() if name.endswith(".onnx"))


def load(name: str) -> onnx.ModelProto:
    return onnx.load_model_from_string(archived()[f"{name}.onnx"])


def cases(name: str) -> Iterator[tuple[dict[str, np.ndarray], list[np.ndarray]]]:
    """Feeds and the framework's result; a map that cases share is stored with the first."""
    model, arrays = load(name), np.load(io.BytesIO(archived()[f"{name}.npz"]))
    first = next(iter(arrays)).partition("/")[0]
    for case in dict.fromkeys(key.partition("/")[0] for key in arrays):

        def of(value: onnx.ValueInfoProto, case: str = case) -> np.ndarray:
            key = f"{case}/{value.name}"
            return arrays[key if key in arrays else f"{first}/{value.name}"]

        yield {value.name: of(value) for value in model.graph.input}, [of(value) for value in model.graph.output]


def form_names() -> list[str]:
    return sorted(name.removesuffix(".onnx") for name in archived(FORMS))


def form(name: str) -> onnx.ModelProto:
    return onnx.load_model_from_string(archived(FORMS)[f"{name}.onnx"])


def drawn(model: onnx.ModelProto, count: int, *, odd: bool = True) -> dict[str, np.ndarray]:
    """Feeds of this many boxes if the model leaves the number open; odd: some are empty or inverted."""
    rng = np.random.default_rng(count)
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.input}
    images = next((shape[0] for shape in shapes.values() if len(shape) == 4 and shape[0] > 0), 1)
    feeds = {}
    for value in model.graph.input:
        shape, dtype = shapes[value.name], helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if value.name == "image":
            array = np.zeros((1, 3, 77, 101))
        elif len(shape) == 4:
            array = rng.standard_normal([size or (40, count)[place == 0] for place, size in enumerate(shape)])
        elif len(shape) == 2:
            rows = shape[0] or count
            corner = rng.uniform(-20, 250, (rows, 2))
            array = np.hstack([corner, corner + 2 ** rng.uniform(-1, 9, (rows, 2))])
            if odd and rows > 4:
                array[0, 2:], array[1, 2], array[2] = array[0, :2] - 3, array[1, 0] - 4, 0
            if shape[1] == 5:
                array = np.hstack([rng.integers(0, images, (rows, 1)), array])
        else:
            array = rng.integers(0, images, count)
        feeds[value.name] = array.astype(dtype)
    return feeds
