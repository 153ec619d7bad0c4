"""Finds the rule by which a pooler's graph assigns levels to RoIs, from the levels that the graph computes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onnx_roialign.arrays import Array
from onnx_roialign.definition.pyramid import LevelRule
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.fusion.pooler import Pooler
from onnx_roialign.graph.fusion.region import Region
from onnx_roialign.graph.fusion.rows import slice_of
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.reading.values import constant
from onnx_roialign.sessions.run_apart import Apart

__all__ = ["Levels", "fit_rule"]

_PER_OCTAVE = 256  # areas tried in each octave; from level to level the area grows by two octaves
_SEED = 20261127
_BOXES = 4096  # boxes tried where boundaries cannot be found
_AT_ONCE = 1 << 15  # areas tried between two neighbours of those: every float32 between them
_USUAL = (224.0, 4, 1e-6)  # scale, level and epsilon to try where the graph compares areas and contains no formula
_NO_LEVEL = LevelRule(1, 0)  # a pooler whose largest level is below its smallest: no box has a level
_SAME = 64  # units in the last place by which a formula's boundaries may differ from those of the graph's logarithm


class Levels:
    """Runs the part of a pooler's graph that assigns levels to boxes, in another process."""

    def __init__(
        self, pooler: Pooler, known: Known, opset: int, weights: Mapping[str, onnx.TensorProto], apart: Apart
    ) -> None:
        self._apart = apart
        self._masks = [level.mask.name or "" for level in pooler.levels]
        region = Region(pooler.boxes, list(dict.fromkeys(level.mask for level in pooler.levels)))
        self._model = None if region.more_inputs else region.model(known, opset, weights)
        self._boxes, self._width = pooler.boxes, pooler.width
        self._rows = None if pooler.rows is None else slice_of(pooler.rows)

    def of_areas(self, areas: Array) -> Array | None:
        """The levels of boxes of these areas, one pixel high; see `of_boxes`."""
        boxes = np.zeros((len(areas), 4), areas.dtype)
        boxes[:, 2], boxes[:, 3] = areas, 1
        return self.of_boxes(boxes)

    def of_boxes(self, corners: Array) -> Array | None:
        """The levels of boxes; the number of levels for a box that no mask selects.

        Returns None where two masks select a box, where a mask does not have one element per box, or where the graph
        fails.
        """
        boxes = np.zeros((len(corners), self._width), corners.dtype)
        boxes[:, -4:] = corners
        feed = {value.name or "": boxes[:0] for value in self._boxes} | {self._boxes[0].name or "": boxes}
        if self._model is None:
            return None
        try:
            ((masks,),) = self._apart.run([self._model], [feed], [self._masks])
        except RoiAlignError:  # the graph crashed the process
            return None
        if isinstance(masks, str):
            return None
        masks = [mask if self._rows is None else mask[self._rows] for mask in masks]
        if any(mask.shape != (len(boxes),) for mask in masks):
            return None
        selected = np.array(masks, np.int64)
        if (selected.sum(axis=0) > 1).any():
            return None
        return np.where(selected.any(axis=0), selected.argmax(axis=0), len(masks))


def fit_rule(pooler: Pooler, levels: Levels, kind: int) -> tuple[Pooler, LevelRule | None]:
    """The pooler with its levels sorted by the areas that they pool, and its rule.

    The rule is None where the level does not follow from thresholds of the area.

    Args:
        pooler: the pooler.
        levels: runs its masks.
        kind: the element type of the boxes.
    """
    real: Any = np.float64 if kind == ir.DataType.DOUBLE.value else np.float32
    if kind in (ir.DataType.FLOAT16.value, ir.DataType.BFLOAT16.value):
        return pooler, _formula_of_16_bits(pooler, levels, onnx.helper.tensor_dtype_to_np_dtype(kind))
    octaves = np.arange(0, 40, 1 / _PER_OCTAVE)
    areas = np.concatenate([[0.0, np.finfo(real).tiny], 2.0**octaves]).astype(real)
    found = levels.of_areas(areas)
    if found is not None and (found == len(pooler.levels)).all():
        return pooler, _NO_LEVEL
    if found is None or found[0] == len(pooler.levels):
        return pooler, None
    order = [level for level in dict.fromkeys(found.tolist()) if level < len(pooler.levels)]
    order += [level for level in range(len(pooler.levels)) if level not in order]
    if order != sorted(order):
        pooler = replace(pooler, levels=tuple(pooler.levels[level] for level in order))
    place = np.append(np.argsort(order), len(order))  # the new number of each mask

    def sorted_levels(areas: Array) -> Array | None:
        unsorted = levels.of_areas(areas)
        return None if unsorted is None else place[unsorted]

    return pooler, _fitted(pooler, sorted_levels, areas, place[found])


