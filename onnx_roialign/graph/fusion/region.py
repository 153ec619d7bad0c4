"""A region of a graph: the nodes that compute some values from others, also as a model; walks back along inputs."""

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

# Operators that only move or retype the elements of their first input (Concat: of all its inputs).
MOVES = frozenset(
    (
        *("Cast", "Concat", "Expand", "Flatten", "Gather", "GatherND", "Identity", "Reshape", "Slice", "Split"),
        *("Squeeze", "Transpose", "Unsqueeze"),
    )
)
_IR_VERSION = 8  # of the models that are run; every supported onnxruntime reads it


class Region:
    """The nodes that compute some values, its ends, from others, its starts.

    Attributes:
        starts: the inputs of the region.
        ends: its outputs.
        nodes: its nodes in the order of the graph.
        constants: the initializers that it reads.
        more_inputs: the graph inputs that it reads besides the starts.
        whole: whether all its nodes lie in one graph.
    """

    def __init__(self, starts: Sequence[ir.Value], ends: Sequence[ir.Value]) -> None:
        self.starts, self.ends = list(starts), list(ends)
        given = set(starts)
        computed = reached(ends, lambda value: [] if value in given else before(value))
        values = [value for value in computed if value not in given]
        roots = [value for value in values if value.producer() is None]
        self.constants = [value for value in roots if value.is_initializer()]
        self.more_inputs = [value for value in roots if not value.is_initializer()]
        found = dict.fromkeys(node for value in values if (node := value.producer()) is not None)
        graph = next((node.graph for node in found), None)
        places = {node: i for i, node in enumerate(graph)} if graph is not None else {}
        self.nodes = sorted(found, key=places.__getitem__) if all(node in places for node in found) else []
        self.whole = len(self.nodes) == len(found)

    def model(self, known: Known, opset: int, weights: Mapping[str, onnx.TensorProto]) -> onnx.ModelProto:
        """The region as a model: the starts are its inputs, without shapes.

        Args:
            known: the types of the values.
            opset: the opset of ONNX's own domain.
            weights: the initializers with their data, which the graph may lack.
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
    """The values that a node and its bodies read from the graph that the node is in."""
    yield from (value for value in node.inputs if value is not None)
    for body in graphs(node):
        yield from free_values(body)


def free_values(body: ir.Graph) -> list[ir.Value]:
    """The values that a body reads from the graphs around it, in the order of reading."""
    here: set[ir.Value] = {*body.inputs, *body.initializers.values()}
    here.update(value for node in body for value in node.outputs)
    read = [value for node in body for value in read_by(node)] + list(body.outputs)
    return list(dict.fromkeys(value for value in read if value not in here))


def region_of(starts: Sequence[ir.Value], end: ir.Value) -> Region | str:
    """The region that computes `end` from `starts`; a text with the reason where it needs more inputs or graphs."""
    region = Region(starts, [end])
    if region.more_inputs:
        names = ", ".join(sorted(repr(value.name) for value in region.more_inputs))
        return f"it also depends on {names}"
    return region if region.whole else "its nodes lie in several graphs"


def reached(starts: Iterable[Key], before: Callable[[Key], Iterable[Key]]) -> list[Key]:
    """The starts and all keys reached from them through `before`, each once, the starts first."""
    found: dict[Key, None] = {}
    pending = list(starts)
    while pending:
        key = pending.pop()
        if key not in found:
            found[key] = None
            pending += before(key)
    return list(found)


def before(value: ir.Value) -> list[ir.Value]:
    """The values that the producer of a value reads."""
    node = value.producer()
    return [] if node is None else list(read_by(node))


def moved_from(value: ir.Value) -> set[ir.Value]:
    """The value and all values whose elements it holds, moved or retyped by the operators of `MOVES`."""
    return set(reached([value], moved))


def moved(value: ir.Value) -> list[ir.Value]:
    """The values whose elements a value holds by one operator of `MOVES`."""
    node = value.producer()
    if node is None or node.domain != "" or node.op_type not in MOVES:
        return []
    inputs: Iterable[ir.Value | None] = node.inputs if node.op_type == "Concat" else node.inputs[:1]
    return [source for source in inputs if source is not None and constant(source) is None]


def boxes_from(rois: ir.Value, steps: Mapping[ir.Value, ir.Value], known: Known) -> dict[ir.Value, int | None]:
    """The values that hold the four columns of the boxes, each with its column of x1; None where that is unknown.

    A row of RoIs may hold a batch index before the box; the source of the batch index is not followed.

    Args:
        rois: the boxes.
        steps: for some values, the value whose rows they hold.
        known: the shapes of the values.
    """

    def earlier(key: tuple[ir.Value, int | None]) -> list[tuple[ir.Value, int | None]]:
        value, first = key
        if value in steps:
            return [(steps[value], first)]
        node = value.producer()
        sources = moved(value)
        if node is None or first is None or not sources:
            return [(source, first) for source in sources]
        if node.op_type == "Concat" and integer(node, "axis") in (1, -1):
            return _joined(node, first, known)
        if node.op_type in ("Flatten", "Reshape", "Squeeze", "Transpose", "Unsqueeze"):
            return [(source, None) for source in sources]
        column = cut(node, value, first)
        return [(source, first if column is None else column) for source in sources]

    start: tuple[ir.Value, int | None] = (rois, 0)
    return dict(reached([start], earlier))


def _joined(node: ir.Node, first: int, known: Known) -> list[tuple[ir.Value, int | None]]:
    """The input of a Concat of columns that holds this column, with the column's number there."""
    inputs = [value for value in node.inputs if value is not None]
    shapes = [known.shape(value) for value in inputs]
    widths = [shape[1] if shape is not None and len(shape) == 2 else None for shape in shapes]
    start = 0
    for value, width in zip(inputs, widths, strict=True):
        if value is inputs[-1] or (isinstance(width, int) and first < start + width):
            return [(value, first - start)]  # the last input holds the remaining columns
        if not isinstance(width, int):
            break
        start += width
    return [(value, None) for value in inputs if constant(value) is None]


def nearest(value: ir.Value, within: Container[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
    """The nearest values of a set that a value is computed from, and the graph inputs that it reads besides them."""
    values = reached([value], lambda key: [] if key in within else before(key))
    found = [key for key in values if key in within]
    inputs = [key for key in values if key not in within and key.producer() is None and not key.is_initializer()]
    return found, inputs


def through(value: ir.Value, passes: Callable[[ir.Node], bool]) -> ir.Value:
    """Follows a value back through nodes that pass their first input on."""
    node = value.producer()
    while node is not None and node.domain == "" and passes(node) and node.inputs and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value
