"""Boxes on and near the areas at which a rule of levels changes the level."""

from __future__ import annotations

import numpy as np

from onnx_roialign.definition.pyramid import LevelRule


def neighbours(first: np.floating, count: int) -> np.ndarray:
    """The float first > 0 and this many below and above, ascending."""
    dtype = np.asarray(first).dtype
    bits = np.int32 if dtype == np.float32 else np.int64
    return (np.asarray(first).view(bits) + np.arange(-count, count + 1, dtype=bits)).view(dtype)


def boxes_of_areas(areas: np.ndarray) -> np.ndarray:
    """Boxes (x1, y1, x2, y2) one pixel high, so that their areas are exactly these; their centres are at x = 0."""
    zeros, half = np.zeros_like(areas), areas / 2
    return np.column_stack([-half, zeros, half, zeros + 1])


def boundary_boxes(rule: LevelRule, dtype: type, count: int) -> np.ndarray:
    """Boxes on every boundary of the rule and this many areas on both sides; also empty ones and one without level."""
    least = rule.smallest_areas(dtype)
    areas = [neighbours(one, count) for one in least[np.isfinite(least) & (least > 0)]]
    return boxes_of_areas(np.concatenate([*areas, np.array([0, -0.0, 1, 1e9, -5], dtype)]))


def maps_that_tell_levels(levels: int, dtype: type = np.float32) -> list[np.ndarray]:
    """One map (1, 1, 4, 4) per level with the value level + 1, which pooling `boundary_boxes` in 1 x 1 bin returns."""
    return [np.full((1, 1, 4, 4), level + 1, dtype) for level in range(levels)]