def _fitted(pooler: Pooler, levels_of: Callable[[Array], Array | None], areas: Array, found: Array) -> LevelRule | None:
    """Finds the exact areas at which the level changes, between these areas, and the formula with these boundaries."""
    if (np.diff(found) < 0).any():
        return None
    bits: Any = np.int32 if areas.dtype == np.float32 else np.int64
    last = np.flatnonzero(np.diff(found))  # the last area before a level changes
    low, high, before = areas[last].view(bits), areas[last + 1].view(bits), found[last]
    while low.size and (high - low > 1).any():
        gap = (high - low).astype(np.int64)[:, None]
        steps = (low[:, None] + gap * np.arange(_AT_ONCE + 1) // _AT_ONCE).astype(bits)
        measured = levels_of(steps.reshape(-1).view(areas.dtype))
        if measured is None:
            return None
        over = np.argmax(measured.reshape(steps.shape) > before[:, None], axis=1)
        rows = np.arange(len(low))
        low, high = steps[rows, np.maximum(over - 1, 0)], steps[rows, over]
    first: list[float] = [0.0]
    for level, area in zip(found[last + 1], high.view(areas.dtype), strict=True):
        first += [float(area)] * (int(level) - len(first) + 1)
    rule = _formula(pooler, np.array(first, areas.dtype), areas.dtype.type)
    if areas.dtype == np.float64:
        return rule  # an attribute is float32 and cannot hold boundaries of float64
    return replace(rule or LevelRule(0, max(len(first) - 1, 0)), level_areas=tuple(first))


def _formula(pooler: Pooler, areas: Array, real: Any) -> LevelRule | None:
    """The formula, from numbers in the graph, whose boundaries are nearest to these, if they are near enough."""
    for rules in _formulas(pooler, len(areas)):
        best, least = None, _SAME
        for rule in rules:
            wanted = rule.smallest_areas(real)
            with np.errstate(invalid="ignore", over="ignore"):
                apart = np.where(wanted == areas, 0, np.abs(wanted - areas) / np.spacing(np.maximum(wanted, areas)))
            if apart.max() < least:
                best, least = rule, apart.max()
        if best is not None:
            return best
    return None


def _formula_of_16_bits(pooler: Pooler, levels: Levels, dtype: np.dtype[Any]) -> LevelRule | None:
    """The formula that gives random boxes their levels; areas in 16 bits are too coarse to find boundaries."""
    rng = np.random.default_rng(_SEED)
    corner = rng.uniform(0, 64, (_BOXES, 2))
    boxes = np.hstack([corner, corner + 2 ** rng.uniform(0, 10, (_BOXES, 2))]).astype(dtype)
    found = levels.of_boxes(boxes)
    if found is None:
        return None
    counts = (len(pooler.levels), len(pooler.levels) + 1)
    rules = (rule for count in counts for group in _formulas(pooler, count) for rule in group)
    return next((rule for rule in rules if np.array_equal(rule.levels(boxes), found)), None)


def _formulas(pooler: Pooler, count: int) -> Iterator[Iterator[LevelRule]]:
    """Formulas from the numbers in the graph: with the level that it adds, with any level, with the usual numbers."""
    region = Region(pooler.boxes, [pooler.levels[-1].mask])
    found = _numbers(region.constants) | _numbers(value for node in region.nodes for value in node.outputs)
    adds = [node for node in region.nodes if node.op_type == "Add"]
    added = _numbers(value for node in adds for value in node.inputs if value is not None)
    whole = sorted({0, *(int(number) for number in found if number.is_integer() and 0 < number < 16)}, reverse=True)
    canonical = sorted({int(number) for number in added if number.is_integer() and 0 < number < 16}) or [0]
    scales = sorted(number for number in found if number >= 8)
    epsilons = sorted({0.0, *(number for number in found if 0 < number < 1e-3)}, reverse=True)
    scale, level, epsilon = _USUAL
    yield _with(count, scales, epsilons, canonical, whole)
    yield _with(count, scales, epsilons, whole, whole)
    yield _with(count, [scale], [epsilon], [level], range(16))


def _with(
    count: int, scales: Iterable[float], epsilons: Iterable[float], canonical: Iterable[int], first: Iterable[int]
) -> Iterator[LevelRule]:
    for scale, epsilon, level, least in itertools.product(scales, epsilons, canonical, first):
        for in_log in (False, True) if epsilon else (False,):
            yield LevelRule(
                least,
                least + count - 1,
                scale,
                level,
                log_epsilon=epsilon if in_log else 0.0,
                floor_epsilon=0.0 if in_log else epsilon,
            )


def _numbers(values: Iterable[ir.Value]) -> set[float]:
    """The finite numbers of the constants, at most four of each."""
    arrays = [array for value in values if (array := constant(value)) is not None and array.dtype.kind in "fi"]
    return {float(number) for array in arrays for number in array.reshape(-1)[:4] if np.isfinite(number)}
