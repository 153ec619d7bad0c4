"""RoiAlign from the levels of a feature pyramid, in NumPy: every RoI is pooled from the map that fits its size.

Lin et al., "Feature Pyramid Networks for Object Detection" (2017), equation 1: a RoI of area A belongs to level
``floor(k0 + log2(sqrt(A) / s0))``, between the finest and the coarsest level. Frameworks add an epsilon, so that a RoI
whose area lies on a boundary goes to the coarser level:

    torchvision    floor(k0 + log2(sqrt(A) / s0) + 1e-6)
    Detectron2     floor(k0 + log2(sqrt(A) / s0 + 1e-8))
    mmdetection    floor(log2(sqrt(A) / finest_scale + 1e-6))          k0 = 0, s0 = finest_scale

A RoI of negative or NaN area (one of its sides turned round) has no level, and its row of the output is 0; so has one
whose level is beyond the last map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from onnx_roialign.arrays import Array
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.checks import Given, check_signature, check_values, enough_memory
from onnx_roialign.definition.element_types import TYPES, coordinate_type
from onnx_roialign.errors import RoiAlignError

__all__ = [
    "MAX_LEVELS",
    "LevelMapper",
    "LevelRule",
    "Pyramid",
    "box_areas",
    "check_features",
    "check_inputs",
    "decimal",
    "multiscale_roi_align",
    "nearest_scale",
]

MAX_LEVELS = 16
_NO_AREA = math.inf


@dataclass(frozen=True, slots=True)
class LevelRule:
    """Which level a RoI belongs to.

    Attributes:
        min_level: the level of the first map, k_min.
        max_level: the coarsest level, k_max.
        canonical_scale: s0, the side in pixels of the image of a RoI of the canonical level; finite and > 0.
        canonical_level: k0.
        log_epsilon: added before the logarithm.
        floor_epsilon: added before the floor.
        level_areas: the smallest area of each level, ascending, where the formula is not what decides; float32.
    """

    min_level: int = 2
    max_level: int = 5
    canonical_scale: float = 224.0
    canonical_level: int = 4
    log_epsilon: float = 0.0
    floor_epsilon: float = 1e-6
    level_areas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.max_level - self.min_level < MAX_LEVELS:
            raise RoiAlignError(
                f"max_level must be in [min_level, min_level + {MAX_LEVELS - 1}], "
                f"got {self.max_level} where min_level is {self.min_level}"
            )
        if not (math.isfinite(self.canonical_scale) and self.canonical_scale > 0):
            raise RoiAlignError(f"canonical_scale must be finite and > 0, got {self.canonical_scale:.9g}")
        for name in ("log_epsilon", "floor_epsilon"):
            if not 0 <= getattr(self, name) < 1:
                raise RoiAlignError(f"{name} must be in [0, 1), got {getattr(self, name):.9g}")
        if any(not one <= other for one, other in zip(self.level_areas, self.level_areas[1:], strict=False)):
            raise RoiAlignError(f"level_areas must be ascending, got {list(self.level_areas)}")

    def smallest_areas(self, dtype: npt.DTypeLike) -> Array:
        """The smallest area of each level from min_level on, in a float type; infinite for a level that no area has."""
        real = np.dtype(dtype).type
        if self.level_areas:
            return np.array(self.level_areas, dtype)
        last = self.max_level - self.min_level
        return np.array([self._smallest(level, real) if level else 0 for level in range(last + 1)], dtype)

    def _smallest(self, level: int, real: Any) -> Any:
        """By bisection: bit patterns of floats from 0 up are in the order of the floats."""
        bits: Any = np.int32 if real is np.float32 else np.int64

        def area(pattern: int) -> Any:
            return np.array(pattern, bits).view(real)[()]

        low, high = 0, int(np.array(np.finfo(real).max).view(bits))
        if self._level(area(high), real) < level:
            return real(_NO_AREA)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._level(area(middle), real) >= level else (middle + 1, high)
        return area(low)

    def _level(self, area: Any, real: Any) -> int:
        """Every operation is rounded to the type, as in the frameworks; the logarithm is that of float64, rounded."""
        ratio = np.sqrt(area) / real(self.canonical_scale) + real(decimal(self.log_epsilon))
        if not ratio > 0:
            return 0
        exponent = real(self.canonical_level) + real(math.log2(ratio)) + real(decimal(self.floor_epsilon))
        return int(min(max(math.floor(exponent), self.min_level), self.max_level)) - self.min_level

    def levels(self, rois: Array) -> Array:
        """The level of each RoI, (num_rois,), int64, counted from 0 at min_level; -1 for one without a level.

        Args:
            rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image, of any float type.
        """
        areas = box_areas(rois)
        level = np.searchsorted(self.smallest_areas(areas.dtype), areas, side="right") - 1
        return np.where(np.isnan(areas), -1, level)


def decimal(value: float) -> float:
    """The number that a float32 attribute was written for: the nearest one of seven digits."""
    return float(f"{np.float32(value):.7g}")


def box_areas(rois: Array) -> Array:
    """Areas of (x1, y1, x2, y2) rows, in float32 where they are of 16 bits."""
    wide = rois.astype(coordinate_type(rois.dtype))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray((wide[:, 2] - wide[:, 0]) * (wide[:, 3] - wide[:, 1]))


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The attributes of MultiScaleRoiAlign.

    Attributes:
        spatial_scales: of each map, its pixels per pixel of the image.
        rule: which map a RoI is pooled from, where no input tells it.
        attributes: what all levels have in common; its own spatial_scale is not used.
    """

    spatial_scales: tuple[float, ...]
    rule: LevelRule = field(default_factory=LevelRule)
    attributes: Attributes = field(default_factory=Attributes)

    def __post_init__(self) -> None:
        if not 1 <= len(self.spatial_scales) <= MAX_LEVELS:
            raise RoiAlignError(f"spatial_scales must be 1 to {MAX_LEVELS} numbers, got {len(self.spatial_scales)}")
        for scale in self.spatial_scales:
            replace(self.attributes, spatial_scale=scale)

    def at(self, level: int) -> Attributes:
        """The attributes of one level's RoiAlign."""
        return replace(self.attributes, spatial_scale=self.spatial_scales[level])


