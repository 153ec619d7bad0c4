"""Finds the source that explains the expected outputs, by running the whole model with every known meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from onnx_roialign.arrays import Array, largest_difference
from onnx_roialign.definition.semantics import PRESETS, Semantics
from onnx_roialign.graph.findings.comparison import is_same
from onnx_roialign.graph.findings.finding import Finding, make_finding
from onnx_roialign.graph.findings.tap import outputs
from onnx_roialign.graph.reading.meaning import source_names
from onnx_roialign.graph.reading.value_types import infer_known
from onnx_roialign.graph.repairs import StateMeaning, WireBatchIndices
from onnx_roialign.graph.writing.restore import read

__all__ = ["explain"]


@dataclass(frozen=True, slots=True)
class _Explanation:
    """How close the model comes to the expected outputs with one meaning.

    Attributes:
        meaning: the semantics given to every RoiAlign.
        wired: whether the batch indices come from the RoI counts.
        difference: largest difference from the expected outputs.
        matches: whether all outputs are as expected, up to rounding.
    """

    meaning: Semantics
    wired: bool
    difference: float
    matches: bool


def explain(
    model: onnx.ModelProto, feeds: Mapping[str, Array], expected: Mapping[str, Array]
) -> tuple[Finding, Semantics | None]:
    """Returns a finding about the source of the expected outputs and its meaning; None if no known source matches.

    Args:
        model: a model with its external data and without functions.
        feeds: array by input name.
        expected: array by output name.
    """
    explanations = _explanations(model, feeds, expected)
    matching = explanations[0].meaning if explanations and explanations[0].matches else None
    return _explained(explanations), matching


def _explanations(
    model: onnx.ModelProto, feeds: Mapping[str, Array], expected: Mapping[str, Array]
) -> list[_Explanation]:
    """Runs the model with every distinct meaning of the presets; returns the closest meaning first."""
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
    return sorted(tried, key=lambda explanation: (not explanation.matches, explanation.difference))


def _variant(model: onnx.ModelProto, meaning: Semantics, *, wired: bool) -> onnx.ModelProto | None:
    """Returns the model with this meaning, with batch indices from the unread RoI counts; None if it has none."""
    graph = read(model, weights=True)
    seen = infer_known(model, graph)
    if wired and not WireBatchIndices(None, seen)(graph).modified:
        return None
    StateMeaning(meaning, seen, exact=True, always_private=True)(graph)
    return ir.to_proto(graph)


def _explained(explanations: Sequence[_Explanation]) -> Finding:
    best = [explanation for explanation in explanations if explanation.matches]
    # The batch indices are wrong only if no explanation without wiring matches.
    wired = bool(best) and all(explanation.wired for explanation in best)
    best = [explanation for explanation in best if explanation.wired == wired]
    if not best:
        if not explanations:
            return make_finding(
                "unexplained",
                "",
                "the model has no RoiAlign, but its outputs differ from the expected ones",
                repairable=False,
            )
        closest = explanations[0]
        text = (
            "no known RoIAlign computes the expected outputs: the closest, "
            f"{' = '.join(source_names(closest.meaning))}, differs by up to {closest.difference:.3g}"
        )
        return make_finding("unexplained", "", text, repairable=False)
    names = [name for explanation in best for name in source_names(explanation.meaning)]
    indices = ", with batch indices that follow the RoI counts" if wired else ""
    text = f"the expected outputs are those of {', '.join(names)}{indices}"
    return make_finding("explained", "", text, repairable=True)
