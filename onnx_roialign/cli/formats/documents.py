"""Findings as JSON; `schemas/validate.schema.json` describes the document."""

from __future__ import annotations

import dataclasses
from typing import Any

from onnx_roialign.cli.formats.report import Checked, Report
from onnx_roialign.cli.output import document, to_json
from onnx_roialign.cli.refusal import error_record

__all__ = ["as_json"]


def as_json(report: Report) -> str:
    """Returns the document of validate: all findings in one list, each with its model, and the models."""
    models = [_model(report, model) for model in report.models]
    content: dict[str, Any] = {
        "model": report.models[0].path if len(report.models) == 1 else None,
        "source": report.source,
        "fail_on": report.fail_on,
        "models": models,
        "findings": [
            {"model": model.path, **dataclasses.asdict(finding)}
            for model in report.models
            for finding in model.findings
        ],
        "ok": report.exit_code == 0,
    }
    unread = next((model for model in models if model["error"] is not None), None)
    if unread is not None:
        content["error"] = unread["error"]
    return to_json(document("validate", content))


def _model(report: Report, model: Checked) -> dict[str, Any]:
    return {
        "model": model.path,
        "opset": model.opset,
        "nodes": model.nodes,
        "roi_aligns": len(model.roi_aligns),
        "checked": 0 if model.stopped else len(model.roi_aligns),
        "ignored": model.ignored,
        "error": None if model.error is None else error_record(model.error),
        "ok": report.exit_code_of(model) == 0,
    }
