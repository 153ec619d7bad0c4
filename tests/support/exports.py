"""The real exports of the tests: each model file with its inputs and its framework's results."""

from __future__ import annotations

import io
import tarfile
import zlib
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from node_facts import opset_of
from numpy.typing import NDArray
from paths import DATA, ROOT
from torch_rand import torch_rand

Array = NDArray[Any]

MODELS = ROOT / "models"
ARCHIVE = DATA / "exports.tar.xz"

# Inputs that torch.rand generated, which the archive therefore omits: (seed, earlier draws, shape).
DETECTOR_IMAGE = (3, 132_050, (3, 192, 256))
PYRAMIDS = {
    "fpn3_5x5_canonical96": (
        (0, 493_828, (1, 6, 128, 160)),
        (0, 616_708, (1, 6, 64, 80)),
        (0, 647_428, (1, 6, 32, 40)),
    ),
    "fpn4_14x14_s0_batch2": (
        (0, 167_160, (2, 6, 128, 160)),
        (0, 412_920, (2, 6, 64, 80)),
        (0, 474_360, (2, 6, 32, 40)),
        (0, 489_720, (2, 6, 16, 20)),
    ),
    "fpn4_7x7_s2": (
        (0, 3_840, (1, 6, 128, 160)),
        (0, 126_720, (1, 6, 64, 80)),
        (0, 157_440, (1, 6, 32, 40)),
        (0, 165_120, (1, 6, 16, 20)),
    ),
}


@dataclass(frozen=True)
class Export:
    """One exported model file with the framework's own inputs and results, in the model's order."""

    name: str
    model: bytes
    inputs: tuple[Array, ...]
    expected: tuple[Array, ...]

    def opset(self) -> int:
        """The version of ONNX's own operators that the file imports."""
        return opset_of(onnx.load_from_string(self.model))

    def feeds(self) -> dict[str, Array]:
        graph = onnx.load_from_string(self.model).graph
        initialized = {tensor.name for tensor in graph.initializer}
        names = [value.name for value in graph.input if value.name not in initialized]
        return dict(zip(names, self.inputs, strict=True))


@cache
def archived() -> dict[str, bytes]:
    with tarfile.open(ARCHIVE) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


@cache
def small_names() -> tuple[str, ...]:
    """Exports of one RoIAlign and little else."""
    return tuple(name for name in names() if name.startswith(("torchvision_roi", "paddle", "mindspore")))


def large_names() -> tuple[str, ...]:
    """Exports of whole detectors, and of poolers of several maps."""
    return tuple(name for name in names() if name.startswith(("detectors", "torchvision_multiscale")))


def names() -> tuple[str, ...]:
    """All exports as folder/file.onnx, except the demo's detector, which tests/demo tests."""
    paths = [path for folder in _RECORDED for path in (MODELS / folder).glob("*.onnx")]
    on_disk = {path.relative_to(MODELS).as_posix() for path in paths}
    return tuple(sorted(on_disk | {name for name in archived() if name.endswith(".onnx")}))


def load(name: str) -> Export:
    folder, stem = name.removesuffix(".onnx").split("/")
    path = MODELS / name
    model = path.read_bytes() if path.is_file() else archived()[name]
    inputs, expected = _RECORDED[folder](stem)
    return Export(name, model, inputs, expected)


def _recorded(folder: str, name: str) -> dict[str, Array]:
    path = MODELS / folder / f"{name}.npz"
    if path.is_file():
        with np.load(path) as arrays:
            return dict(arrays)
    prefix = f"{folder}/{name}/"
    members = {key: data for key, data in archived().items() if key.startswith(prefix)}
    return {key[len(prefix) :].removesuffix(".npy"): np.load(io.BytesIO(data)) for key, data in members.items()}


def _torchvision(stem: str) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    io_ = _recorded("torchvision_roi_align", "io")
    return (io_["x"], io_["rois"]), (io_[_after_opset(stem)],)


def _paddle(stem: str) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    io_ = _recorded("paddle_roi_align", "io")
    return (io_["x"], io_["rois"], io_["rois_num"]), (io_[_after_opset(stem)],)


def _mindspore(stem: str) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    io_ = _recorded("mindspore_ROIAlign", "io")
    return (io_["x"], io_["rois"]), (io_[_after_opset(stem)],)


def _after_opset(stem: str) -> str:
    return stem.partition("opset")[2].partition("_")[2]


def _multiscale(stem: str) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    variant = stem.partition("_torchscript")[0].partition("_dynamo")[0]
    arrays = _recorded("torchvision_multiscale", variant)
    boxes = tuple(arrays[f"boxes{i}"] for i in range(len(arrays) - 1))
    return tuple(torch_rand(*drawn) for drawn in PYRAMIDS[variant]) + boxes, (arrays["y"],)


def _detector(stem: str) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    arrays = _recorded("detectors", stem.partition("_torchscript")[0])
    expected = tuple(arrays[key] for key in ("boxes", "labels", "scores", "masks") if key in arrays)
    return (torch_rand(*DETECTOR_IMAGE),), expected


def _skeleton(stem: str) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    return (np.random.default_rng(0).random((3, 800, 1216), dtype=np.float32),), ()


_RECORDED = {
    "torchvision_roi_align": _torchvision,
    "torchvision_multiscale": _multiscale,
    "detectors": _detector,
    "skeletons": _skeleton,
    "paddle_roi_align": _paddle,
    "mindspore_ROIAlign": _mindspore,
}


def filled(skeleton: bytes) -> onnx.ModelProto:
    """The model with random values for its missing weights: an initializer whose doc_string is "std=S" has no data."""
    model = onnx.load_from_string(skeleton)
    for tensor in model.graph.initializer:
        if tensor.doc_string.startswith("std="):
            rng = np.random.default_rng(zlib.crc32(tensor.name.encode()))
            weights = rng.standard_normal(tuple(tensor.dims), dtype=np.float32)
            tensor.raw_data = (weights * np.float32(tensor.doc_string[4:])).tobytes()
    return model


# Files that do not mean what was exported: no runtime can be right with them. A repair must empty this table.
KNOWN_WRONG = MappingProxyType(
    {
        "torchvision_roi_align/torchscript_opset11_aligned_*": "aligned=True is dropped below opset 16",
        "paddle_roi_align/*": "batch_indices is zero whatever rois_num says, and aligned is never written",
        "mindspore_ROIAlign/opset11_roi_end_mode1.onnx": "RoiAlign below opset 16 makes every RoI at least 1 x 1",
    }
)


def known_wrong(name):
    return any(fnmatch(name, pattern) for pattern in KNOWN_WRONG)
