"""Creates mutants: RoiAligns with one replaced step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onnx_roialign.conformance.plain import PlainRoiAlign as Plain

__all__ = ["Mutant", "changed", "mutant"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A RoiAlign with one error.

    Attributes:
        name: the step, slash, the error: "grid/floor".
        make: creates the RoiAlign.
    """

    name: str
    make: Callable[[], Plain]


def mutant(name: str, **steps: Callable[..., Any]) -> Mutant:
    """Returns the mutant with these steps replaced: methods of PlainRoiAlign by name."""
    return Mutant(name, type("Mutant", (Plain,), steps))


def changed(step: str, change: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Returns a step that changes the correct result: change(result, last argument)."""
    right = getattr(Plain, step)
    return {step: lambda self, *arguments: change(right(self, *arguments), arguments[-1])}
