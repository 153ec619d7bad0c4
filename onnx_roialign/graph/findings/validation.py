"""validate: what is wrong with the RoiAligns of a model, by reading it and, where there is data, by running it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import onnx
import onnx.inliner

from onnx_roialign.arrays import Array
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.definition.sources import parse as parse_source
from onnx_roialign.errors import RoiAlignError, last_guard
from onnx_roialign.graph.findings.by_reading import defect_findings, read_findings
from onnx_roialign.graph.findings.finding import Finding
from onnx_roialign.graph.reading.sites import resolved
from onnx_roialign.onnx_model.file import Model, parse

__all__ = ["validate"]


def validate(
    model: Model,
    source: str | Semantics | None = None,
    *,
    inputs: Mapping[str, Array] | None = None,
    expected: Mapping[str, Array] | Sequence[Array] | None = None,
) -> list[Finding]:
    """What is wrong with the RoiAligns of a model, in the order of its nodes; nothing where it is right.

    Reads the model's graph, the bodies of If, Loop and Scan, and the model's functions. With ``inputs`` the model runs
    too: the first node that departs from what its source would have answered is found, and with ``expected`` which
    source explains the expected numbers.

    Args:
        model: path, bytes or ModelProto; it is not changed, and external data is only read where it runs.
        source: the framework call that the model came from, as `onnx_roialign.sources.parse` reads it ("torchvision",
            "paddle:aligned=True", "mindspore:roi_end_mode=1", "onnx:16", a preset, a Semantics). Without it, only what
            is wrong for any source is found.
        inputs: array by name of the graph's inputs.
        expected: the answers to these inputs, array by name of the graph's outputs or all of them in order.

    Raises:
        RoiAlignError: no model, no such source, expected without inputs, or a model that does not run on the inputs.
    """
    wanted = None if source is None else parse_source(source)
    if inputs is None and expected is not None:
        raise RoiAlignError("inputs must be given with expected, got expected alone")
    proto = parse(model)
    with last_guard("read"):
        findings = defect_findings(proto)
        if findings:
            return findings
        findings = read_findings(resolved(proto), source, wanted)
    if inputs is None:
        return findings
    return findings + _run_findings(_complete(model), wanted, inputs, expected)


def _complete(model: Model) -> onnx.ModelProto:
    """The model with its external data, and without functions: what lies in them can be named, but not looked into."""
    proto = onnx.load(os.fspath(model)) if isinstance(model, (str, os.PathLike)) else parse(model)
    return onnx.inliner.inline_local_functions(proto) if proto.functions else proto


def _run_findings(
    model: onnx.ModelProto,
    wanted: Semantics | None,
    inputs: Mapping[str, Array],
    expected: Mapping[str, Array] | Sequence[Array] | None,
) -> list[Finding]:
    """What shows when the model runs; without a source, what explains the expected numbers stands for it."""
    from onnx_roialign.graph.findings import by_explaining, by_running  # the parts that need the engines

    feeds = by_running.feeds_of(model, inputs)
    findings: list[Finding] = []
    if expected is not None:
        answers = by_running.by_name(model, expected)
        wrong = by_running.wrong_output(model, feeds, answers)
        if wrong is not None:
            explanation, meaning = by_explaining.explain(model, feeds, answers)
            findings = [wrong, explanation]
            wanted = meaning if wanted is None else wanted
    departing = None if wanted is None else by_running.departing_node(model, feeds, wanted)
    return findings if departing is None else [departing, *findings]
