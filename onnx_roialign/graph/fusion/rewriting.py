"""Replacing a part of a graph by other nodes, where both are proved to return the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onnx_roialign.graph.fusion.prove import Feed, Proof, proved
from onnx_roialign.graph.fusion.region import Region
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.writing.fresh import Names
from onnx_roialign.graph.writing.unread import remove_unread
from onnx_roialign.ops.roi_align import DOMAIN
from onnx_roialign.sessions.run_apart import Apart

__all__ = ["FusedPart", "Rewriting", "refused"]


@dataclass(frozen=True, slots=True)
class FusedPart:
    """A part of the model that is a pooler or pastes masks, or looks like it.

    Attributes:
        op: "MultiScaleRoiAlign" or "PasteMasks".
        output: name of the value that it ends in.
        fused: whether it is one op now.
        nodes: how many nodes went.
        text: what was written, or why nothing was.
        corrected: whether the results differ from the model's on purpose, because its source means something else.
    """

    op: str
    output: str
    fused: bool
    nodes: int
    text: str
    corrected: bool = False


def refused(op: str, end: ir.Value, why: str) -> FusedPart:
    """A part that stays as it is."""
    return FusedPart(op, end.name or "", False, 0, why)


@dataclass(frozen=True, slots=True)
class Rewriting:
    """One graph of a model, parts of which are written anew.

    Attributes:
        graph: the graph.
        known: types and shapes of its values.
        names: those of the model, for new values.
        weights: the model's initializers, of which the graph may not hold the data.
        opset: of ONNX's own operators.
        corrected: outputs of RoiAligns that mean something else now than in the model that was given.
        apart: runs the old parts and the new ones.
    """

    graph: ir.Graph
    known: Known
    names: Names
    weights: Mapping[str, onnx.TensorProto]
    opset: int
    corrected: frozenset[str]
    apart: Apart

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """A value's type in NumPy; float32 where it is not known."""
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.known.type(value) or onnx.TensorProto.FLOAT))

    def node(self, proto: onnx.NodeProto, inputs: Sequence[ir.Value | None], name: str) -> ir.Node:
        """A node of a private op, as the proto has it but for its inputs."""
        attributes = [ir.from_proto(one) for one in proto.attribute]
        return self.named(ir.Node(DOMAIN, proto.op_type, inputs, attributes, num_outputs=1), f"{name}/fused")

    def named(self, node: ir.Node, name: str) -> ir.Node:
        """The node, it and its outputs named after a text."""
        for value in node.outputs:
            value.name = self.names.fresh(name)
        node.name = node.outputs[0].name
        return node

    def constant(self, numbers: int | list[int], name: str, nodes: list[ir.Node]) -> ir.Value:
        """Integers, by a Constant that is added to the nodes."""
        nodes.append(self.named(ir.node("Constant", [], {"value": ir.tensor(np.array(numbers, np.int64))}), name))
        return nodes[-1].outputs[0]

    def prove(
        self, region: Region, nodes: Sequence[ir.Node], feeds: Sequence[Feed], least: Sequence[Feed] = ()
    ) -> Proof:
        """Runs the region and the nodes that would be in its place; see `proved`."""
        (end,) = region.ends
        last = nodes[-1].outputs[0]
        producer = end.producer()
        assert producer is not None
        self.graph.insert_before(producer, list(nodes))
        made = Region(region.starts, [last])
        try:
            if made.others or not made.whole:
                return Proof("the new node would read what the old part does not")
            old, new = (one.model(self.known, self.opset, self.weights) for one in (region, made))
            kind = self.known.type(end) or onnx.TensorProto.FLOAT
            new.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(last.name or "", kind, None))
            return proved(old, new, feeds, least, (end.name or "", last.name or ""), self.apart)
        finally:
            self.graph.remove(list(nodes), safe=False)

    def replace(self, op: str, end: ir.Value, nodes: Sequence[ir.Node], text: str) -> FusedPart:
        """Puts the nodes in the place of what makes a value, and removes what nothing reads any more."""
        producer = end.producer()
        assert producer is not None
        name = end.name or ""  # the new value takes it over
        before = sum(1 for _ in self.graph)
        read_before = [value for value in producer.inputs if value is not None]
        last = nodes[-1].outputs[0]
        ir.convenience.replace_nodes_and_values(self.graph, producer, [producer], list(nodes), [end], [last])
        for value in read_before:
            remove_unread(value)
        return FusedPart(op, name, True, before - sum(1 for _ in self.graph), text)
