"""Removing what nothing reads any more after a pass has taken its last reader away."""

from __future__ import annotations

import onnx_ir as ir

__all__ = ["remove_unread"]


def remove_unread(value: ir.Value | None) -> None:
    """Removes the nodes and initializers that made a value nothing reads; inputs of the graph stay."""
    if value is None or value.uses() or value.is_graph_output() or value.is_graph_input():
        return
    node = value.producer()
    if node is None:
        if value.is_initializer() and value.graph is not None and value.name is not None:
            value.graph.initializers.pop(value.name)
        return
    if node.graph is None or any(one.uses() or one.is_graph_output() for one in node.outputs):
        return
    inputs = [one for one in node.inputs if one is not None]
    node.graph.remove(node, safe=True)
    for one in inputs:
        remove_unread(one)
