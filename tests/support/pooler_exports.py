"""Poolers and mask pasting as Detectron2, mmdetection, mmdeploy and PyTorch export them, and what these returned."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from functools import cache

import numpy as np
import onnx
from paths import DATA

ARCHIVE = DATA / "poolers.tar.xz"


@cache
def archived() -> dict[str, bytes]:
    with tarfile.open(ARCHIVE) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def names() -> list[str]:
    return sorted(name.removesuffix(".onnx") for name in archived() if name.endswith(".onnx"))


def load(name: str) -> onnx.ModelProto:
    return onnx.load_model_from_string(archived()[f"{name}.onnx"])


def cases(name: str) -> Iterator[tuple[dict[str, np.ndarray], list[np.ndarray]]]:
    """Feeds, and what the framework returned; a map that cases share is stored with the first."""
    model, arrays = load(name), np.load(io.BytesIO(archived()[f"{name}.npz"]))
    first = next(iter(arrays)).partition("/")[0]
    for case in dict.fromkeys(key.partition("/")[0] for key in arrays):

        def of(value: onnx.ValueInfoProto, case: str = case) -> np.ndarray:
            key = f"{case}/{value.name}"
            return arrays[key if key in arrays else f"{first}/{value.name}"]

        yield {value.name: of(value) for value in model.graph.input}, [of(value) for value in model.graph.output]
