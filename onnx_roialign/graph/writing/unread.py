"""Removes nodes and initializers whose values are no longer read."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from onnx_roialign.graph.reading.value_types import graphs

__all__ = ["remove_unread"]


def remove_unread(value: ir.Value | None) -> None:
    """Removes the nodes and initializers that compute a value which no node reads; graph inputs are kept."""
    pending = [value]
    while pending:
        one = pending.pop()
        if one is None or one.uses() or one.is_graph_output() or one.is_graph_input():
            continue
        node = one.producer()
        if node is None:
            if one.is_initializer() and one.graph is not None and one.name is not None:
                one.graph.initializers.pop(one.name)
            continue
        if node.graph is None or any(other.uses() or other.is_graph_output() for other in node.outputs):
            continue
        pending.extend(node.inputs)
        node.graph.remove(node, safe=True)
        pending.extend(_released(node))


def _released(node: ir.Node) -> Iterator[ir.Value | None]:
    """What the bodies of a removed node read; they read it no more."""
    for body in graphs(node):
        for inner in ir.traversal.RecursiveGraphIterator(body):
            for place, value in enumerate(inner.inputs):
                inner.replace_input_with(place, None)
                yield value