def multiscale_roi_align(
    rois: Array, batch_indices: Array, features: Sequence[Array], pyramid: Pyramid, levels: Array | None = None
) -> Array:
    """Pools every RoI from the map of its level.

    Args:
        rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image, of any float type.
        batch_indices: (num_rois,) image of each RoI, int64.
        features: one (N, C, H, W) map per spatial scale, of one float type, N and C.
        pyramid: everything else.
        levels: (num_rois,) map of each RoI, int64, in the place of the rule; any other number is no level.

    Returns:
        (num_rois, C, output_height, output_width), of the maps' type; 0 for a RoI without a level.

    Raises:
        RoiAlignError: an input is not as described; the text says which and why.
    """
    given = None if levels is None else Given.of(levels)
    check_inputs(Given.of(rois), Given.of(batch_indices), [Given.of(X) for X in features], pyramid, given)
    for i, X in enumerate(features):
        _named(i, check_values, X, rois, batch_indices, pyramid.at(i))
    own_levels = pyramid.rule.levels(rois) if levels is None else levels
    size = pyramid.attributes.output_height, pyramid.attributes.output_width
    channels = features[0].shape[1]
    with enough_memory(f"rois must leave an output that fits into memory, got {len(rois)} rois of {channels} channels"):
        Y = np.zeros((len(rois), channels, *size), features[0].dtype)
    for level, X in enumerate(features):
        own = np.flatnonzero(own_levels == level)
        Y[own] = reference.roi_align(X, rois[own], batch_indices[own], pyramid.at(level))
    return Y


def check_inputs(
    rois: Given, batch_indices: Given, features: Sequence[Given], pyramid: Pyramid, levels: Given | None
) -> None:
    """Checks what is known of the types and shapes of one call, and that there is a map for each scale.

    Raises:
        RoiAlignError: the text names the input, the rule and what was given.
    """
    check_count(pyramid, len(features))
    check_features(rois, batch_indices, levels, *features)


def check_count(pyramid: Pyramid, maps: int) -> None:
    """Checks that there is a map for each scale.

    Raises:
        RoiAlignError: there are more or fewer.
    """
    if maps != len(pyramid.spatial_scales):
        raise RoiAlignError(
            f"features must be one map for each of {len(pyramid.spatial_scales)} spatial_scales, got {maps}"
        )


def check_features(rois: Given, batch_indices: Given, levels: Given | None, *features: Given) -> None:
    """Checks what is known of the types and shapes of one call; what is not known is taken for right.

    Raises:
        RoiAlignError: the text names the input, the rule and what was given.
    """
    for i, X in enumerate(features):
        _named(i, check_signature, X, rois, batch_indices, rois_types=TYPES)
        first = features[0]
        if X.dtype is not None and first.dtype not in (None, X.dtype):
            raise RoiAlignError(f"features[{i}] must have the type {first.dtype} of features[0], got {X.dtype}")
        if X.shape is not None and first.shape is not None and _differ(X.shape[:2], first.shape[:2]):
            raise RoiAlignError(f"features[{i}] must have the N and C of features[0], got shape {X.shape_text()}")
    if levels is None:
        return
    if levels.dtype not in (None, "int64"):
        raise RoiAlignError(f"levels must be int64, got {levels.dtype}")
    if levels.shape is not None and (
        len(levels.shape) != 1 or (rois.shape is not None and _differ(levels.shape, rois.shape[:1]))
    ):
        raise RoiAlignError(f"levels must have shape (num_rois,), got shape {levels.shape_text()}")


def _differ(one: Sequence[int | str | None], other: Sequence[int | str | None]) -> bool:
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(one, other, strict=True))


def _named(level: int, check: Callable[..., None], *values: Any, **options: Any) -> None:
    """Calls a check of one RoiAlign's inputs; what it says of X is said of the level's map."""
    try:
        check(*values, **options)
    except RoiAlignError as error:
        raise (error.about(f"features[{level}]") if error.subject == "X" else error) from None


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


def nearest_scale(size: int, original: int) -> float:
    """The nearest power of two to size / original."""
    if size < 1 or original < 1:
        raise RoiAlignError(f"feature maps and images must be at least 1 pixel high, got {size} and {original}")
    return float(2.0 ** np.rint(np.log2(np.float32(size / original))))
