"""What one RoI becomes under two meanings of RoiAlign: bins, samples, those dropped, how far the answers differ."""

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

# Positions kept along one axis; an adaptive grid may have 1e8, and of more than this nobody sees the single one.
MAX_POSITIONS = 1 << 14

# What the noise of the map begins at, by mode: a maximum that starts from 0 shows on a map of less.
_LOWEST = MappingProxyType({"avg": 0, "max": -1})


@dataclass(frozen=True, slots=True)
class AxisPlan:
    """One axis of one RoI, in pixels of the feature map.

    Attributes:
        start: where the RoI begins.
        size: its length; negative where it is mirrored.
        bin: the length of one bin.
        bins: how many there are.
        grid: samples per bin; 0 where there are none.
        inside: how many of the ``bins * grid`` samples lie on the map or within its margin.
        positions: of the samples, in order; those inside only where there are more than `MAX_POSITIONS`.
        kept: which of them lie inside.
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
    """One RoI under one meaning, and what comes out on the map of `noise_map`.

    Attributes:
        semantics: the meaning.
        x: along the width.
        y: along the height.
        answer: (output_height, output_width), in the call's mode.
    """

    semantics: Semantics
    x: AxisPlan
    y: AxisPlan
    answer: Array

    @property
    def samples(self) -> float:
        """How many samples the RoI has in all."""
        return self.x.bins * self.x.grid * self.y.bins * self.y.grid

    @property
    def dropped(self) -> float:
        """How many of them lie so far outside the map that they contribute nothing."""
        return self.samples - self.x.inside * self.y.inside

    def as_dict(self) -> dict[str, Any]:
        """The numbers in JSON's types; pairs are (x, y)."""
        pairs = {name: [getattr(self.x, name), getattr(self.y, name)] for name in ("start", "size", "bin", "grid")}
        return {**pairs, "samples": int(self.samples), "dropped": int(self.dropped)}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One RoI under two meanings.

    Attributes:
        box: x1, y1, x2, y2 in pixels of the image.
        feature: (H, W) of the map.
        attributes: of the call; their `semantics` are those of `first`.
        first: the RoI under the one meaning.
        second: the RoI under the other.
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
        """What the answers are of, in words."""
        low = _LOWEST[self.attributes.mode]
        return f"noise in [{low}, {low + 1})"

    @property
    def difference(self) -> float:
        """The largest difference of the two answers; infinite where only one of them is NaN."""
        return largest_difference(self.first.answer, self.second.answer)


def explain(box: Box, feature: tuple[int, int], attributes: Attributes, versus: Semantics) -> Explanation:
    """Works out a RoI's bins and samples under ``attributes.semantics`` and under `versus`.

    Args:
        box: x1, y1, x2, y2 in pixels of the image, computed with in float32.
        feature: (H, W) of the feature map in its pixels, each at least 1.
        attributes: of the call.
        versus: the other meaning.

    Raises:
        RoiAlignError: a coordinate that is not finite, or does not stay so when scaled.
    """
    X, rois = noise_map(feature, attributes.mode)[None, None], np.array([box], np.float32)
    plans = []
    for semantics in (attributes.semantics, versus):
        call = replace(attributes, semantics=semantics)
        check_arrays(X, rois, np.zeros(1, np.int64), call)
        answer = reference.roi_align(X, rois, np.zeros(1, np.int64), call)[0, 0]
        y, x = map(_axis, roi_axes(rois, feature, call))
        plans.append(Plan(semantics, x, y, answer))
    return Explanation(box, feature, attributes, *plans)


def noise_map(feature: tuple[int, int], mode: str) -> Array:
    """(H, W) float32, seeded: the map on which answers are compared, of values in [0, 1), or in [-1, 0) for max."""
    return np.random.default_rng(0).random(feature, np.float32) + np.float32(_LOWEST[mode])


def _axis(axis: RoiAxis) -> AxisPlan:
    bins = axis.bins
    with np.errstate(all="ignore"):  # as in the reference: grids of 0 samples, and positions that overflow
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
