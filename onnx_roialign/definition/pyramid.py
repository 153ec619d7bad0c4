"""RoiAlign from the levels of a feature pyramid, in NumPy: every RoI is pooled from the map for its size.

Lin et al., "Feature Pyramid Networks for Object Detection" (2017), equation 1: a RoI of area A belongs to level
``floor(k0 + log2(sqrt(A) / s0))``, clamped to the finest and the coarsest level. Frameworks add an epsilon, so that a
RoI whose area lies on a boundary belongs to the coarser level:

    torchvision    floor(k0 + log2(sqrt(A) / s0) + 1e-6)
    Detectron2     floor(k0 + log2(sqrt(A) / s0 + 1e-8))
    mmdetection    floor(log2(sqrt(A) / finest_scale + 1e-6))          k0 = 0, s0 = finest_scale

A RoI of negative area (one side is mirrored) or NaN area has no level, nor has a RoI whose level is beyond the last
map; their rows of the output are 0. If the coarsest level is below the first level (maps from coarse to fine), no RoI
has a level: torchvision clamps every level to the coarsest, which is below the first, and every row is 0.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from onnx_roialign.arrays import Array
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes, integer, positive_in
from onnx_roialign.definition.checks import Given, check_signature, check_sizes, check_values, new_output
from onnx_roialign.definition.element_types import TYPES, coordinate_type
from onnx_roialign.errors import RoiAlignError, shown

__all__ = [
    "MAX_LEVELS",
    "LevelRule",
    "Pyramid",
    "box_areas",
    "check_call",
    "check_call_values",
    "check_count",
    "check_features",
    "decimal",
    "multiscale_roi_align",
    "nearest_scale",
]

MAX_LEVELS = 16
_FARTHEST_LEVEL = 1024  # log2 of the root of a float64 area is between -537 and 512
_NO_AREA = math.inf
_FLOAT32 = np.dtype(np.float32)  # of a node's attributes


@dataclass(frozen=True, slots=True)
class LevelRule:
    """The rule that assigns a level to a RoI.

    Attributes:
        min_level: k_min, the level of the first map; all levels are in [-1024, 1024].
        max_level: k_max, the coarsest level, at most 15 above min_level; if it is below min_level, no RoI has a level.
        canonical_scale: s0, the side of a RoI of the canonical level, in pixels; finite and > 0 in float32.
        canonical_level: k0.
        log_epsilon: added before the logarithm.
        floor_epsilon: added before the floor.
        level_areas: the smallest area of each level, ascending, float32; if it is not empty, it replaces the formula.
    """

    min_level: int = 2
    max_level: int = 5
    canonical_scale: float = 224.0
    canonical_level: int = 4
    log_epsilon: float = 0.0
    floor_epsilon: float = 1e-6
    level_areas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("min_level", "max_level", "canonical_level"):
            object.__setattr__(self, name, level := integer(name, getattr(self, name)))
            if not -_FARTHEST_LEVEL <= level <= _FARTHEST_LEVEL:
                raise RoiAlignError(
                    name, "range", f"must be in [{-_FARTHEST_LEVEL}, {_FARTHEST_LEVEL}], got {shown(level)}"
                )
        if self.max_level - self.min_level >= MAX_LEVELS:
            raise RoiAlignError(
                "max_level",
                "range",
                f"must be at most {MAX_LEVELS - 1} above min_level, "
                f"got {self.max_level} where min_level is {self.min_level}",
            )
        object.__setattr__(self, "canonical_scale", positive_in("canonical_scale", self.canonical_scale, _FLOAT32))
        for name in ("log_epsilon", "floor_epsilon"):
            if not 0 <= getattr(self, name) < 1:
                raise RoiAlignError(name, "range", f"must be in [0, 1), got {shown(getattr(self, name))}")
        for i, (before, area) in enumerate(zip((-math.inf, *self.level_areas), self.level_areas, strict=False)):
            if not before <= area:
                raise RoiAlignError("level_areas", "range", f"must be ascending, got {shown(area)} at {i}")

    def smallest_areas(self, dtype: npt.DTypeLike) -> Array:
        """The smallest area of each level from min_level on, in a float type; infinite for a level without any area."""
        return np.array(self.level_areas or _areas_by_formula(self, np.dtype(dtype).name), dtype)

    def _smallest(self, level: int, real: Any) -> Any:
        """The smallest area of a level, by bisection over bit patterns: floats >= 0 are in the order of theirs."""
        bits: Any = np.int32 if real is np.float32 else np.int64

        def area(pattern: int) -> Any:
            return np.array(pattern, bits).view(real)[()]

        low, high = 0, int(np.array(np.finfo(real).max).view(bits))
        with np.errstate(all="ignore"):  # a canonical_scale near the limits of float32 overflows or underflows
            if self._level(area(high), real) < level:
                return real(_NO_AREA)
            while low < high:
                middle = (low + high) // 2
                low, high = (low, middle) if self._level(area(middle), real) >= level else (middle + 1, high)
        return area(low)

    def _level(self, area: Any, real: Any) -> int:
        """The level of an area, each operation rounded to the type, as in the frameworks; log2 is that of float64."""
        ratio = np.sqrt(area) / real(self.canonical_scale) + real(decimal(self.log_epsilon))
        if not ratio > 0:
            return 0
        exponent = real(self.canonical_level) + real(math.log2(ratio)) + real(decimal(self.floor_epsilon))
        return int(min(max(np.floor(exponent), self.min_level), self.max_level)) - self.min_level

    def levels(self, rois: Array) -> Array:
        """The level of each RoI, (num_rois,), int64, counted from 0 at min_level; -1 for a RoI without a level.

        Args:
            rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image, of any float type.
        """
        areas = box_areas(rois)
        level = np.searchsorted(self.smallest_areas(areas.dtype), areas, side="right") - 1
        return np.where(np.isnan(areas), -1, level)


@functools.lru_cache(maxsize=64)  # bisection takes 0.4 ms
def _areas_by_formula(rule: LevelRule, dtype: str) -> tuple[float, ...]:
    real = np.dtype(dtype).type
    levels = range(rule.max_level - rule.min_level + 1)
    return tuple(float(rule._smallest(level, real)) if level else 0.0 for level in levels)


def decimal(value: float) -> float:
    """The decimal number that a float32 attribute stands for: the nearest number with seven digits."""
    return float(f"{np.float32(value):.7g}")


def box_areas(rois: Array) -> Array:
    """The areas of rows x1, y1, x2, y2, in the coordinate type."""
    wide = rois.astype(coordinate_type(rois.dtype))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray((wide[:, 2] - wide[:, 0]) * (wide[:, 3] - wide[:, 1]))


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The attributes of MultiScaleRoiAlign.

    Attributes:
        spatial_scales: for each map, pixels of the map per pixel of the image.
        rule: assigns RoIs to maps where the input levels is omitted.
        attributes: the common attributes of all levels; its spatial_scale is not used.
    """

    spatial_scales: tuple[float, ...]
    rule: LevelRule = field(default_factory=LevelRule)
    attributes: Attributes = field(default_factory=Attributes)

    def __post_init__(self) -> None:
        if not 1 <= len(self.spatial_scales) <= MAX_LEVELS:
            raise RoiAlignError(
                "spatial_scales", "range", f"must be 1 to {MAX_LEVELS} numbers, got {len(self.spatial_scales)}"
            )
        for scale in self.spatial_scales:
            replace(self.attributes, spatial_scale=scale)

    def at(self, level: int) -> Attributes:
        """The attributes of the RoiAlign of one level."""
        return replace(self.attributes, spatial_scale=self.spatial_scales[level])


