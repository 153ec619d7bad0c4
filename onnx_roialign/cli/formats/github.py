"""Findings as GitHub's workflow commands, which become annotations of a run."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_roialign.cli.formats.report import Report, folded, summary, where
from onnx_roialign.errors import one_line

__all__ = ["as_annotations"]

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def as_annotations(report: Report) -> str:
    """Returns a workflow command for each finding and for each model that was not read, and a line that counts."""
    return "\n".join([*_commands(report), *filter(None, [summary(report)])])


def _commands(report: Report) -> Iterator[str]:
    for model in report.models:
        if model.error is not None:
            yield _command("error", model.path, "not read", one_line(model.error))
        for finding, nodes in folded(model.findings):
            text = f"{where(nodes)}: {finding.text}"
            yield _command(_COMMANDS[finding.severity], model.path, finding.code, text)


def _command(name: str, path: str, title: str, text: str) -> str:
    return f"::{name} file={_property(path)},title={_property(title)}::{_escaped(text)}"


def _escaped(text: str) -> str:
    """Returns a text as GitHub's toolkit escapes the data of a command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """Returns a text as GitHub's toolkit escapes a property of a command."""
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
