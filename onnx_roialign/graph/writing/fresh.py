"""Creates unique names for new values; nodes need no unique names."""

from __future__ import annotations

import onnx_ir as ir

from onnx_roialign.graph.reading.value_types import every_node, graphs

__all__ = ["Names"]


class Names:
    """The names of a model's values, in all of its graphs and functions."""

    def __init__(self, model: ir.Model) -> None:
        self._taken: set[str | None] = set()
        owners: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
        for owner in owners:
            self._add(owner)
            for node in every_node(owner):
                self._taken.update(value.name for value in node.outputs)
                for body in graphs(node):
                    self._add(body)

    def _add(self, owner: ir.Graph | ir.Function) -> None:
        self._taken.update(value.name for value in owner.inputs)
        if isinstance(owner, ir.Graph):
            self._taken.update(owner.initializers)

    def fresh(self, wanted: str) -> str:
        """Returns a name that no value has, and reserves it."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name