def multiscale_roi_align(
    rois: Array, batch_indices: Array, features: Sequence[Array], pyramid: Pyramid, levels: Array | None = None
) -> Array:
    """Pools every RoI from the map of its level.

    Args:
        rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image, of any float type.
        batch_indices: (num_rois,) image of each RoI, int64.
        features: one (N, C, H, W) map per spatial scale, of one float type, N and C.
        pyramid: the attributes.
        levels: (num_rois,) number of the map of each RoI, int64; it replaces the rule. A RoI with any other number has
            no level.

    Returns:
        (num_rois, C, output_height, output_width), of the maps' type; 0 for a RoI without a level.

    Raises:
        RoiAlignError: an input is invalid; the message names it, the rule and the value.
    """
    check_call(rois, batch_indices, features, pyramid, levels)
    check_call_values(rois, batch_indices, features, pyramid)
    Y = new_output(features[0], len(rois), pyramid.attributes)
    levels = pyramid.rule.levels(rois) if levels is None else levels
    Y[(levels < 0) | (levels >= len(features))] = 0
    for level, X in enumerate(features):
        rows = np.flatnonzero(levels == level)
        Y[rows] = reference.roi_align(X, rois[rows], batch_indices[rows], pyramid.at(level))
    return Y


def check_call(
    rois: Array, batch_indices: Array, features: Sequence[Array], pyramid: Pyramid, levels: Array | None
) -> None:
    """Checks the types, shapes and sizes of arrays, not the values of rois and batch_indices.

    Raises:
        RoiAlignError: an input is invalid; the message names it, the rule and the value.
    """
    levels_given = None if levels is None else Given.of(levels)
    check_count(pyramid, len(features))
    check_features(Given.of(rois), Given.of(batch_indices), levels_given, *map(Given.of, features))
    for i, X in enumerate(features):
        _named(i, check_sizes, X, len(rois), pyramid.at(i))


