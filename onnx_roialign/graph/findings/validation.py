"""validate: finds errors of the RoiAligns of a model by reading it and, if inputs are given, by running it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.definition.sources import parse as parse_source
from onnx_roialign.errors import RoiAlignError, last_guard
from onnx_roialign.graph.findings.by_reading import defect_findings, read_findings
from onnx_roialign.graph.findings.finding import Finding
from onnx_roialign.graph.reading.collector import collector_paused
from onnx_roialign.graph.reading.sites import resolved
from onnx_roialign.onnx_model.file import Model, parse
from onnx_roialign.onnx_model.inlined import inlined

__all__ = ["validate"]


@collector_paused()
def validate(
    model: Model,
    source: str | Semantics | None = None,
    *,
    inputs: Mapping[str, Array] | None = None,
    expected: Mapping[str, Array] | Sequence[Array] | None = None,
) -> list[Finding]:
    """Returns the findings about the RoiAligns of a model, in the order of its nodes; an empty list if there are none.

    Reads the model's graph, the bodies of If, Loop and Scan, and the model's functions. With ``inputs`` the model also
    runs: the first RoiAlign whose output differs from its source's is a finding, and with ``expected`` the source that
    explains the expected outputs.

    Args:
        model: path, bytes or ModelProto. It is not changed; external data is read only if the model runs.
        source: the framework call that the model was exported from, as `onnx_roialign.sources.parse` reads it
            ("torchvision", "paddle:aligned=True", "mindspore:roi_end_mode=1", "onnx:16", a preset, a Semantics).
            Without it, only errors that do not depend on the source are found.
        inputs: array by name of the graph's inputs.
        expected: the expected outputs for these inputs: array by output name, or all outputs in order.

    Raises:
        RoiAlignError: the model cannot be read, the source is unknown, expected is given without inputs, or the model
            does not run on the inputs.
    """
    wanted = None if source is None else parse_source(source)
    if inputs is None and expected is not None:
        raise RoiAlignError("inputs", "missing", "must be given with expected, got expected alone")
    proto = parse(model)
    with last_guard("read"):
        findings = defect_findings(proto)
        if findings:
            return findings
        folder = os.path.dirname(os.path.abspath(model)) if isinstance(model, (str, os.PathLike)) else None
        findings = read_findings(resolved(proto), source, wanted, folder)
    if inputs is None or any(finding.code == "missing-weights" for finding in findings):
        return findings
    with last_guard("read with its external data"):
        complete = _complete(model)
    return findings + _run_findings(complete, wanted, inputs, expected)


def _complete(model: Model) -> onnx.ModelProto:
    """Returns the model with its external data and with its functions inlined, so that their values can be read."""
    proto = onnx.load(os.fspath(model)) if isinstance(model, (str, os.PathLike)) else parse(model)
    return inlined(proto) if proto.functions else proto


def _run_findings(
    model: onnx.ModelProto,
    wanted: Semantics | None,
    inputs: Mapping[str, Array],
    expected: Mapping[str, Array] | Sequence[Array] | None,
) -> list[Finding]:
    """Runs the model and returns the findings. Without a source, the meaning that explains `expected` is used."""
    from onnx_roialign.graph.findings import by_explaining, by_running  # the parts that need the engines

    feeds = by_running.feeds_of(model, inputs)
    findings: list[Finding] = []
    if expected is not None:
        arrays = by_running.by_name(model, expected)
        wrong = by_running.wrong_output(model, feeds, arrays)
        if wrong is not None:
            explanation, meaning = by_explaining.explain(model, feeds, arrays)
            findings = [wrong, explanation]
            wanted = meaning if wanted is None else wanted
    node = None if wanted is None else by_running.wrong_node(model, feeds, wanted)
    return findings if node is None else [node, *findings]
