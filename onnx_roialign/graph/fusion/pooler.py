"""Poolers of a feature pyramid as exporters write them: RoiAligns of one box tensor, merged by their levels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.fusion.merges import Merge, Part, merges
from onnx_roialign.graph.fusion.region import boxes_from, moved_from, nearest
from onnx_roialign.graph.fusion.rows import Taken, compared, taken
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.reading.values import Values
from onnx_roialign.ops.nodes import read_attributes

__all__ = ["Level", "Pooler", "further", "poolers"]

_CLOSE = 1e-4  # of shifts of boxes in pixels of the map
_OFFSETS = (0.0, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Level:
    """One level's RoiAlign.

    Attributes:
        node: the RoiAlign.
        attributes: what it means, the shift of its boxes included.
        rois: how its boxes are taken.
        batch_indices: how its indices are.
        mask: which RoIs it takes, a value.
        levels: what the mask compares; None where it is no comparison for equality with a number.
        number: that it compares with.
    """

    node: ir.Node
    attributes: Attributes
    rois: Taken
    batch_indices: Taken
    mask: ir.Value
    levels: ir.Value | None
    number: int

    @property
    def features(self) -> ir.Value:
        """The level's map."""
        value = self.node.inputs[0]
        assert value is not None
        return value


@dataclass(frozen=True, slots=True)
class Pooler:
    """A pooler.

    Attributes:
        levels: in the order of their numbers.
        end: the merged output.
        boxes: what levels and RoIs are both taken from: one tensor per image, or one of all.
        width: how many columns these have; the last four are the corners.
        given: what the model is given in the place of levels that are computed; None where they are computed.
        rows: the node that cuts rows off at the end; None where there is none.
        multiplied: whether the rows of other levels are multiplied by 0.
        in_order: whether rows are joined level by level and then put in order, so that those of no level are lost.
    """

    levels: tuple[Level, ...]
    end: ir.Value
    boxes: tuple[ir.Value, ...]
    width: int
    given: ir.Value | None
    rows: ir.Node | None
    multiplied: bool
    in_order: bool


def poolers(graph: ir.Graph, opset: int, known: Known) -> Iterator[Pooler | tuple[ir.Value, str]]:
    """Every pooler of a graph; of what looks like one and is none, its output and the reason."""
    pending = merges(graph)[::-1]
    seen = set()
    while pending:
        merge = pending.pop()
        if merge.end in seen:
            continue
        seen.add(merge.end)
        found = _pooler(merge, opset, known)
        if isinstance(found, Pooler):
            yield found
        elif merge.inner:
            pending += merge.inner[::-1]  # two poolers that are added up
        else:
            yield merge.end, found


def further(pooler: Pooler, values: Sequence[ir.Value], known: Known) -> bool:
    """Whether the pooler's boxes are the rows of these values, and its levels told by them alone."""
    first = pooler.levels[0].rois
    within = boxes_from(first.value, first.steps, known)
    return all(value in within for value in values) and not any(
        nearest(level.mask, values)[1] for level in pooler.levels
    )


def _pooler(merge: Merge, opset: int, known: Known) -> Pooler | str:
    values = Values()
    levels = []
    for part in merge.parts:
        level = _level(part, opset, values)
        if isinstance(level, str):
            return level
        levels.append(level)
    first = levels[0]
    for level in levels[1:]:
        if replace(level.attributes, spatial_scale=1.0) != replace(first.attributes, spatial_scale=1.0):
            return "its levels differ in more than their scale"
        if (level.rois.tables, level.batch_indices.tables) != (first.rois.tables, first.batch_indices.tables):
            return "its levels take boxes of different tensors"
    if all(level.levels is first.levels is not None for level in levels):
        levels.sort(key=lambda level: level.number)
    within = boxes_from(first.rois.value, first.rois.steps, known)
    boxes: dict[ir.Value, None] = {}
    given = _given(levels, within)
    for level in levels if given is None else ():
        hit, missed = nearest(level.mask, within)
        if missed or not hit:
            return "its levels are those of other boxes than are pooled"
        boxes |= dict.fromkeys(hit)
    if given is not None:
        boxes = {one: None for one in first.rois.tables if one in within}
    width = _width(next(iter(boxes)), within, known) if boxes else 4
    multiplied = any(part.multiplied for part in merge.parts)
    return Pooler(tuple(levels), merge.end, tuple(boxes), width, given, merge.rows, multiplied, merge.in_order)


def _given(levels: Sequence[Level], within: Mapping[ir.Value, object]) -> ir.Value | None:
    """The input of the model that all masks compare with a number."""
    value = levels[0].levels
    if value is None or any(level.levels is not value for level in levels):
        return None
    hit, missed = nearest(value, within)
    return missed[0] if not hit and len(missed) == 1 and missed[0] in moved_from(value) else None


def _width(boxes: ir.Value, within: Mapping[ir.Value, int | None], known: Known) -> int:
    shape = known.shape(boxes)
    if shape is not None and len(shape) == 2 and isinstance(shape[1], int):
        return shape[1]
    return (within.get(boxes) or 0) + 4


def _level(part: Part, opset: int, values: Values) -> Level | str:
    node = part.node
    if len(node.inputs) != 3:
        return "a RoiAlign has not three inputs"
    _, boxes, images = node.inputs
    if node.inputs[0] is None or boxes is None or images is None:
        return "a RoiAlign has not three inputs"
    try:
        attributes = read_attributes(ir.to_proto(node), opset)
    except RoiAlignError as error:
        return str(error)
    offset = _offset(boxes, attributes, values)
    rois, batch_indices = (taken(one, shifted=offset is not None) for one in (boxes, images))
    masks = (*rois.masks, *batch_indices.masks, *part.masks)
    if not masks:
        return "a level pools every box, and no mask tells which are its own"
    if len({compared(mask) or mask for mask in masks}) > 1:
        return "the rows of a level are not those that one mask tells"
    if offset is not None:
        attributes = replace(attributes, semantics=replace(attributes.semantics, offset=offset))
    return Level(node, attributes, rois, batch_indices, masks[0], *(compared(masks[0]) or (None, 0)))


def _offset(boxes: ir.Value, attributes: Attributes, values: Values) -> float | None:
    """The offset that a RoiAlign and a shift of its boxes mean together; None where they are not shifted."""
    columns = [values.column(boxes, index) for index in range(4)]
    shift = columns[0].shift
    if shift == 0 or any(abs(one.shift - shift) > _CLOSE * abs(shift) for one in columns):
        return None
    offset = attributes.semantics.offset - shift * attributes.spatial_scale
    return next((exact for exact in _OFFSETS if abs(offset - exact) < _CLOSE), None)
