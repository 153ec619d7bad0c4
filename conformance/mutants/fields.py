"""Mutants with a wrong value of a field of Semantics, one per field and value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from onnx_roialign.conformance.plain import HALF_PIXEL, OUTPUT_HALF_PIXEL, Node
from onnx_roialign.conformance.plain import PlainRoiAlign as Plain
from onnx_roialign.definition.semantics import CHOICES, FIELDS, PRESETS

from .making import Mutant, mutant

__all__ = ["field_mutants"]


def field_mutants() -> Iterator[Mutant]:
    """Yields a mutant per field of Semantics and per value that differs from ONNX's in a coordinate mode."""
    for name in FIELDS:
        right = {HALF_PIXEL.get(name), OUTPUT_HALF_PIXEL.get(name)}
        values = set(CHOICES.get(name, ())) | {getattr(preset, name) for preset in PRESETS.values()}
        for value in sorted(values, key=str):
            if {value} != right:
                yield _with_field(name, value)


def _with_field(name: str, value: Any) -> Mutant:
    def node(self: Plain, *arguments: Any) -> Node:
        made = Plain.node(self, *arguments)
        made.meaning[name] = value
        return made

    return mutant(f"semantics/{name}-{value}", node=node)
