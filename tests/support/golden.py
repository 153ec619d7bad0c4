"""Reads the recorded results of six frameworks (tests/data/README.md)."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

import naive
import numpy as np
import tolerances
from paths import DATA

from onnx_roialign import PRESETS

PACKED = DATA / "golden" / "golden.npz"


@dataclass(frozen=True)
class Case:
    """One recorded call: its arguments and its result."""

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
        # The frameworks write adaptive as 0 or -1, ONNX as 0.
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


def difference(case, Y):
    """In units of max|X|; infinite where only one of the two is NaN."""
    off = np.where(np.isnan(case.Y) == np.isnan(Y), 0.0, np.inf)
    return np.fmax(np.abs(Y - case.Y) / np.abs(case.X).max(), off)


def sensitivity(case, k, c, p, q):
    """The largest difference of this output if each of its samples moves by the rounding of a position.

    A sample that near to a cut-off (-1, H, W) may cross it, and its whole value then counts.
    """
    semantics, arguments = PRESETS[case.preset], case.arguments
    plane = case.X[case.batch_indices[k], c].astype(np.float64)
    axes = []
    for first, bins, own in ((1, "output_height", p), (0, "output_width", q)):
        ends = case.rois[k, first], case.rois[k, first + 2]
        grid = arguments[bins], arguments["sampling_ratio"], arguments["spatial_scale"]
        positions, _ = naive.axis_positions(*ends, *grid, semantics)
        reach = max(abs(at) for at in positions[0] + positions[-1])
        ulp = tolerances.POSITION_ULP * float(np.spacing(np.float32(reach)))
        axes.append([[float(at) + move for move in (0, -ulp, ulp)] for at in positions[own]])
    moves = []
    for ys in axes[0]:
        for xs in axes[1]:
            values = [sum(naive.corners(plane, np.float64(y), np.float64(x), semantics)) for y in ys for x in xs]
            moves.append(max(abs(value - values[0]) for value in values))
    return np.mean(moves)
