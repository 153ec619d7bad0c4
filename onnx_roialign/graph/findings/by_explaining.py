"""Which source explains expected outputs: every known meaning is tried on the whole model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from onnx_roialign.arrays import Array, largest_difference
from onnx_roialign.definition.semantics import PRESETS, Semantics
from onnx_roialign.graph.findings.answers import is_same
from onnx_roialign.graph.findings.finding import Finding, make_finding
from onnx_roialign.graph.findings.tap import outputs
from onnx_roialign.graph.reading.meaning import source_names
from onnx_roialign.graph.reading.value_types import infer_known
from onnx_roialign.graph.repairs import StateMeaning, WireBatchIndices
from onnx_roialign.graph.writing.restore import read

__all__ = ["explain"]


@dataclass(frozen=True, slots=True)
class _Explanation:
    """A meaning with which the model answers what is expected: the best of all, or not quite."""

    meaning: Semantics
    wired: bool
    difference: float
    matches: bool


def explain(
    model: onnx.ModelProto, feeds: Mapping[str, Array], expected: Mapping[str, Array]
) -> tuple[Finding, Semantics | None]:
    """What explains the expected outputs, and the meaning that does; None where none does.

    Args:
        model: with its external data, without functions.
        feeds: array by input name.
        expected: array by output name.
    """
    explanations = _explanations(model, feeds, expected)
    matching = explanations[0].meaning if explanations and explanations[0].matches else None
    return _explained(explanations), matching


def _explanations(
    model: onnx.ModelProto, feeds: Mapping[str, Array], expected: Mapping[str, Array]
) -> list[_Explanation]:
    """Every distinct meaning among the presets, tried on all RoiAligns of the model at once; the closest first."""
    tried = []
    for meaning in dict.fromkeys(PRESETS.values()):
        for wired in (False, True):
            variant = _variant(model, meaning, wired=wired)
            if variant is None:
                continue
            got = outputs(variant, feeds, list(expected))
            apart = [largest_difference(a, b) for a, b in zip(got, expected.values(), strict=True)]
            matches = all(is_same(a, b) for a, b in zip(got, expected.values(), strict=True))
            tried.append(_Explanation(meaning, wired, max(apart), matches))
    return sorted(tried, key=lambda one: (not one.matches, one.difference))


def _variant(model: onnx.ModelProto, meaning: Semantics, *, wired: bool) -> onnx.ModelProto | None:
    """The model with this meaning, and batch indices from the counts that nothing reads; None where there are none."""
    graph = read(model, weights=True)
    seen = infer_known(model, graph)
    if wired and not WireBatchIndices(None, seen)(graph).modified:
        return None
    StateMeaning(meaning, seen, exact=True, always_private=True)(graph)
    return ir.to_proto(graph)


def _explained(explanations: Sequence[_Explanation]) -> Finding:
    best = [one for one in explanations if one.matches]
    # Batch indices are only wrong where the expected numbers say so.
    wired = bool(best) and all(one.wired for one in best)
    best = [one for one in best if one.wired == wired]
    if not best:
        if not explanations:
            return make_finding(
                "unexplained", "", "the model must have a RoiAlign to explain it, got none", repairable=False
            )
        closest = explanations[0]
        text = (
            "the expected numbers must be those of a known RoIAlign, got none that fits: the closest, "
            f"{' = '.join(source_names(closest.meaning))}, is off by up to {closest.difference:.3g}"
        )
        return make_finding("unexplained", "", text, repairable=False)
    names = [name for one in best for name in source_names(one.meaning)]
    indices = ", with batch indices that follow the RoI counts" if wired else ""
    text = f"the expected numbers are those of {', '.join(names)}{indices}"
    return make_finding("explained", "", text, repairable=True)
