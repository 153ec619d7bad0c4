"""Numbers that projects publish for their own RoIAlign, in their tests or in the source of their kernels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Vector:
    """One call on image 0 with the project's published result, within `tolerance`."""

    preset: str
    where: str
    X: np.ndarray
    rois: list[list[float]]
    arguments: dict[str, Any]
    Y: Any
    tolerance: float


def _call(height: int, width: int, spatial_scale: float, sampling_ratio: int, mode: str = "avg") -> dict[str, Any]:
    return {
        "output_height": height,
        "output_width": width,
        "spatial_scale": spatial_scale,
        "sampling_ratio": sampling_ratio,
        "mode": mode,
    }


_DETECTRON2 = "facebookresearch/detectron2, tests/layers/test_roi_align.py"
_MMCV = "open-mmlab/mmcv, tests/test_ops/test_roi_align.py"
_MMCV_KERNEL = "open-mmlab/mmcv, mmcv/ops/csrc/pytorch/cpu/roi_align.cpp: its maximum starts from -10000"
_MINDSPORE = "mindspore-ai/mindspore, tests/st/ops/gpu/test_roi_align_op.py"
_MINDSPORE_NOW = "mindspore-ai/mindspore, tests/st/ops/cpu/test_roi_align_op.py"

_5X5 = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
_6X6 = np.arange(1, 37, dtype=np.float32).reshape(1, 1, 6, 6)
_QUAD = np.float32([[[[1, 2], [3, 4]], [[4, 3], [2, 1]]]])
_4X4 = np.float32([[[[1, 2, 5, 6], [3, 4, 7, 8], [9, 10, 13, 14], [11, 12, 15, 16]]]])

_LOW = np.full((1, 1, 4, 4), -15000, np.float32)
_BOX = [[1, 1, 3, 3]]
_EMPTY = [[3, 4, 5, 4]]
_WIDE = [[-2, -2, 22, 22]]

_aligned = partial(Vector, "mmcv_aligned", _MMCV)
_half_pixel = partial(Vector, "mindspore_half_pixel", _MINDSPORE, _6X6)
_mindspore_0 = partial(Vector, "mindspore_0", _MINDSPORE_NOW, _6X6)

_RAISED = [[7.5, 8, 8.5, 9], [10, 10.5, 11, 11.5], [12.5, 13, 13.5, 14], [15, 15.5, 16, 16.5]]
_CORRECTED = [[4.5, 5, 5.5, 6], [7, 7.5, 8, 8.5], [9.5, 10, 10.5, 11], [12, 12.5, 13, 13.5]]
_FOUR_BY_FOUR = [
    [1.2333, 2.1, 3.3, 4.5],
    [6.4333, 7.3, 8.5, 9.7],
    [13.6333, 14.5, 15.7, 16.9],
    [20.8333, 21.7, 22.9, 24.1],
]
_TWO_BOXES = [
    [[3.3333, 5.5, 7.6667], [16.3333, 18.5, 20.6667], [29.3333, 31.5, 33.6667]],
    [[4.5, 6.3, 8.1], [14.9, 16.7, 18.5], [25.7, 27.5, 29.3]],
]
_ODD = [[4.5, 6.5, 8.5], [16.5, 18.5, 20.5], [28.5, 30.5, 32.5]]

VECTORS = (
    Vector("torchvision_legacy", f"{_DETECTRON2}, without correction", _5X5, _BOX, _call(4, 4, 1.0, 0), _RAISED, 1e-5),
    Vector("detectron2", f"{_DETECTRON2}, with 0.5 correction", _5X5, _BOX, _call(4, 4, 1.0, 0), _CORRECTED, 1e-5),
    Vector(
        "detectron2", f"{_DETECTRON2}, empty box", _5X5 + 1, [[3, 4, 5, 4]], _call(7, 7, 1.0, 0), np.zeros((7, 7)), 0
    ),
    _aligned(_QUAD, [[0, 0, 1, 1]], _call(2, 2, 1.0, 2), [[[1, 1.25], [1.5, 1.75]], [[4, 3.75], [3.5, 3.25]]], 1e-5),
    _aligned(_4X4, [[0, 0, 3, 3]], _call(2, 2, 1.0, 2), [[1.9375, 4.75], [7.5625, 10.375]], 1e-5),
    Vector(
        "mmcv_aligned",
        f"{_MMCV_KERNEL}, and a box of no size has no samples",
        np.full((1, 1, 4, 4), 3, np.float32),
        [[1, 1, 1, 1]],
        _call(1, 1, 1.0, 0, "max"),
        [[-10000]],
        0,
    ),
    *(
        Vector(preset, f"{_MMCV_KERNEL}, and features are less", _LOW, _BOX, _call(1, 1, 1.0, 2, "max"), [[-10000]], 0)
        for preset in ("mmcv_aligned", "mmcv_legacy")
    ),
    _half_pixel(_WIDE, _call(3, 3, 0.25, 2), [[2.75, 4.5, 6.5], [13.25, 15, 17], [25.25, 27, 29]], 1e-6),
    _half_pixel(_WIDE, _call(4, 4, 0.2, 3), _FOUR_BY_FOUR, 1e-4),
    _half_pixel([*_WIDE, [1, 0, 19, 18]], _call(3, 3, 0.3, 3), _TWO_BOXES, 1e-4),
    # The case that requires samples exactly at the cut-offs to be dropped.
    _half_pixel(_WIDE, _call(2, 2, 1.0, 0), [[4.625, 0], [0, 0]], 1e-4),
    Vector("mindspore_1", _MINDSPORE_NOW, _6X6, [[-2, -2, 21, 21]], _call(3, 3, 0.25, 2), _ODD, 1e-6),
    _mindspore_0(_WIDE, _call(3, 3, 0.25, 2), _ODD, 1e-6),
    _mindspore_0(_WIDE, _call(2, 2, 1.0, 0), [[6.295, 0], [0, 0]], 1e-2),
)
