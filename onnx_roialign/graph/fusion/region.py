"""A part of a graph by its ends: the nodes between some values and one that is computed from them, as a model."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

import onnx
import onnx_ir as ir

from onnx_roialign.graph.reading.value_types import Known, graphs
from onnx_roialign.graph.reading.values import constant
from onnx_roialign.ops.roi_align import DOMAIN, OPSET_VERSION

__all__ = ["MOVES", "Region", "free_values", "moved_from", "nearest", "region_of", "through"]

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
        found: dict[ir.Node, None] = {}
        self.constants: dict[ir.Value, None] = {}
        self.others: dict[ir.Value, None] = {}
        pending = list(ends)
        seen = set(starts)
        while pending:
            value = pending.pop()
            if value in seen:
                continue
            seen.add(value)
            node = value.producer()
            if node is None:
                (self.constants if value.is_initializer() else self.others)[value] = None
            elif node not in found:
                found[node] = None
                pending += read_by(node)
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


def moved_from(value: ir.Value) -> set[ir.Value]:
    """The value, and all from which its elements are taken by operators that only move or retype them."""
    found: set[ir.Value] = set()
    pending = [value]
    while pending:
        one = pending.pop()
        if one in found:
            continue
        found.add(one)
        node = one.producer()
        if node is not None and node.domain == "" and node.op_type in MOVES:
            inputs: Iterable[ir.Value | None] = node.inputs if node.op_type == "Concat" else node.inputs[:1]
            pending += [value for value in inputs if value is not None and constant(value) is None]
    return found


def nearest(value: ir.Value, within: Container[ir.Value]) -> tuple[list[ir.Value], list[ir.Value]]:
    """The values of a set that a value is computed from, the nearest only; and the inputs that it reaches besides."""
    hit: dict[ir.Value, None] = {}
    missed: dict[ir.Value, None] = {}
    seen: set[ir.Value] = set()
    pending = [value]
    while pending:
        one = pending.pop()
        if one in seen:
            continue
        seen.add(one)
        node = one.producer()
        if one in within:
            hit[one] = None
        elif node is not None:
            pending += read_by(node)
        elif not one.is_initializer():
            missed[one] = None
    return list(hit), list(missed)


def through(value: ir.Value, passes: Callable[[ir.Node], bool]) -> ir.Value:
    """What a value is before nodes of which the first input goes on."""
    node = value.producer()
    while node is not None and node.domain == "" and passes(node) and node.inputs and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value
