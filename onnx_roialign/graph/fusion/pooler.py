"""Poolers of a feature pyramid as exporters write them: RoiAligns of one box tensor, merged by their levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.fusion.region import moved_from, nearest, through
from onnx_roialign.graph.reading.values import constant
from onnx_roialign.ops.nodes import is_private, is_roi_align, read_attributes

__all__ = ["Chain", "Level", "Pooler", "further", "poolers"]

_SCATTERS = ("ScatterElements", "Scatter", "ScatterND")
_AROUND_INDEX = ("Cast", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
_AROUND_POOLED = ("Cast", "Identity", "Reshape")
_BY_COLUMN = ("Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")
_CLOSE = 1e-4  # of shifts of boxes in pixels of the map


@dataclass(frozen=True, slots=True)
class Chain:
    """Nodes that take columns of a table's rows: from the table, whose rows were gathered, to a RoiAlign's input.

    Attributes:
        table: the rows of all RoIs.
        rows: which of them, a value.
        nodes: from the table to the input, each with the output that goes on, and reading the one before by its first
            input.
        shift: what was added to all of it.
    """

    table: ir.Value
    rows: ir.Value
    nodes: tuple[tuple[ir.Node, int], ...]
    shift: float


@dataclass(frozen=True, slots=True)
class Level:
    """One level's RoiAlign.

    Attributes:
        node: the RoiAlign.
        attributes: what it means, the shift of its boxes included.
        rois: how its boxes were taken.
        batch_indices: how its indices were.
        mask: which RoIs it takes, a value.
        levels: what the mask compares; None where it is no comparison for equality with a number.
        number: that it compares with.
    """

    node: ir.Node
    attributes: Attributes
    rois: Chain
    batch_indices: Chain
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
    """

    levels: tuple[Level, ...]
    end: ir.Value
    boxes: tuple[ir.Value, ...]


def poolers(graph: ir.Graph, opset: int) -> Iterator[Pooler | tuple[ir.Value, str]]:
    """Every pooler of a graph; of what looks like one and is none, its output and the reason."""
    for end, nodes in _chains(graph):
        found = _pooler(end, nodes, opset)
        yield found if isinstance(found, Pooler) else (end, found)


def further(pooler: Pooler, values: Sequence[ir.Value]) -> bool:
    """Whether the pooler's boxes are the rows of these values, and its levels told by them alone."""
    within = moved_from(pooler.levels[0].rois.table)
    return all(value in within for value in values) and not any(
        nearest(level.mask, values)[1] for level in pooler.levels
    )


def _chains(graph: ir.Graph) -> Iterator[tuple[ir.Value, list[ir.Node]]]:
    """The last of scatters that each take the one before, and the RoiAligns that they scatter: two at least."""
    scattered = {}
    for node in graph:
        if node.op_type in _SCATTERS and node.domain == "" and len(node.inputs) == 3 and node.inputs[2] is not None:
            pooled = through(node.inputs[2], lambda one: one.op_type in _AROUND_POOLED).producer()
            if pooled is not None and (is_roi_align(pooled) or is_private(pooled)):
                scattered[node] = pooled
    for node in scattered:
        if any(user in scattered and place == 0 for user, place in node.outputs[0].uses()):
            continue
        nodes, at = [], node
        while at in scattered:
            nodes.append(scattered[at])
            before = at.inputs[0]
            producer = None if before is None else before.producer()
            if producer is None:
                break
            at = producer
        if len(nodes) > 1:
            yield node.outputs[0], nodes[::-1]


def _pooler(end: ir.Value, nodes: Sequence[ir.Node], opset: int) -> Pooler | str:
    levels = []
    for node in nodes:
        level = _level(node, opset)
        if isinstance(level, str):
            return level
        levels.append(level)
    first = levels[0]
    for level in levels[1:]:
        if replace(level.attributes, spatial_scale=1.0) != replace(first.attributes, spatial_scale=1.0):
            return "its levels differ in more than their scale"
        if level.rois.table is not first.rois.table or level.batch_indices.table is not first.batch_indices.table:
            return "its levels take boxes of different tensors"
    if all(level.levels is first.levels is not None for level in levels):
        levels.sort(key=lambda level: level.number)
    within = moved_from(first.rois.table)
    boxes: dict[ir.Value, None] = {}
    for level in levels:
        hit, missed = nearest(level.mask, within)
        if missed or not hit:
            return "its levels are those of other boxes than are pooled"
        boxes |= dict.fromkeys(hit)
    return Pooler(tuple(levels), end, tuple(boxes))


def _level(node: ir.Node, opset: int) -> Level | str:
    if len(node.inputs) != 3 or any(one is None for one in node.inputs):
        return "a RoiAlign has not three inputs"
    try:
        attributes = read_attributes(ir.to_proto(node), opset)
    except RoiAlignError as error:
        return str(error)
    rois, batch_indices = _chain(node.inputs[1]), _chain(node.inputs[2])
    if rois is None or batch_indices is None:
        return "the boxes of a level are not rows of one tensor"
    masks = [_mask(chain.rows) for chain in (rois, batch_indices)]
    if masks[0] is None or masks[0] is not masks[1]:
        return "the rows of a level are not those that a mask tells"
    offset = attributes.semantics.offset - rois.shift * attributes.spatial_scale
    for exact in (0.0, 0.5, 1.0):
        if abs(offset - exact) < _CLOSE:
            offset = exact
    meant = replace(attributes, semantics=replace(attributes.semantics, offset=offset))
    return Level(node, meant, rois, batch_indices, masks[0], *_compared(masks[0]))


def _chain(value: ir.Value | None) -> Chain | None:
    nodes: list[tuple[ir.Node, int]] = []
    shift = 0.0
    while value is not None:
        node = value.producer()
        if node is None or node.domain != "":
            return None
        inputs = node.inputs
        if node.op_type in ("Gather", "GatherND") and _axis(node) == 0 and constant(inputs[1]) is None:
            table, rows = inputs[:2]
            if table is None or rows is None:
                return None
            return Chain(table, rows, tuple(nodes[::-1]), shift)
        if node.op_type in ("Add", "Sub"):
            number = _one_number(inputs[1])
            if number is None:
                return None
            shift += number if node.op_type == "Add" else -number
        elif node.op_type in ("Gather", "Slice", "Split", *_BY_COLUMN):
            nodes.append((node, node.outputs.index(value)))
        else:
            return None
        value = inputs[0]
    return None


def _axis(node: ir.Node) -> int:
    attribute = node.attributes.get("axis")
    return 0 if attribute is None or attribute.is_ref() else attribute.as_int()


def _one_number(value: ir.Value | None) -> float | None:
    numbers = constant(value)
    if numbers is None or numbers.size == 0 or numbers.dtype.kind != "f" or np.ptp(numbers):
        return None
    return float(numbers.flat[0])


def _mask(rows: ir.Value) -> ir.Value | None:
    """What NonZero was asked of, to find the rows."""
    node = through(rows, lambda one: one.op_type in _AROUND_INDEX).producer()
    if node is None or node.op_type != "NonZero" or node.inputs[0] is None:
        return None
    return through(node.inputs[0], lambda one: one.op_type in ("Cast", "Identity"))


def _compared(mask: ir.Value) -> tuple[ir.Value | None, int]:
    node = mask.producer()
    if node is None or node.op_type != "Equal":
        return None, 0
    for value, other in (tuple(node.inputs), tuple(node.inputs)[::-1]):
        number: Any = constant(other)
        if number is not None and number.size == 1 and value is not None and float(number.flat[0]).is_integer():
            return value, int(number.flat[0])
    return None, 0
