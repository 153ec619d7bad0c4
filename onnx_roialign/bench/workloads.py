"""The benchmark's workloads: seeded feature maps and RoIs, equal on every machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.call import Call
from onnx_roialign.definition.element_types import FLOATS
from onnx_roialign.definition.semantics import PRESETS

__all__ = ["DTYPES", "NAMES_EXPLAINED", "WORKLOADS", "Workload", "converted", "is_half_pixel", "random_workload"]

# float64 is last because detectors seldom use it.
_BY_USE = [element.name for element in sorted(FLOATS, key=lambda element: element.bits == 64)]
DTYPES: Mapping[str, np.dtype[Any]] = MappingProxyType(
    {name: np.dtype(getattr(ml_dtypes if name == "bfloat16" else np, name)) for name in _BY_USE}
)

# The usual image size of Faster R-CNN and Mask R-CNN: the shorter side has 800 pixels.
IMAGE_HEIGHT, IMAGE_WIDTH = 800, 1344
_LEVELS = (2, 3, 4, 5)  # level k of a feature pyramid has 2^k pixels of the image per pixel


@dataclass(frozen=True, slots=True)
class Workload:
    """The calls that are timed together: one RoiAlign per level of a feature pyramid, or a single RoiAlign."""

    name: str
    calls: tuple[Call, ...]


def is_half_pixel(call: Call) -> bool:
    """Returns whether a call with ONNX's semantics is half_pixel (torchvision's ``aligned``)."""
    return call.attributes.semantics.offset != 0


def converted(workload: Workload, dtype: str, mode: str) -> Workload:
    """Returns the workload with arrays of another type, one of DTYPES, and another mode, "avg" or "max"."""
    kind = DTYPES[dtype]
    return Workload(
        workload.name,
        tuple(
            Call(
                call.X.astype(kind, copy=False),
                call.rois.astype(kind, copy=False),
                call.batch_indices,
                replace(call.attributes, mode=mode),
            )
            for call in workload.calls
        ),
    )


def _call(X: Array, rois: Array, scale: float, size: tuple[int, int], sampling_ratio: int, meaning: str) -> Call:
    attributes = Attributes(
        output_height=size[0],
        output_width=size[1],
        sampling_ratio=sampling_ratio,
        spatial_scale=scale,
        semantics=PRESETS[f"onnx_{meaning}"],
    )
    return Call(X, rois, np.zeros(len(rois), np.int64), attributes)


@cache
def _pyramid() -> Mapping[int, Array]:
    """Returns random maps in the place of a feature pyramid network's outputs: 256 channels at each level."""
    rng = np.random.default_rng(0)
    sides = {k: (math.ceil(IMAGE_HEIGHT / 2**k), math.ceil(IMAGE_WIDTH / 2**k)) for k in _LEVELS}
    return {k: rng.standard_normal((1, 256, *side), dtype=np.float32) for k, side in sides.items()}


@cache
def _boxes() -> tuple[Array, Array]:
    """Returns 1000 boxes, sides log-uniform from 16 to 600 pixels, aspect ratios 1:2 to 2:1, and each box's level.

    The level follows Lin et al., "Feature Pyramid Networks", 2017, equation 1: 4 for a box of 224 x 224 pixels.
    """
    rng = np.random.default_rng(1)
    count = 1000
    side = np.exp(rng.uniform(np.log(16), np.log(600), count))
    aspect = np.exp(rng.uniform(np.log(0.5), np.log(2), count))
    w, h = np.minimum(side * np.sqrt(aspect), IMAGE_WIDTH - 2), np.minimum(side / np.sqrt(aspect), IMAGE_HEIGHT - 2)
    x, y = rng.uniform(0, IMAGE_WIDTH - w), rng.uniform(0, IMAGE_HEIGHT - h)
    boxes = np.stack([x, y, x + w, y + h], axis=1).astype(np.float32)
    level = np.clip(np.floor(4 + np.log2(np.sqrt(w * h) / 224 + 1e-6)), _LEVELS[0], _LEVELS[-1]).astype(int)
    return boxes, level


