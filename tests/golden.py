"""Reads the recorded answers of torchvision, Paddle, MindSpore, ONNX Runtime, OpenVINO, TVM (tests/data/README.md)."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PACKED = Path(__file__).parent / "data" / "golden" / "golden.npz"


@dataclass(frozen=True)
class Case:
    """One recorded call: what it was given and what it answered."""

    name: str
    framework: str
    preset: str
    arguments: dict[str, Any]  # of roi_align()
    X: np.ndarray
    rois: np.ndarray
    batch_indices: np.ndarray
    Y: np.ndarray


def preset(meta: dict[str, Any]) -> str:
    framework = meta["framework"]
    if framework == "onnxruntime":
        return f"onnx_{meta.get('coordinate_transformation_mode', 'output_half_pixel')}"
    if framework == "mindspore":
        return f"mindspore_{meta['roi_end_mode']}"
    if framework == "openvino":
        return f"openvino_{meta['aligned_mode']}"
    return f"{framework}_{'aligned' if meta['aligned'] else 'legacy'}"


@functools.cache
def cases(framework: str) -> tuple[Case, ...]:
    with np.load(PACKED) as packed:
        metas, values = json.loads(str(packed["cases"])), packed["values"]
    values.flags.writeable = False

    def array(place: dict[str, Any]) -> np.ndarray:
        return values[place["at"] : place["at"] + int(np.prod(place["shape"]))].reshape(place["shape"])

    found = []
    for i, meta in enumerate(metas):
        if meta["framework"] != framework:
            continue
        arguments = {name: meta[name] for name in ("output_height", "output_width", "spatial_scale")}
        # The frameworks spell adaptive as 0 or -1, ONNX as 0.
        arguments["sampling_ratio"] = max(meta["sampling_ratio"], 0)
        rois = array(meta["rois"])
        found.append(
            Case(
                name=f"{i}-{meta['kind']}",
                framework=framework,
                preset=preset(meta),
                arguments={**arguments, "mode": meta.get("mode", "avg"), "semantics": preset(meta)},
                X=array(meta["x"]),
                rois=np.ascontiguousarray(rois[:, 1:]),
                batch_indices=rois[:, 0].astype(np.int64),
                Y=array(meta["y"]),
            )
        )
    return tuple(found)
