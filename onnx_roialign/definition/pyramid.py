"""Feature pyramids: which level a box is pooled from.

Lin et al., "Feature Pyramid Networks for Object Detection" (2017), equation 1: a box of w x h pixels belongs to level
``k = floor(k0 + log2(sqrt(w * h) / 224))``. torchvision adds 1e-6 before the floor, in the boxes' type, so that a box
whose area lies on a boundary goes to the coarser level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.errors import RoiAlignError

__all__ = ["LevelMapper", "box_areas", "nearest_scale"]


@dataclass(frozen=True, slots=True)
class LevelMapper:
    """Equation 1: which level a box belongs to.

    Attributes:
        k_min: the finest level.
        k_max: the coarsest level.
        canonical_scale: the side, in pixels of the image, of a box that belongs to canonical_level.
        canonical_level: k0.
        eps: added before the floor.
    """

    k_min: int
    k_max: int
    canonical_scale: int = 224
    canonical_level: int = 4
    eps: float = 1e-6

    def __call__(self, area: Array) -> Array:
        """Levels of boxes of these areas, float32 or float64, counted from 0 at k_min; -1 for a negative area."""
        real = area.dtype.type
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.log2(np.sqrt(area) / real(self.canonical_scale))
        target = np.floor((real(self.canonical_level) + level) + real(self.eps))
        target = np.minimum(np.maximum(target, real(self.k_min)), real(self.k_max))
        return np.where(np.isnan(level), -1, np.nan_to_num(target).astype(np.int64) - self.k_min)

    def below(self, index: int, dtype: np.dtype[Any]) -> float:
        """The largest area that has a level under this one, so that the others are greater; -1 where there is none."""
        bits = np.int32 if dtype == np.float32 else np.int64

        def area(pattern: int) -> Array:
            return np.asarray([pattern], bits).view(dtype)

        # Bit patterns of floats from 0 up are in the order of the floats.
        low, high = -1, int(np.asarray(np.finfo(dtype).max).view(bits))
        while low < high:
            middle = (low + high + 1) // 2
            if self(area(middle))[0] < index:
                low = middle
            else:
                high = middle - 1
        return -1.0 if low < 0 else float(area(low)[0])


def box_areas(boxes: Array) -> Array:
    """Areas of (x1, y1, x2, y2) rows, in float32 where they are float16."""
    wide = boxes.astype(np.float32) if boxes.dtype == np.float16 else boxes
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray((wide[:, 2] - wide[:, 0]) * (wide[:, 3] - wide[:, 1]))


def nearest_scale(size: int, original: int) -> float:
    """The nearest power of two to size / original."""
    if size < 1 or original < 1:
        raise RoiAlignError(f"feature maps and images must be at least 1 pixel high, got {size} and {original}")
    return float(2.0 ** np.rint(np.log2(np.float32(size / original))))
