"""The rule by which a pooler's graph tells a RoI's level, fitted to the graph's own results."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onnx_roialign.definition.pyramid import LevelRule
from onnx_roialign.graph.fusion.pooler import Pooler
from onnx_roialign.graph.fusion.region import Region
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.reading.values import constant
from onnx_roialign.sessions.options import quiet_options
from onnx_roialign.sessions.session import session

__all__ = ["fit_rule"]

Array = np.ndarray[Any, Any]

_PER_OCTAVE = 8  # areas tried in each octave: levels are an octave of sides apart, two of areas
_SEED = 20261127
_BOXES = 4096  # tried where boundaries cannot be found
_USUAL = (224.0, 4.0, 1e-6)  # numbers of the formula in a graph that compares areas instead
_SAME = 64  # units in the last place between a formula's boundaries and those of the graph, which takes logarithms


def fit_rule(
    pooler: Pooler, known: Known, opset: int, weights: Mapping[str, onnx.TensorProto], columns: int
) -> LevelRule | None:
    """The rule that tells the graph's levels of boxes at the image's corner; None where no thresholds of areas do.

    Args:
        pooler: whose masks are asked.
        known: types.
        opset: of the model.
        weights: the model's initializers.
        columns: how many a row of boxes has; the last four are the corners.
    """
    kind = known.type(pooler.boxes[0])
    real: Any = np.float64 if kind == ir.DataType.DOUBLE.value else np.float32
    levels_of = _Levels(pooler, known, opset, weights, columns)
    if kind in (ir.DataType.FLOAT16.value, ir.DataType.BFLOAT16.value):
        return _formula_of_16_bits(pooler, levels_of, onnx.helper.tensor_dtype_to_np_dtype(kind))
    bits: Any = np.int32 if real is np.float32 else np.int64
    octaves = np.arange(0, 40, 1 / _PER_OCTAVE)
    areas = np.concatenate([[0.0, np.finfo(real).tiny], 2.0**octaves]).astype(real)
    levels = levels_of(areas)
    if levels is None or levels[0] != 0 or (np.diff(levels) < 0).any():
        return None
    last = np.flatnonzero(np.diff(levels))  # the last area before a level changes
    low, high, before = areas[last].view(bits), areas[last + 1].view(bits), levels[last]
    while low.size and (high - low > 1).any():
        middle = low + (high - low) // 2
        found = levels_of(middle.view(real))
        if found is None:
            return None
        low, high = np.where(found <= before, middle, low), np.where(found <= before, high, middle)
    first: list[float] = [0.0]
    for level, area in zip(levels[last + 1], high.view(real), strict=True):
        first += [float(area)] * (int(level) - len(first) + 1)
    rule = _formula(pooler, np.array(first, real), real)
    if real is np.float64:
        return rule  # an attribute has no room for the boundaries of float64
    return replace(rule or LevelRule(0, max(len(first) - 1, 0)), level_areas=tuple(first))


class _Levels:
    """Asks the graph for the levels of boxes of given areas."""

    def __init__(self, pooler: Pooler, known: Known, opset: int, weights: Mapping[str, Any], columns: int) -> None:
        self._masks = [level.mask.name or "" for level in pooler.levels]
        region = Region(pooler.boxes, [level.mask for level in pooler.levels])
        self._session = None if region.others else session(region.model(known, opset, weights), quiet_options())
        self._boxes, self._columns = pooler.boxes, columns

    def __call__(self, areas: Array) -> Array | None:
        """Of boxes of these areas, one pixel high."""
        boxes = np.zeros((len(areas), 4), areas.dtype)
        boxes[:, 2], boxes[:, 3] = areas, 1
        return self.of_boxes(boxes)

    def of_boxes(self, corners: Array) -> Array | None:
        """A level past the last where no mask takes a box; None where one takes it twice, or rows do not match."""
        boxes = np.zeros((len(corners), self._columns), corners.dtype)
        boxes[:, -4:] = corners
        feeds = {value.name: boxes[:0] for value in self._boxes} | {self._boxes[0].name: boxes}
        try:
            masks = self._session.run(self._masks, feeds) if self._session is not None else []
        except Exception:  # onnxruntime's have no common base: such a graph has no rule
            return None
        if not masks or any(mask.shape != (len(boxes),) for mask in masks):
            return None
        taken = np.array(masks, np.int64)
        if (taken.sum(axis=0) > 1).any():
            return None
        return np.where(taken.any(axis=0), taken.argmax(axis=0), len(masks))


def _formula(pooler: Pooler, areas: Array, real: Any) -> LevelRule | None:
    """The formula with numbers of the graph that comes nearest to these boundaries, where that is near enough."""
    best, least = None, _SAME
    for rule in _formulas(pooler, len(areas)):
        wanted = rule.smallest_areas(real)
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.where(wanted == areas, 0, np.abs(wanted - areas) / np.spacing(np.maximum(wanted, areas)))
        if apart.max() < least:
            best, least = rule, apart.max()
    return best


def _formula_of_16_bits(pooler: Pooler, levels_of: _Levels, dtype: np.dtype[Any]) -> LevelRule | None:
    """The formula that tells the levels of boxes of all sizes: their areas are too coarse to find boundaries by."""
    rng = np.random.default_rng(_SEED)
    corner = rng.uniform(0, 64, (_BOXES, 2))
    boxes = np.hstack([corner, corner + 2 ** rng.uniform(0, 10, (_BOXES, 2))]).astype(dtype)
    levels = levels_of.of_boxes(boxes)
    if levels is None:
        return None
    for count in (len(pooler.levels), len(pooler.levels) + 1):
        for rule in _formulas(pooler, count):
            if np.array_equal(rule.levels(boxes), levels):
                return rule
    return None


def _formulas(pooler: Pooler, count: int) -> Iterator[LevelRule]:
    region = Region(pooler.boxes, [pooler.levels[-1].mask])
    found = {float(number) for value in _constants(region) for number in value.reshape(-1)[:4] if np.isfinite(number)}
    found |= set(_USUAL)
    scales = sorted(number for number in found if number >= 8)
    epsilons = sorted({0.0, *(number for number in found if 0 < number < 1e-3)})
    whole = sorted({0, *(int(number) for number in found if number.is_integer() and 0 < number < 16)}, reverse=True)
    for scale, epsilon, level in itertools.product(scales, epsilons, whole):
        for first in whole:
            for in_log in (False, True):
                yield LevelRule(
                    first,
                    first + count - 1,
                    scale,
                    level,
                    log_epsilon=epsilon if in_log else 0.0,
                    floor_epsilon=0.0 if in_log else epsilon,
                )


def _constants(region: Region) -> Iterator[Array]:
    for value in [*region.constants, *(one for node in region.nodes for one in node.outputs)]:
        numbers = constant(value)
        if numbers is not None and numbers.size and numbers.dtype.kind in "fi":
            yield numbers
