"""Writes a pooler as MultiScaleRoiAlign, if both return the same results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onnx_roialign.arrays import Array
from onnx_roialign.definition.pyramid import LevelRule, Pyramid
from onnx_roialign.graph.fusion.boxes import (
    Boxes,
    boxes_in_fixed_numbers,
    boxes_per_image,
    features,
    one_of_each_level,
    pool_of_boxes,
)
from onnx_roialign.graph.fusion.pooler import Pooler, can_start_from
from onnx_roialign.graph.fusion.region import Region, moved_from, region_of
from onnx_roialign.graph.fusion.rewriting import FusedPart, Rewriting, refused
from onnx_roialign.graph.fusion.rows import Selection, whole
from onnx_roialign.graph.fusion.rule import Levels, fit_rule
from onnx_roialign.graph.reading.value_types import Shape
from onnx_roialign.ops import multiscale_roi_align
from onnx_roialign.sessions.options import takes_omitted_inputs

__all__ = ["write_pooler"]

_SEED = 20261127
_OP = multiscale_roi_align.OP_TYPE
_CORRECTED = "it returns the source's results, which differ from the model's"
_RUNS_ON_MORE = "it runs with any boxes; the old part ran only with as many per level as the exporter's example had"
_FINITE = "features are assumed to be finite: one that is not made the old part return NaN in rows of other levels"
_NO_ROW = "a box of negative area gets a row of zeros; the old part left the row out, which shifted all later rows"


def write_pooler(pooler: Pooler, writing: Rewriting) -> FusedPart:
    """Fuses one pooler, or returns the reason why not."""
    maps = tuple(dict.fromkeys(level.features for level in pooler.levels))
    level_input = () if pooler.level_input is None else (pooler.level_input,)
    more = tuple(Region((*maps, *pooler.boxes, *level_input), [pooler.end]).more_inputs)
    images: tuple[ir.Value, ...] = ()
    if more and not level_input and can_start_from(pooler, more, writing.known):
        pooler = replace(pooler, boxes=more)  # the model concatenates them and also reads their number
    elif set(more) <= _moved_from(pooler.levels[0].batch_indices):
        images = more
    region = region_of((*maps, *pooler.boxes, *level_input, *images), pooler.end)
    if isinstance(region, str):
        return refused(_OP, pooler.end, region)
    corrected = any((level.node.outputs[0].name or "") in writing.corrected for level in pooler.levels)
    levels = Levels(pooler, writing.known, writing.opset, writing.weights, writing.apart)
    rule = None
    if not level_input:
        pooler, rule = fit_rule(pooler, levels, writing.known.type(pooler.boxes[0]))
    reasons: list[str] = []
    rows = _fixed_rows(pooler, writing)
    attempts = (rule, None) if takes_omitted_inputs() else (None, rule)
    for attempt in dict.fromkeys(attempts):
        nodes = _nodes(pooler, attempt, writing)
        if nodes is None:
            continue
        feeds = _Feeds(pooler, images, writing, attempt, rows, levels)
        proof = writing.prove(region, nodes, [*feeds.ordinary()])
        if proof.wrong is not None and proof.runs_on_more:
            proof = writing.prove(region, nodes, [*feeds.ordinary()], [*feeds.least()])
        if proof.wrong is None:
            text = "; ".join(_texts(pooler, attempt, rows, proof.runs_on_more))
            part = writing.replace(_OP, pooler.end, nodes, text)
            return replace(part, text=f"{text}; {_CORRECTED}", corrected=True) if corrected else part
        reasons.append(proof.wrong)
    return refused(_OP, pooler.end, reasons[0] if reasons else "its levels have no rule")


def _moved_from(selection: Selection) -> set[ir.Value]:
    return {value for table in selection.tables for value in moved_from(table)}


def _texts(pooler: Pooler, rule: LevelRule | None, rows: int | None, runs_on_more: bool) -> Iterator[str]:
    yield "levels are an input" if rule is None else _rule_text(rule)
    if rows is not None:
        yield f"it returns a row for each box; the old part returned {rows} rows for any number of boxes"
    if runs_on_more:
        yield _RUNS_ON_MORE
    if pooler.in_order:
        yield _NO_ROW
    if pooler.multiplied:
        yield _FINITE


def _rule_text(rule: LevelRule) -> str:
    if rule.max_level < rule.min_level:
        return "no box has a level: the model's feature maps go from coarse to fine"
    formula = replace(rule, level_areas=()).smallest_areas(np.float32)
    if rule.level_areas and not np.allclose(formula, rule.level_areas, rtol=1e-4):
        return f"levels begin at areas of {', '.join(f'{area:.9g}' for area in rule.level_areas)}"
    epsilon = f" + {rule.log_epsilon:.3g}" if rule.log_epsilon else ""
    after = f" + {rule.floor_epsilon:.3g}" if rule.floor_epsilon else ""
    return (
        f"level = floor({rule.canonical_level} + log2(sqrt(area) / {rule.canonical_scale:g}{epsilon}){after}), "
        f"{rule.min_level} to {rule.max_level}"
    )


# The new nodes.


def _nodes(pooler: Pooler, rule: LevelRule | None, writing: Rewriting) -> list[ir.Node] | None:
    nodes: list[ir.Node] = []
    levels = None
    if rule is None:
        pooler = replace(pooler, levels=tuple(sorted(pooler.levels, key=lambda level: level.number)))
        numbers = [level.number for level in pooler.levels]
        if pooler.levels[0].levels is None or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            return None
        levels = _counted_from(pooler.levels[0].levels, numbers[0], nodes, writing)
    first = pooler.levels[0]
    inputs = [whole(selection, nodes, writing.named) for selection in (first.rois, first.batch_indices)]
    inputs = [_sliced(value, pooler, nodes, writing) for value in inputs]
    if levels is not None:
        levels = _sliced(levels, pooler, nodes, writing)
    scales = tuple(level.attributes.spatial_scale for level in pooler.levels)
    pyramid = Pyramid(scales, rule or LevelRule(), replace(first.attributes, spatial_scale=1.0))
    proto = multiscale_roi_align.make_node(
        "rois", "batch_indices", ["X"] * len(scales), "Y", pyramid, levels="levels" if levels is not None else ""
    )
    maps = [level.features for level in pooler.levels]
    nodes.append(writing.node(proto, [*inputs, levels, *maps], pooler.end.name or "pooled"))
    return nodes


def _sliced(value: ir.Value, pooler: Pooler, nodes: list[ir.Node], writing: Rewriting) -> ir.Value:
    """The rows that the pooler's last Slice keeps."""
    if pooler.rows is None:
        return value
    cut = ir.Node("", "Slice", [value, *pooler.rows.inputs[1:]], num_outputs=1)
    nodes.append(writing.named(cut, f"{value.name}/rows"))
    return cut.outputs[0]


