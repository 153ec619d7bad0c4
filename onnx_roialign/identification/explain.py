"""Compares two meanings of RoiAlign for one RoI: bins, samples, dropped samples, and the difference of the results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array, largest_difference
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.checks import check_arrays
from onnx_roialign.definition.geometry import RoiAxis, all_positions, axis_grid, axis_samples, roi_axes
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.identification.result import FIELDS, Value

__all__ = ["MAX_POSITIONS", "AxisPlan", "Explanation", "Plan", "explain", "noise_map"]

Box = tuple[float, float, float, float]

# Number of positions kept along one axis. An adaptive grid may have 1e8; a picture cannot show more than this.
MAX_POSITIONS = 1 << 14

# Lower bound of the noise of the map, by mode: negative values show a maximum that starts from 0.
_LOWEST = MappingProxyType({"avg": 0, "max": -1})


@dataclass(frozen=True, slots=True)
class AxisPlan:
    """One axis of one RoI, in pixels of the feature map.

    Attributes:
        start: the start of the RoI.
        size: length of the RoI; negative for a mirrored one.
        bin: length of one bin.
        bins: number of bins.
        grid: number of samples per bin.
        inside: number of the ``bins * grid`` samples that lie on the map or within one pixel of it.
        positions: positions of the samples in order; if there are more than `MAX_POSITIONS`, only of samples inside.
        kept: whether each of the positions lies inside.
    """

    start: float
    size: float
    bin: float
    bins: int
    grid: float
    inside: float
    positions: Array
    kept: Array


@dataclass(frozen=True, slots=True)
class Plan:
    """One RoI under one meaning, with its result on the map of `noise_map`.

    Attributes:
        semantics: the meaning.
        x: the axis along the width.
        y: the axis along the height.
        result: (output_height, output_width), the result in the call's mode.
    """

    semantics: Semantics
    x: AxisPlan
    y: AxisPlan
    result: Array

    @property
    def samples(self) -> float:
        """The number of samples of the RoI."""
        return self.x.bins * self.x.grid * self.y.bins * self.y.grid

    @property
    def dropped(self) -> float:
        """The number of samples so far outside the map that they contribute nothing."""
        return self.samples - self.x.inside * self.y.inside

    def as_dict(self) -> dict[str, Any]:
        """Returns the numbers as JSON types; pairs are (x, y)."""
        pairs = {name: [getattr(self.x, name), getattr(self.y, name)] for name in ("start", "size", "bin", "grid")}
        return {**pairs, "samples": int(self.samples), "dropped": int(self.dropped)}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One RoI under two meanings.

    Attributes:
        box: x1, y1, x2, y2 in pixels of the image.
        feature: (H, W) of the map.
        attributes: attributes of the call; their `semantics` are those of `first`.
        first: the RoI under the first meaning.
        second: the RoI under the second meaning.
    """

    box: Box
    feature: tuple[int, int]
    attributes: Attributes
    first: Plan
    second: Plan

    @property
    def fields(self) -> dict[str, tuple[Value, Value]]:
        """The fields of Semantics in which the two meanings differ, with the first's value and the second's."""
        pairs = {name: (getattr(self.first.semantics, name), getattr(self.second.semantics, name)) for name in FIELDS}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    @property
    def noise(self) -> str:
        """The range of the map's values, in words."""
        low = _LOWEST[self.attributes.mode]
        return f"noise in [{low}, {low + 1})"

    @property
    def difference(self) -> float:
        """The largest difference of the two results; infinite if only one of two values is NaN."""
        return largest_difference(self.first.result, self.second.result)


def explain(box: Box, feature: tuple[int, int], attributes: Attributes, versus: Semantics) -> Explanation:
    """Computes a RoI's bins and samples under ``attributes.semantics`` and under `versus`.

    Args:
        box: x1, y1, x2, y2 in pixels of the image, rounded to float32.
        feature: (H, W) of the feature map in pixels, each at least 1.
        attributes: attributes of the call.
        versus: the second meaning.

    Raises:
        RoiAlignError: a coordinate is not finite, or is not finite after scaling.
    """
    X, rois = noise_map(feature, attributes.mode)[None, None], np.array([box], np.float32)
    plans = []
    for semantics in (attributes.semantics, versus):
        call = replace(attributes, semantics=semantics)
        check_arrays(X, rois, np.zeros(1, np.int64), call)
        result = reference.roi_align(X, rois, np.zeros(1, np.int64), call)[0, 0]
        y, x = map(_axis, roi_axes(rois, feature, call))
        plans.append(Plan(semantics, x, y, result))
    return Explanation(box, feature, attributes, *plans)


def noise_map(feature: tuple[int, int], mode: str) -> Array:
    """Returns (H, W) float32 seeded noise, on which results are compared: in [0, 1), or in [-1, 0) for mode max."""
    return np.random.default_rng(0).random(feature, np.float32) + np.float32(_LOWEST[mode])


def _axis(axis: RoiAxis) -> AxisPlan:
    bins = axis.bins
    with np.errstate(all="ignore"):  # as in the reference, for grids of 0 samples and positions that overflow
        grid = axis_grid(axis)
        samples = axis_samples(axis)
        count = max(float(grid.count[0]), 0.0)
        positions, kept = samples.position[:MAX_POSITIONS], np.ones(min(samples.position.size, MAX_POSITIONS), bool)
        if bins * count <= MAX_POSITIONS:
            each = all_positions(grid, 0)
            inside = [np.isin(at, samples.position[samples.bin == p]) for p, at in enumerate(each)]
            positions, kept = each.ravel(), np.concatenate(inside)
    return AxisPlan(
        start=float(axis.start[0]),
        size=float(grid.size[0]),
        bin=float(grid.step[0]),
        bins=bins,
        grid=count,
        inside=float(np.round(np.sum(samples.share * count))),
        positions=positions,
        kept=kept,
    )
