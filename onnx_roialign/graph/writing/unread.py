"""Removes nodes and initializers whose values are no longer read."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from onnx_roialign.graph.reading.value_types import every_node, graphs

__all__ = ["remove_unread"]


def remove_unread(value: ir.Value | None) -> None:
    """Removes the nodes and initializers that compute a value which no node reads; graph inputs are kept."""
    pending = [value]
    while pending:
        unread = pending.pop()
        if unread is None or unread.uses() or unread.is_graph_output() or unread.is_graph_input():
            continue
        node = unread.producer()
        if node is None:
            if unread.is_initializer() and unread.graph is not None and unread.name is not None:
                unread.graph.initializers.pop(unread.name)
            continue
        if node.graph is None or any(output.uses() or output.is_graph_output() for output in node.outputs):
            continue
        pending.extend(node.inputs)
        node.graph.remove(node, safe=True)
        pending.extend(_released(node))


def _released(node: ir.Node) -> Iterator[ir.Value | None]:
    """Releases the values that the bodies of a removed node read, and yields them."""
    for body in graphs(node):
        for inner in every_node(body):
            for place, value in enumerate(inner.inputs):
                inner.replace_input_with(place, None)
                yield value
