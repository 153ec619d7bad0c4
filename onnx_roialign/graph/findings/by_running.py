"""validate against data: which node first departs from its source, and which source explains the expected numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnx_ir as ir

from onnx_roialign.arrays import FRAMEWORKS, FRAMEWORKS_16_BIT, Array, largest_difference, largest_finite
from onnx_roialign.definition import reference
from onnx_roialign.definition.semantics import PRESETS, Semantics
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.findings.finding import Finding, found
from onnx_roialign.graph.findings.tap import Tap, outputs, tapped
from onnx_roialign.graph.reading.batch import always_first_image, counts_for
from onnx_roialign.graph.reading.meaning import seen_from, source_names
from onnx_roialign.graph.reading.sites import Site, sites
from onnx_roialign.graph.reading.value_types import known
from onnx_roialign.graph.repairs import StateMeaning, WireBatchIndices
from onnx_roialign.graph.writing.restore import read

__all__ = ["run_findings"]

Expected = Mapping[str, Array] | Sequence[Array]


@dataclass(frozen=True, slots=True)
class _Explanation:
    """A meaning with which the model answers what is expected: the best of all, or not quite."""

    meaning: Semantics
    wired: bool
    difference: float
    matches: bool


def run_findings(
    model: onnx.ModelProto, wanted: Semantics | None, inputs: Mapping[str, Array], expected: Expected | None
) -> list[Finding]:
    """What shows when the model runs.

    Args:
        model: with its external data, without functions.
        wanted: what the source means; None: what explains the expected numbers, if something does.
        inputs: array by name of the graph's inputs.
        expected: the answers, by name of the graph's outputs or all of them in order.

    Raises:
        RoiAlignError: inputs or expected answers that are not the model's, or a model that does not run on them.
    """
    feeds = _feeds(model, inputs)
    findings: list[Finding] = []
    explained: Semantics | None = None
    if expected is not None:
        answers = _by_name(model, expected)
        got = outputs(model, feeds, list(answers))
        wrong = _wrong_output(answers, got)
        if wrong is not None:
            explanations = _explanations(model, feeds, answers)
            findings = [wrong, _explained(explanations)]
            explained = explanations[0].meaning if explanations and explanations[0].matches else None
    meaning = explained if wanted is None else wanted
    departing = None if meaning is None else _departing(model, feeds, meaning)
    return [*((departing,) if departing is not None else ()), *findings]


def _feeds(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What of the inputs the graph takes; shapes and types are the session's to check, where they are declared."""
    initialized = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input]
    for name in names:
        if name not in inputs and name not in initialized:
            raise RoiAlignError(f"{name} must be among the inputs, got {', '.join(sorted(inputs)) or 'none'}")
    return {name: np.asarray(inputs[name]) for name in names if name in inputs}


def _by_name(model: onnx.ModelProto, expected: Expected) -> dict[str, Array]:
    names = [output.name for output in model.graph.output]
    if isinstance(expected, Mapping):
        for name in expected:
            if name not in names:
                raise RoiAlignError(f"expected must name outputs of the model ({', '.join(names)}), got {name!r}")
        return {name: np.asarray(array) for name, array in expected.items()}
    if len(expected) != len(names):
        raise RoiAlignError(f"expected must have the model's {len(names)} outputs, got {len(expected)}")
    return {name: np.asarray(array) for name, array in zip(names, expected, strict=True)}


def _same(got: Array, want: Array) -> bool:
    return largest_difference(got, want) <= _allowed(want)


def _allowed(want: Array) -> float:
    return max(largest_finite(want), 1.0) * (FRAMEWORKS_16_BIT if want.dtype.itemsize == 2 else FRAMEWORKS)


def _wrong_output(expected: Mapping[str, Array], got: Sequence[Array]) -> Finding | None:
    for (name, want), have in zip(expected.items(), got, strict=True):
        if not _same(have, want):
            text = f"output {name!r} must be what is expected, got it off by up to {_far(have, want)}"
            return found("wrong-output", "", text, repairable=False)
    return None


def _far(got: Array, want: Array) -> str:
    """How far two answers are apart, and where most."""
    if got.shape != want.shape:
        return f"shape {got.shape} for {want.shape}"
    a, b = got.astype(np.float64), want.astype(np.float64)
    apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    place = np.unravel_index(int(np.argmax(np.where(np.isnan(apart), np.inf, apart))), apart.shape)
    return f"{apart[place]:.3g} at {tuple(int(one) for one in place)}"


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
            matches = all(_same(a, b) for a, b in zip(got, expected.values(), strict=True))
            tried.append(_Explanation(meaning, wired, max(apart), matches))
    return sorted(tried, key=lambda one: (not one.matches, one.difference))


def _variant(model: onnx.ModelProto, meaning: Semantics, *, wired: bool) -> onnx.ModelProto | None:
    """The model with this meaning, and batch indices from the counts that nothing reads; None where there are none."""
    graph = read(model, weights=True)
    seen = known(model, graph)
    if wired and not WireBatchIndices(None, seen.shapes)(graph).modified:
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
            return found("unexplained", "", "the model must have a RoiAlign to explain it, got none", repairable=False)
        closest = explanations[0]
        text = (
            "the expected numbers must be those of a known RoIAlign, got none that fits: the closest, "
            f"{' = '.join(source_names(closest.meaning))}, is off by up to {closest.difference:.3g}"
        )
        return found("unexplained", "", text, repairable=False)
    names = [name for one in best for name in source_names(one.meaning)]
    indices = ", with batch indices that follow the RoI counts" if wired else ""
    text = f"the expected numbers are those of {', '.join(names)}{indices}"
    return found("explained", "", text, repairable=True)


def _departing(model: onnx.ModelProto, feeds: Mapping[str, Array], wanted: Semantics) -> Finding | None:
    """The first node whose answer is not what its source answers to the same inputs."""
    graph = read(model, weights=True)
    every = [site for site in sites(graph) if site.readable and not site.quantized]
    counts = counts_for(graph, every)
    given = None if counts is None or counts.name is None else feeds.get(counts.name)
    names = [site.name for site in every]
    for number, site in enumerate(every):
        site.node.name = f"onnx_roialign.{number}"  # nodes may lack names, or share them
    nodes = {f"onnx_roialign.{number}": ir.to_proto(site.node) for number, site in enumerate(every)}
    by_node = dict(zip(nodes, zip(every, names, strict=True), strict=True))
    for tap in tapped(ir.to_proto(graph), feeds, list(nodes.values())):
        site, name = by_node[tap.node]
        want = _answer(site, tap, wanted, given)
        if not _same(tap.Y, want):
            text = f"Y must be what the source answers, got it off by up to {_far(tap.Y, want)}"
            return found("wrong-answer", name, text, repairable=True)
    return None


def _answer(site: Site, tap: Tap, wanted: Semantics, counts: Array | None) -> Array:
    indices = tap.batch_indices
    if counts is not None and always_first_image(site) and int(counts.sum()) == len(indices):
        indices = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    attributes = replace(site.attributes, semantics=seen_from(site, wanted).wanted_here(wanted))
    return reference.roi_align(tap.X, tap.rois, indices, attributes)
