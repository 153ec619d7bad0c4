"""Findings as SARIF 2.1.0 (OASIS), which code hosts show beside the files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from onnx_roialign import __version__
from onnx_roialign.cli.formats.report import Checked, Report, folded, summary
from onnx_roialign.errors import one_line

if TYPE_CHECKING:  # importing onnx_roialign.graph is slow
    from onnx_roialign.graph.findings.finding import Finding

__all__ = ["as_sarif"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def as_sarif(report: Report) -> str:
    """Returns a log of one run: a rule for each code, a result for each finding, a notification for an unread model."""
    rules = list(dict.fromkeys(finding.code for model in report.models for finding in model.findings))
    unread = [model for model in report.models if model.error is not None]
    invocation = {
        "executionSuccessful": not unread,
        "exitCode": report.exit_code,
        "toolExecutionNotifications": [
            {"level": "error", "message": {"text": one_line(model.error)}, "locations": [_location(model.path)]}
            for model in unread
            if model.error is not None
        ],
    }
    run = {
        "tool": {"driver": {"name": "onnx-roialign", "version": __version__, "rules": list(map(_rule, rules))}},
        "invocations": [invocation],
        "artifacts": list(map(_artifact, report.models)),
        "results": [
            _result(model.path, finding, nodes, rules.index(finding.code))
            for model in report.models
            for finding, nodes in folded(model.findings)
        ],
        "columnKind": "unicodeCodePoints",
        "properties": {"summary": summary(report)},
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: str) -> dict[str, Any]:
    from onnx_roialign.graph.findings.finding import CODES

    severity, effect = CODES[code]
    return {
        "id": code,
        "shortDescription": {"text": code.replace("-", " ").capitalize()},
        "fullDescription": {"text": effect},
        "defaultConfiguration": {"level": _LEVELS[severity]},
    }


def _artifact(model: Checked) -> dict[str, Any]:
    checked = 0 if model.stopped else len(model.roi_aligns)
    counts = {"opset": model.opset, "nodes": model.nodes, "roiAlignsChecked": checked}
    return {"location": {"uri": _uri(model.path)}, "roles": ["analysisTarget"], "properties": counts}


def _result(path: str, finding: Finding, nodes: Sequence[str], rule: int) -> dict[str, Any]:
    place = _location(path)
    if nodes:
        place["logicalLocations"] = [{"name": node} for node in nodes]
    identity = "\0".join((path, finding.code, *nodes)).encode(errors="surrogatepass")
    return {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.text},
        "locations": [place],
        "occurrenceCount": max(len(nodes), 1),
        # Else GitHub derives it from the text of the line, which a binary file does not have.
        "partialFingerprints": {"primaryLocationLineHash": hashlib.sha256(identity).hexdigest()[:32]},
    }


def _location(path: str) -> dict[str, Any]:
    # A model has no lines; GitHub shows no result without one.
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(path)}, "region": {"startLine": 1}}}


def _uri(path: str) -> str:
    file = Path(path)
    return file.as_uri() if file.is_absolute() else quote(os.fsencode(file.as_posix()))