def _fpn(name: str, count: int, size: int, sampling_ratio: int, meaning: str) -> Workload:
    boxes, level = _boxes()
    boxes, level = boxes[:count], level[:count]
    calls = (_call(X, boxes[level == k], 2.0**-k, (size, size), sampling_ratio, meaning) for k, X in _pyramid().items())
    return Workload(name, tuple(calls))


def _c4(name: str) -> Workload:
    X = np.random.default_rng(2).standard_normal((1, 1024, 50, 84), dtype=np.float32)
    return Workload(name, (_call(X, _boxes()[0][:300], 1 / 16, (14, 14), 0, "half_pixel"),))


def _one_roi(name: str, channels: int, side: int, size: int, sampling_ratio: int) -> Workload:
    X = np.random.default_rng(3).standard_normal((1, channels, side, side), dtype=np.float32)
    rois = np.array([[1.3, 2.1, side - 2.2, side - 1.7]], np.float32)
    return Workload(name, (_call(X, rois, 1.0, (size, size), sampling_ratio, "output_half_pixel"),))


# The poolers of torchvision's Faster R-CNN (7x7) and Mask R-CNN (14x14), of Detectron2 (adaptive, aligned) and of its
# C4 variant; then a small call, and a call that computes a single value, whose time is the fixed cost of a call.
WORKLOADS: Mapping[str, Callable[[], Workload]] = MappingProxyType(
    {
        "fpn_box_7x7_s2": lambda: _fpn("fpn_box_7x7_s2", 1000, 7, 2, "output_half_pixel"),
        "fpn_box_7x7_adaptive": lambda: _fpn("fpn_box_7x7_adaptive", 1000, 7, 0, "half_pixel"),
        "fpn_mask_14x14_s2": lambda: _fpn("fpn_mask_14x14_s2", 100, 14, 2, "output_half_pixel"),
        "c4_14x14_adaptive": lambda: _c4("c4_14x14_adaptive"),
        "small_call": lambda: _one_roi("small_call", 256, 14, 7, 2),
        "one_value": lambda: _one_roi("one_value", 1, 7, 1, 1),
    }
)

# An explanation of the names, for tables and pictures.
NAMES_EXPLAINED = (
    "fpn: 4 levels of a feature pyramid, 256 channels, 1000 boxes (mask: 100). c4: one map, 1024 channels, 300 boxes. "
    "small_call: 1 box, 256 channels, 7x7. one_value: 1 box, 1 channel, 1 bin. 7x7, 14x14: bins. s2: 2 x 2 samples per "
    "bin; adaptive: about one per pixel of the map."
)


def random_workload(
    name: str, shape: tuple[int, int, int, int], num_rois: int, size: tuple[int, int], sampling_ratio: int, seed: int
) -> Workload:
    """Returns one call with half_pixel, scale 1/4 and RoIs anywhere on the map, of every size up to the whole map.

    Args:
        name: name of the workload.
        shape: (N, C, H, W).
        num_rois: K; the RoIs' images are drawn at random.
        size: (output_height, output_width).
        sampling_ratio: 0: adaptive.
        seed: seed of features and RoIs.
    """
    rng = np.random.default_rng(seed)
    # 1 million random values, repeated: drawing every value of the largest maps would take longer than pooling them.
    count = math.prod(shape)
    X = np.resize(rng.standard_normal(min(count, 1_000_003), dtype=np.float32), shape)
    extent = 4.0 * np.array([shape[3], shape[2]])
    corner = rng.uniform(0, 1, (num_rois, 2))
    side = (1 - corner) * np.exp(rng.uniform(np.log(0.05), 0, (num_rois, 2)))
    rois = np.concatenate([corner * extent, (corner + side) * extent], axis=1).astype(np.float32)
    call = _call(X, rois, 0.25, size, sampling_ratio, "half_pixel")
    return Workload(name, (replace(call, batch_indices=rng.integers(0, shape[0], num_rois)),))
