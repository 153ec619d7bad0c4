"""Finds poolers of a feature pyramid as exporters write them: RoiAligns of one box tensor, merged by level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.fusion.merges import Merge, Part, merges
from onnx_roialign.graph.fusion.region import boxes_from, moved_from, nearest
from onnx_roialign.graph.fusion.rows import Selection, compared, selection
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.reading.values import Values
from onnx_roialign.ops.nodes import read_attributes

__all__ = ["Level", "Pooler", "can_start_from", "poolers"]

_CLOSE = 1e-4  # pixels of the feature map: shifts of boxes that differ by less are equal
_OFFSETS = (0.0, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Level:
    """The RoiAlign of one level.

    Attributes:
        node: the RoiAlign.
        attributes: its attributes, with the shift of its boxes as a part of `offset`.
        rois: how its boxes are selected.
        batch_indices: how its batch indices are selected.
        mask: the value that selects its RoIs.
        levels: the value that the mask compares with `number`; None where the mask is not such an Equal.
        number: the number of the level.
    """

    node: ir.Node
    attributes: Attributes
    rois: Selection
    batch_indices: Selection
    mask: ir.Value
    levels: ir.Value | None
    number: int

    @property
    def features(self) -> ir.Value:
        """The feature map of the level."""
        value = self.node.inputs[0]
        assert value is not None
        return value


@dataclass(frozen=True, slots=True)
class Pooler:
    """A pooler of a feature pyramid.

    Attributes:
        levels: the levels in the order of their numbers.
        end: the merged output.
        boxes: the tensors from which both levels and RoIs are computed: one per image, or one for all images.
        width: the number of their columns; the last four are the corners.
        level_input: the model input that holds the levels; None where the model computes them.
        rows: the Slice of rows at the end; None where there is none.
        multiplied: whether the rows of other levels are multiplied by 0.
        in_order: whether the rows are concatenated level by level and then reordered, which loses rows of no level.
    """

    levels: tuple[Level, ...]
    end: ir.Value
    boxes: tuple[ir.Value, ...]
    width: int
    level_input: ir.Value | None
    rows: ir.Node | None
    multiplied: bool
    in_order: bool


def poolers(graph: ir.Graph, opset: int, known: Known) -> Iterator[Pooler | tuple[ir.Value, str]]:
    """Every pooler of a graph; for a part that resembles a pooler and is none, its output and the reason."""
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
            pending += merge.inner[::-1]  # the sum of two poolers
        else:
            yield merge.end, found


def can_start_from(pooler: Pooler, values: Sequence[ir.Value], known: Known) -> bool:
    """Whether the pooler's boxes are rows of these values, and its levels depend on nothing else."""
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
    level_input = _level_input(levels, within)
    for level in levels if level_input is None else ():
        found, more_inputs = nearest(level.mask, within)
        if more_inputs or not found:
            return "its levels are those of other boxes than it pools"
        boxes |= dict.fromkeys(found)
    if level_input is not None:
        boxes = {table: None for table in first.rois.tables if table in within}
    width = _width(next(iter(boxes)), within, known) if boxes else 4
    multiplied = any(part.multiplied for part in merge.parts)
    return Pooler(tuple(levels), merge.end, tuple(boxes), width, level_input, merge.rows, multiplied, merge.in_order)


def _level_input(levels: Sequence[Level], within: Mapping[ir.Value, object]) -> ir.Value | None:
    """The model input that every mask compares with a number."""
    value = levels[0].levels
    if value is None or any(level.levels is not value for level in levels):
        return None
    found, inputs = nearest(value, within)
    return inputs[0] if not found and len(inputs) == 1 and inputs[0] in moved_from(value) else None


def _width(boxes: ir.Value, within: Mapping[ir.Value, int | None], known: Known) -> int:
    shape = known.shape(boxes)
    if shape is not None and len(shape) == 2 and isinstance(shape[1], int):
        return shape[1]
    return (within.get(boxes) or 0) + 4


def _level(part: Part, opset: int, values: Values) -> Level | str:
    node = part.node
    if len(node.inputs) != 3:
        return "one of its RoiAligns does not have three inputs"
    _, boxes, images = node.inputs
    if node.inputs[0] is None or boxes is None or images is None:
        return "one of its RoiAligns does not have three inputs"
    try:
        attributes = read_attributes(ir.to_proto(node), opset)
    except RoiAlignError as error:
        return str(error)
    offset = _offset(boxes, attributes, values)
    rois, batch_indices = (selection(value, shifted=offset is not None) for value in (boxes, images))
    masks = (*rois.masks, *batch_indices.masks, *part.masks)
    if not masks:
        return "a level pools every box, and no mask selects the boxes of the level"
    if len({compared(mask) or mask for mask in masks}) > 1:
        return "the rows of a level are not selected by one mask alone"
    if offset is not None:
        attributes = replace(attributes, semantics=replace(attributes.semantics, offset=offset))
    return Level(node, attributes, rois, batch_indices, masks[0], *(compared(masks[0]) or (None, 0)))


def _offset(boxes: ir.Value, attributes: Attributes, values: Values) -> float | None:
    """The offset of a RoiAlign and of the shift of its boxes together; None where the boxes are not shifted."""
    columns = [values.column(boxes, index) for index in range(4)]
    shift = columns[0].shift
    if shift == 0 or any(abs(column.shift - shift) > _CLOSE * abs(shift) for column in columns):
        return None
    offset = attributes.semantics.offset - shift * attributes.spatial_scale
    return next((exact for exact in _OFFSETS if abs(offset - exact) < _CLOSE), None)