def check_call_values(rois: Array, batch_indices: Array, features: Sequence[Array], pyramid: Pyramid) -> None:
    """Checks the values of rois and batch_indices that passed `check_call`, for the map of every level.

    Raises:
        RoiAlignError: a value is invalid; the message names the input, the rule, the value and its position.
    """
    for i, X in enumerate(features):
        _named(i, check_values, X, rois, batch_indices, pyramid.at(i))


def check_count(pyramid: Pyramid, maps: int) -> None:
    """Checks that there is one map per scale.

    Raises:
        RoiAlignError: the number of maps is not the number of scales.
    """
    if maps != len(pyramid.spatial_scales):
        raise RoiAlignError(
            "features", "shape", f"must be one map for each of {len(pyramid.spatial_scales)} spatial_scales, got {maps}"
        )


def check_features(rois: Given, batch_indices: Given, levels: Given | None, *features: Given) -> None:
    """Checks the known types and shapes of one call; unknown ones are accepted.

    Raises:
        RoiAlignError: an input is invalid; the message names it, the rule and the value.
    """
    for i, X in enumerate(features):
        _named(i, check_signature, X, rois, batch_indices, rois_types=TYPES)
        first = features[0]
        if X.dtype is not None and first.dtype not in (None, X.dtype):
            raise RoiAlignError(
                f"features[{i}]", "type", f"must have the type {first.dtype} of features[0], got {X.dtype}"
            )
        if X.shape is not None and first.shape is not None and _differ(X.shape[:2], first.shape[:2]):
            raise RoiAlignError(
                f"features[{i}]", "shape", f"must have the N and C of features[0], got shape {X.shape_text()}"
            )
    if levels is None:
        return
    if levels.dtype not in (None, "int64"):
        raise RoiAlignError("levels", "type", f"must be int64, got {levels.dtype}")
    if levels.shape is not None and (
        len(levels.shape) != 1 or (rois.shape is not None and _differ(levels.shape, rois.shape[:1]))
    ):
        raise RoiAlignError("levels", "shape", f"must have shape (num_rois,), got shape {levels.shape_text()}")


def _differ(sizes: Sequence[int | str | None], expected: Sequence[int | str | None]) -> bool:
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(sizes, expected, strict=True))


def _named(level: int, check: Callable[..., None], *values: Any, **options: Any) -> None:
    """Calls a check of one RoiAlign's inputs; its error about X names the map of the level instead."""
    try:
        check(*values, **options)
    except RoiAlignError as error:
        raise (error.about(f"features[{level}]") if error.subject == "X" else error) from None


def nearest_scale(size: int, original: int) -> float:
    """The power of two nearest to size / original in float32; both are at least 1."""
    return float(2.0 ** np.rint(np.log2(np.float32(size / original))))
