"""How a RoiAlign's boxes and batch indices are taken from those of all RoIs: by rows, or multiplied by a mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_roialign.graph.fusion.region import MOVES, moved, reached, through
from onnx_roialign.graph.reading.values import constant, integer

__all__ = ["Taken", "compared", "cut_of", "mask_of", "taken", "whole"]

_AROUND_INDEX = ("Cast", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
_AROUND_MASK = ("Cast", "Expand", "Identity", "Reshape", "Tile", "Unsqueeze")
_CONDITIONS = ("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or")
_OF_SIZE = ("ConstantOfShape", "Shape")  # of the rows that were taken


@dataclass(frozen=True, slots=True)
class Taken:
    """How one input of a RoiAlign is taken from a table that has a row for each RoI.

    Attributes:
        value: the input.
        steps: of values that have rows of some RoIs, or rows moved by a constant: the one with the rows of all.
        masks: which RoIs, one for each place where rows are taken.
        tables: what they are taken from; where no rows are taken, what all rows come from.
    """

    value: ir.Value
    steps: Mapping[ir.Value, ir.Value]
    masks: tuple[ir.Value, ...]
    tables: frozenset[ir.Value]


def taken(value: ir.Value, *, shifted: bool) -> Taken:
    """Follows a RoiAlign's input back to where its rows were taken.

    Args:
        value: the input.
        shifted: whether what is added to all columns on the way is part of what the RoiAlign means.
    """
    steps: dict[ir.Value, ir.Value] = {}
    masks: list[ir.Value] = []
    tables: dict[ir.Value, None] = {}
    stops: dict[ir.Value, None] = {}

    def earlier(one: ir.Value) -> list[ir.Value]:
        node = one.producer()
        selected = None if node is None or node.domain != "" else _selected(node)
        if selected is not None:
            steps[one], mask = selected
            masks.append(mask)
            tables[steps[one]] = None
            return []
        if shifted and node is not None and node.op_type in ("Add", "Sub") and _is_shift(node):
            assert node.inputs[0] is not None
            steps[one] = node.inputs[0]
            return [node.inputs[0]]
        further = moved(one)
        if node is not None and node.domain == "" and node.op_type in _OF_SIZE:
            further = [before for before in node.inputs if before is not None]
        if not further and constant(one) is None:
            stops[one] = None
        return further

    reached([value], earlier)
    return Taken(value, steps, tuple(masks), frozenset(tables or stops))


def _selected(node: ir.Node) -> tuple[ir.Value, ir.Value] | None:
    """The table and the mask of a node that takes rows, or sets all others to 0."""
    inputs = node.inputs
    if len(inputs) != 2 or inputs[0] is None or inputs[1] is None:
        return None
    if node.op_type in ("Gather", "GatherND") and integer(node, "axis") == 0 and integer(node, "batch_dims") == 0:
        mask = _mask_of_rows(inputs[1])
        return None if mask is None else (inputs[0], mask)
    if node.op_type == "Compress" and integer(node, "axis") == 0 and "axis" in node.attributes:
        return inputs[0], through(inputs[1], lambda one: one.op_type in ("Cast", "Identity"))
    if node.op_type == "Mul":
        for table, factor in ((inputs[0], inputs[1]), (inputs[1], inputs[0])):
            mask = mask_of(factor)
            if mask is not None:
                return table, mask
    return None


def _mask_of_rows(rows: ir.Value) -> ir.Value | None:
    """The mask whose places rows are, by NonZero."""
    node = through(rows, lambda one: one.op_type in _AROUND_INDEX).producer()
    if node is None or node.op_type != "NonZero" or node.inputs[0] is None:
        return None
    return through(node.inputs[0], lambda one: one.op_type in ("Cast", "Identity"))


def mask_of(factor: ir.Value | None) -> ir.Value | None:
    """The condition that a factor or a condition of more axes is."""
    if factor is None:
        return None
    mask = through(factor, lambda one: one.op_type in _AROUND_MASK)
    node = mask.producer()
    return mask if node is not None and node.domain == "" and node.op_type in _CONDITIONS else None


def compared(mask: ir.Value) -> tuple[ir.Value, int] | None:
    """The levels that a mask compares, and the number with which; None where it is no such comparison."""
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


def whole(one: Taken, nodes: list[ir.Node], named: Callable[[ir.Node, str], ir.Node]) -> ir.Value:
    """The input for all RoIs, in their order and not shifted.

    Args:
        one: how it was taken of some.
        nodes: those that compute it are added.
        named: names the outputs of a node after a text.
    """
    everything: dict[ir.Value, ir.Value] = {}

    def earlier(value: ir.Value) -> list[ir.Value]:
        if value in one.steps:
            return [one.steps[value]] if one.steps[value] not in one.tables else []
        node = value.producer()
        if value in one.tables or node is None or node.op_type not in (*MOVES, *_OF_SIZE):
            return []
        return [before for before in node.inputs if before is not None]

    for value in _in_order(reached([one.value], earlier)):
        if value in one.steps:
            before = one.steps[value]
            everything[value] = everything.get(before, before)
            continue
        node = value.producer()
        if node is None or value in one.tables:
            continue
        inputs = [None if each is None else everything.get(each, each) for each in node.inputs]
        if value in everything or inputs == list(node.inputs):
            continue
        made = ir.Node("", node.op_type, inputs, list(node.attributes.values()), num_outputs=len(node.outputs))
        nodes.append(named(made, f"{value.name}/all"))
        everything |= dict(zip(node.outputs, made.outputs, strict=True))
    return everything.get(one.value, one.value)


def _in_order(values: list[ir.Value]) -> list[ir.Value]:
    """Each after those that it is made of."""
    graph = next((node.graph for value in values if (node := value.producer()) is not None), None)
    places = {} if graph is None else {node: i for i, node in enumerate(graph)}
    return sorted(values, key=lambda value: -1 if (node := value.producer()) is None else places.get(node, -1))


def cut_of(node: ir.Node) -> slice:
    """The rows that a Slice of the first axis takes."""
    numbers = [constant(one) for one in node.inputs[1:]]
    start, stop, _, *step = [int(one[0]) for one in numbers if one is not None]
    return slice(start, stop, *step)
