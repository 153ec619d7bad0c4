"""Replaces a part of a graph by other nodes after both were run and returned the same."""

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
    """The report on a part of the model that is a pooler or mask pasting, or resembles one.

    Attributes:
        op: "MultiScaleRoiAlign" or "PasteMasks".
        output: the name of its output.
        fused: whether it was replaced by one operator.
        nodes: how many nodes fewer the model has.
        text: a description of the operator, or the reason why the part was not fused.
        corrected: whether the results differ from the model's on purpose, because its source computes something else.
    """

    op: str
    output: str
    fused: bool
    nodes: int
    text: str
    corrected: bool = False

    def __str__(self) -> str:
        state = f"fused, {self.nodes} nodes fewer" if self.fused else "not fused"
        return f"{self.op}: {self.output}: {state}: {self.text}"


def refused(op: str, end: ir.Value, why: str) -> FusedPart:
    """The report on a part that is not fused."""
    return FusedPart(op, end.name or "", False, 0, why)


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Replaces parts of one graph of a model.

    Attributes:
        graph: the graph.
        known: the types and shapes of its values.
        names: makes new names for values.
        weights: the model's initializers with their data, which the graph may lack.
        opset: the opset of ONNX's own domain.
        corrected: the names of the outputs of the RoiAligns that `repair` has corrected.
        apart: runs the old and the new parts in another process.
    """

    graph: ir.Graph
    known: Known
    names: Names
    weights: Mapping[str, onnx.TensorProto]
    opset: int
    corrected: frozenset[str]
    apart: Apart

    def dtype(self, value: ir.Value) -> np.dtype[Any]:
        """The NumPy type of a value; float32 where it is unknown."""
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.known.type(value) or onnx.TensorProto.FLOAT))

    def node(self, proto: onnx.NodeProto, inputs: Sequence[ir.Value | None], name: str) -> ir.Node:
        """A node of a private operator with the proto's attributes and these inputs."""
        attributes = [ir.from_proto(attribute) for attribute in proto.attribute]
        return self.named(ir.Node(DOMAIN, proto.op_type, inputs, attributes, num_outputs=1), f"{name}/fused")

    def named(self, node: ir.Node, name: str) -> ir.Node:
        """Names the node and its outputs after a text."""
        for value in node.outputs:
            value.name = self.names.fresh(name)
        node.name = node.outputs[0].name
        return node

    def constant(self, numbers: int | list[int], name: str, nodes: list[ir.Node]) -> ir.Value:
        """Integers as the output of a Constant, which is appended to the nodes."""
        nodes.append(self.named(ir.node("Constant", [], {"value": ir.tensor(np.array(numbers, np.int64))}), name))
        return nodes[-1].outputs[0]

    def prove(
        self, region: Region, nodes: Sequence[ir.Node], feeds: Sequence[Feed], least: Sequence[Feed] = ()
    ) -> Proof:
        """Runs the region and the nodes that replace it; see `proved`."""
        (end,) = region.ends
        last = nodes[-1].outputs[0]
        producer = end.producer()
        assert producer is not None
        self.graph.insert_before(producer, list(nodes))
        replacement = Region(region.starts, [last])
        try:
            if replacement.more_inputs or not replacement.whole:
                return Proof("the fused operator needs inputs that the part does not have")
            old, new = (part.model(self.known, self.opset, self.weights) for part in (region, replacement))
            kind = self.known.type(end) or onnx.TensorProto.FLOAT
            new.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(last.name or "", kind, None))
            return proved(old, new, feeds, least, (end.name or "", last.name or ""), self.apart)
        finally:
            self.graph.remove(list(nodes), safe=False)

    def replace(self, op: str, end: ir.Value, nodes: Sequence[ir.Node], text: str) -> FusedPart:
        """Replaces the producer of a value by the nodes and removes the nodes that nothing reads then."""
        producer = end.producer()
        assert producer is not None
        name = end.name or ""  # the new value takes this name
        before = sum(1 for _ in self.graph)
        read_before = [value for value in producer.inputs if value is not None]
        last = nodes[-1].outputs[0]
        ir.convenience.replace_nodes_and_values(self.graph, producer, [producer], list(nodes), [end], [last])
        for value in read_before:
            remove_unread(value)
        return FusedPart(op, name, True, before - sum(1 for _ in self.graph), text)
