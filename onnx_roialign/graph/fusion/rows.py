"""How a level's boxes and batch indices are selected from those of all RoIs: by rows, or by multiplying by a mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_roialign.graph.fusion.region import MOVES, moved, reached, through
from onnx_roialign.graph.reading.values import constant, integer

__all__ = ["Selection", "compared", "mask_of", "selection", "slice_of", "whole"]

_AROUND_INDEX = ("Cast", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
_AROUND_MASK = ("Cast", "Expand", "Identity", "Reshape", "Tile", "Unsqueeze")
_CONDITIONS = ("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or")
_OF_SIZE = ("ConstantOfShape", "Shape")  # depend on the number of the selected rows only


@dataclass(frozen=True, slots=True)
class Selection:
    """How one input of a RoiAlign is selected from a table with a row for each RoI.

    Attributes:
        value: the input.
        steps: for a value with rows of some RoIs, or with rows shifted by a constant: the value with the rows of all.
        masks: the masks that select the RoIs, one for each selecting node.
        tables: the values that rows are selected from; without a selection, the values that the rows come from.
    """

    value: ir.Value
    steps: Mapping[ir.Value, ir.Value]
    masks: tuple[ir.Value, ...]
    tables: frozenset[ir.Value]


def selection(value: ir.Value, *, shifted: bool) -> Selection:
    """Follows a RoiAlign's input back to the nodes that select its rows.

    Args:
        value: the input.
        shifted: whether a constant that is added to all columns on the way is a part of the RoiAlign's offset.
    """
    steps: dict[ir.Value, ir.Value] = {}
    masks: list[ir.Value] = []
    tables: dict[ir.Value, None] = {}
    stops: dict[ir.Value, None] = {}

    def earlier(part: ir.Value) -> list[ir.Value]:
        node = part.producer()
        selected = None if node is None or node.domain != "" else _selected(node)
        if selected is not None:
            steps[part], mask = selected
            masks.append(mask)
            tables[steps[part]] = None
            return []
        if shifted and node is not None and node.op_type in ("Add", "Sub") and _is_shift(node):
            assert node.inputs[0] is not None
            steps[part] = node.inputs[0]
            return [node.inputs[0]]
        sources = moved(part)
        if node is not None and node.domain == "" and node.op_type in _OF_SIZE:
            sources = [source for source in node.inputs if source is not None]
        if not sources and constant(part) is None:
            stops[part] = None
        return sources

    reached([value], earlier)
    return Selection(value, steps, tuple(masks), frozenset(tables or stops))


def _selected(node: ir.Node) -> tuple[ir.Value, ir.Value] | None:
    """The table and the mask of a node that selects rows, or sets the other rows to 0."""
    inputs = node.inputs
    if len(inputs) != 2 or inputs[0] is None or inputs[1] is None:
        return None
    if node.op_type in ("Gather", "GatherND") and integer(node, "axis") == 0 and integer(node, "batch_dims") == 0:
        mask = _mask_of_rows(inputs[1])
        return None if mask is None else (inputs[0], mask)
    if node.op_type == "Compress" and integer(node, "axis") == 0 and "axis" in node.attributes:
        return inputs[0], through(inputs[1], lambda around: around.op_type in ("Cast", "Identity"))
    if node.op_type == "Mul":
        for table, factor in ((inputs[0], inputs[1]), (inputs[1], inputs[0])):
            mask = mask_of(factor)
            if mask is not None:
                return table, mask
    return None


def _mask_of_rows(rows: ir.Value) -> ir.Value | None:
    """The mask from which NonZero computes the numbers of rows."""
    node = through(rows, lambda around: around.op_type in _AROUND_INDEX).producer()
    if node is None or node.op_type != "NonZero" or node.inputs[0] is None:
        return None
    return through(node.inputs[0], lambda around: around.op_type in ("Cast", "Identity"))


def mask_of(factor: ir.Value | None) -> ir.Value | None:
    """The condition behind a factor or a condition, before casts and added axes; None where there is none."""
    if factor is None:
        return None
    mask = through(factor, lambda around: around.op_type in _AROUND_MASK)
    node = mask.producer()
    return mask if node is not None and node.domain == "" and node.op_type in _CONDITIONS else None


def compared(mask: ir.Value) -> tuple[ir.Value, int] | None:
    """The levels that a mask compares with an integer, and the integer; None where the mask is no such Equal."""
    node = mask.producer()
    if node is None or node.op_type != "Equal":
        return None
    for value, other in (tuple(node.inputs), tuple(node.inputs)[::-1]):
        number = constant(other)
        if number is not None and number.size == 1 and value is not None and float(number.flat[0]).is_integer():
            return value, int(number.flat[0])
    return None


def _is_shift(node: ir.Node) -> bool:
    numbers = constant(node.inputs[1]) if len(node.inputs) == 2 else None
    return numbers is not None and numbers.size > 0 and numbers.dtype.kind == "f" and not np.ptp(numbers)


def whole(selected: Selection, nodes: list[ir.Node], named: Callable[[ir.Node, str], ir.Node]) -> ir.Value:
    """Computes the input for all RoIs, in their order and not shifted.

    Args:
        selected: how the input is selected for some RoIs.
        nodes: a list to which the new nodes are appended.
        named: names a node and its outputs after a text.
    """
    everything: dict[ir.Value, ir.Value] = {}

    def earlier(value: ir.Value) -> list[ir.Value]:
        if value in selected.steps:
            return [selected.steps[value]] if selected.steps[value] not in selected.tables else []
        node = value.producer()
        if value in selected.tables or node is None or node.op_type not in (*MOVES, *_OF_SIZE):
            return []
        return [source for source in node.inputs if source is not None]

    for value in _in_order(reached([selected.value], earlier)):
        if value in selected.steps:
            before = selected.steps[value]
            everything[value] = everything.get(before, before)
            continue
        node = value.producer()
        if node is None or value in selected.tables:
            continue
        inputs = [None if each is None else everything.get(each, each) for each in node.inputs]
        if value in everything or inputs == list(node.inputs):
            continue
        copy = ir.Node("", node.op_type, inputs, list(node.attributes.values()), num_outputs=len(node.outputs))
        nodes.append(named(copy, f"{value.name}/all"))
        everything |= dict(zip(node.outputs, copy.outputs, strict=True))
    return everything.get(selected.value, selected.value)


def _in_order(values: list[ir.Value]) -> list[ir.Value]:
    """The values in the order of the graph, the values without a producer first."""
    graph = next((node.graph for value in values if (node := value.producer()) is not None), None)
    places = {} if graph is None else {node: i for i, node in enumerate(graph)}
    return sorted(values, key=lambda value: -1 if (node := value.producer()) is None else places.get(node, -1))


def slice_of(node: ir.Node) -> slice:
    """The rows that a Slice of the first axis selects."""
    numbers = [constant(value) for value in node.inputs[1:]]
    start, stop, _, *step = [int(number[0]) for number in numbers if number is not None]
    return slice(start, stop, *step)