def _counted_from(levels: ir.Value, first: int, nodes: list[ir.Node], writing: Rewriting) -> ir.Value:
    if writing.known.type(levels) != ir.DataType.INT64.value:
        cast = ir.node("Cast", [levels], {"to": ir.DataType.INT64.value})
        nodes.append(writing.named(cast, f"{levels.name}/int64"))
        levels = cast.outputs[0]
    if first == 0:
        return levels
    less = ir.node("Sub", [levels, writing.constant(first, f"{levels.name}/first", nodes)])
    nodes.append(writing.named(less, f"{levels.name}/from_0"))
    return less.outputs[0]


# The inputs on which both are run.


def _fixed_rows(pooler: Pooler, writing: Rewriting) -> int | None:
    """The number of rows that the part returns for any number of boxes; some exporters take it from their example."""
    rows = _rows(writing.known.shape(pooler.end))
    return rows if None in _counts(pooler, writing) else None


def _counts(pooler: Pooler, writing: Rewriting) -> list[int | None]:
    return [_rows(writing.known.shape(boxes)) for boxes in pooler.boxes]


def _rows(shape: Shape | None) -> int | None:
    """The first dimension of a known shape; None if it is not known, or the value is a scalar."""
    first = shape[0] if shape else None
    return first if isinstance(first, int) else None


class _Feeds:
    """Draws the inputs of both parts as arrays by name."""

    def __init__(
        self,
        pooler: Pooler,
        images: Sequence[ir.Value],
        writing: Rewriting,
        rule: LevelRule | None,
        rows: int | None,
        levels: Levels,
    ) -> None:
        self._pooler, self._images, self._writing, self._rows = pooler, images, writing, rows
        self._counts = _counts(pooler, writing)
        self._rng = np.random.default_rng(_SEED)
        self._draw = Boxes(_SEED, writing.dtype(pooler.boxes[0]))
        areas = [] if rule is None else rule.smallest_areas(np.float64).tolist()
        self._pool = pool_of_boxes(self._draw, areas)
        self._levels = levels
        if pooler.in_order and (found := levels.of_boxes(self._pool)) is not None:
            self._pool = self._pool[found < len(pooler.levels)]
        self._fixed = rows is not None or any(count is not None for count in self._counts)
        self._has_index = pooler.width > 4 or bool(images)
        self._maps = self._features()

    def ordinary(self) -> Iterator[Mapping[str, Array]]:
        """Feeds with boxes of every kind, without a box and with one box."""
        images = len(self._counts)
        drawn = (
            boxes_in_fixed_numbers(self._pool, self._counts, self._rows)
            if self._fixed
            else boxes_per_image(self._draw, self._pool, images)
        )
        return map(self._feed, drawn)

    def least(self) -> Iterator[Mapping[str, Array]]:
        """Feeds with one box on each level: the only ones on which a part runs whose example had one box per level."""
        found = None if self._fixed or self._pooler.level_input is not None else self._levels.of_boxes(self._pool)
        if found is None:
            return
        none = [self._pool[:0]] * (len(self._counts) - 1)
        for boxes in one_of_each_level(self._pool, found, len(self._pooler.levels)):
            yield self._feed([boxes, *none])

    def _features(self) -> dict[str, Array]:
        known = self._writing.known
        count = 2 if self._has_index else len(self._counts)
        maps = [level.features for level in self._pooler.levels]
        kind = known.type(maps[0]) or onnx.TensorProto.FLOAT
        return {value.name or "": features(known.shape(value), i, count, kind, _SEED) for i, value in enumerate(maps)}

    def _feed(self, boxes: Sequence[Array]) -> Mapping[str, Array]:
        pooler = self._pooler
        count = sum(len(rows) for rows in boxes)
        real_images = len(next(iter(self._maps.values())))
        tables = [
            np.hstack([self._rng.integers(0, real_images, (len(rows), pooler.width - 4)).astype(rows.dtype), rows])
            for rows in boxes
        ]
        feed: dict[str, Any] = self._maps | {
            value.name or "": table for value, table in zip(pooler.boxes, tables, strict=True)
        }
        numbers = [level.number for level in pooler.levels]
        for value, least, most in (
            *((indices, 0, real_images - 1) for indices in self._images),
            *(() if pooler.level_input is None else ((pooler.level_input, min(numbers) - 1, max(numbers) + 1),)),
        ):
            feed[value.name or ""] = self._rng.integers(least, most + 1, count).astype(self._writing.dtype(value))
        return feed
