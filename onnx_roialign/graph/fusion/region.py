"""A part of a graph by its ends: the nodes between some values and one that is computed from them, as a model."""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import onnx
import onnx_ir as ir

from onnx_roialign.graph.reading.value_types import Known, graphs
from onnx_roialign.graph.reading.values import constant, cut, integer
from onnx_roialign.ops.roi_align import DOMAIN, OPSET_VERSION

__all__ = [
    "MOVES",
    "Region",
    "boxes_from",
    "free_values",
    "moved",
    "moved_from",
    "nearest",
    "reached",
    "read_by",
    "region_of",
    "through",
]

Key = TypeVar("Key", bound=Hashable)

# Operators whose output has no elements but those of the inputs that are looked at: all of Concat's, else the first.
MOVES = frozenset(
    (
        *("Cast", "Concat", "Expand", "Flatten", "Gather", "GatherND", "Identity", "Reshape", "Slice", "Split"),
        *("Squeeze", "Transpose", "Unsqueeze"),
    )
)
_IR_VERSION = 8  # of what is run here; every onnxruntime that we support reads it


class Region:
    """The nodes between the values that it starts from and the one that it ends in.

    Attributes:
        starts: what is handed in.
        end: what is computed.
        nodes: those between, in the order of the graph.
        others: what else it reads that is no constant.
    """

    def __init__(self, starts: Sequence[ir.Value], ends: Sequence[ir.Value]) -> None:
        self.starts, self.ends = list(starts), list(ends)
        begin = set(starts)
        values = [one for one in reached(ends, lambda one: [] if one in begin else before(one)) if one not in begin]
        roots = [value for value in values if value.producer() is None]
        self.constants = [value for value in roots if value.is_initializer()]
        self.others = [value for value in roots if not value.is_initializer()]
        found = dict.fromkeys(node for value in values if (node := value.producer()) is not None)
        graph = next((node.graph for node in found), None)
        places = {node: i for i, node in enumerate(graph)} if graph is not None else {}
        self.nodes = sorted(found, key=places.__getitem__) if all(node in places for node in found) else []
        self.whole = len(self.nodes) == len(found)

    def model(self, known: Known, opset: int, weights: Mapping[str, onnx.TensorProto]) -> onnx.ModelProto:
        """The region as a model of its own: the starts are its inputs, without shapes.

        Args:
            known: types.
            opset: of ONNX's own operators.
            weights: the initializers, which the values of the graph may hold without their data.
        """
        graph = onnx.GraphProto(name="region", node=[ir.to_proto(node) for node in self.nodes])
        for value in self.constants:
            graph.initializer.append(weights[value.name or ""])
        for value in self.starts:
            kind = known.type(value) or onnx.TensorProto.FLOAT
            graph.input.append(onnx.helper.make_tensor_value_info(value.name or "", kind, None))
        for value in self.ends:
            graph.output.append(onnx.ValueInfoProto(name=value.name))
            kind = known.type(value)
            if kind:
                graph.output[-1].CopyFrom(onnx.helper.make_tensor_value_info(value.name or "", kind, None))
        imports = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid(DOMAIN, OPSET_VERSION)]
        return onnx.helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)


def read_by(node: ir.Node) -> Iterator[ir.Value]:
    """What a node reads, its bodies too, of the graph that it is in."""
    yield from (one for one in node.inputs if one is not None)
    for body in graphs(node):
        yield from free_values(body)


def free_values(body: ir.Graph) -> list[ir.Value]:
    """What a body reads of the graphs around it, in the order in which it does."""
    here: set[ir.Value] = {*body.inputs, *body.initializers.values()}
    here.update(value for node in body for value in node.outputs)
    read = [value for node in body for value in read_by(node)] + list(body.outputs)
    return list(dict.fromkeys(value for value in read if value not in here))


def region_of(starts: Sequence[ir.Value], end: ir.Value) -> Region | str:
    """The region between; a text that says why there is none, where it reads what is not handed in."""
    region = Region(starts, [end])
    if region.others:
        names = ", ".join(sorted(repr(one.name) for one in region.others))
        return f"it also depends on {names}"
    return region if region.whole else "its nodes lie in several graphs"


def reached(starts: Iterable[Key], before: Callable[[Key], Iterable[Key]]) -> list[Key]:
    """The keys that are reached from some by steps back, these first, each once."""
    found: dict[Key, None] = {}
    pending = list(starts)
    while pending:
        key = pending.pop()
        if key not in found:
            found[key] = None
            pending += before(key)
    return list(found)


def before(value: ir.Value) -> list[ir.Value]:
    """What the node reads that makes a value."""
    node = value.producer()
    return [] if node is None else list(read_by(node))


def moved_from(value: ir.Value) -> set[ir.Value]:
    """The value, and all from which its elements are taken by operators that only move or retype them."""
    return set(reached([value], moved))


def moved(value: ir.Value) -> list[ir.Value]:
    """What the elements of a value are taken from, by one operator that only moves or retypes them."""
    node = value.producer()
    if node is None or node.domain != "" or node.op_type not in MOVES:
        return []
    inputs: Iterable[ir.Value | None] = node.inputs if node.op_type == "Concat" else node.inputs[:1]
    return [one for one in inputs if one is not None and constant(one) is None]


def boxes_from(rois: ir.Value, steps: Mapping[ir.Value, ir.Value], known: Known) -> dict[ir.Value, int | None]:
    """The values from which the four columns of boxes are taken, with the column of x1; None where it does not show.

    A row of RoIs may have the index of its image before its box: where that comes from says nothing of the box.

    Args:
        rois: the boxes.
        steps: of some values, what each of their rows is a row of.
        known: shapes.
    """

    def earlier(key: tuple[ir.Value, int | None]) -> list[tuple[ir.Value, int | None]]:
        value, first = key
        if value in steps:
            return [(steps[value], first)]
        node = value.producer()
        sources = moved(value)
        if node is None or first is None or not sources:
            return [(one, first) for one in sources]
        if node.op_type == "Concat" and integer(node, "axis") in (1, -1):
            return _joined(node, first, known)
        if node.op_type in ("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"):
            return [(one, None) for one in sources]
        column = cut(node, value, first)
        return [(one, first if column is None else column) for one in sources]

    start: tuple[ir.Value, int | None] = (rois, 0)
    return dict(reached([start], earlier))


def _joined(node: ir.Node, first: int, known: Known) -> list[tuple[ir.Value, int | None]]:
    """Which input of a Concat of columns has this one."""
    inputs = [one for one in node.inputs if one is not None]
    shapes = [known.shape(one) for one in inputs]
    widths = [shape[1] if shape is not None and len(shape) == 2 else None for shape in shapes]
    start = 0
    for value, width in zip(inputs, widths, strict=True):
        if value is inputs[-1] or (isinstance(width, int) and first < start + width):
            return [(value, first - start)]  # the last has all columns that are left
        if not isinstance(width, int):
            break
        start += width
    return [(one, None) for one in inputs if constant(one) is None]


def nearest(value: ir.Value, within: Container[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
    """The values of a set that a value is computed from, the nearest only; and the inputs that it reaches besides."""
    values = reached([value], lambda one: [] if one in within else before(one))
    hit = [one for one in values if one in within]
    missed = [one for one in values if one not in within and one.producer() is None and not one.is_initializer()]
    return hit, missed


def through(value: ir.Value, passes: Callable[[ir.Node], bool]) -> ir.Value:
    """What a value is before nodes of which the first input goes on."""
    node = value.producer()
    while node is not None and node.domain == "" and passes(node) and node.inputs and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value
