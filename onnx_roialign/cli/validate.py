"""The command validate: checks the RoiAligns of models, and writes the findings in the format that is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import onnx
import typer

from onnx_roialign.cli.formats import FORMATS, JSON, TEXT
from onnx_roialign.cli.formats.report import LEVELS, Checked, Report
from onnx_roialign.cli.options import EXPECTED, INPUTS, SOURCE
from onnx_roialign.cli.options import JSON as JSON_OPTION
from onnx_roialign.cli.output import size_of
from onnx_roialign.definition.sources import parse as parse_source
from onnx_roialign.errors import ModelError, RoiAlignError, UnreadableModelError, one_line
from onnx_roialign.onnx_model.file import PROTOBUF_LIMIT
from onnx_roialign.onnx_model.inputs import given_inputs, read_model
from onnx_roialign.onnx_model.scopes import has_external_data, scopes
from onnx_roialign.ops.nodes import is_any_roi_align, node_name

if TYPE_CHECKING:  # importing onnx_roialign.graph is slow
    from onnx_roialign.graph.findings.finding import Severity

__all__ = ["validate"]

_STDIN = Path("-")
_PIECE = 1 << 20  # bytes that are read at once


def validate(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="ONNX model files; -: standard input.")],
    source: Annotated[
        str | None, typer.Option(help=f"{SOURCE} Default: report only errors that do not depend on it.")
    ] = None,
    inputs: Annotated[Path | None, typer.Option(help=f"{INPUTS} The one MODEL also runs on them. {EXPECTED}")] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="Leave out findings with this code; can be repeated."),
    ] = None,
    fail_on: Annotated[
        str, typer.Option(metavar="SEVERITY", help="The least severity that makes the exit code 1: error or warning.")
    ] = "warning",
    format_: Annotated[
        str | None, typer.Option("--format", help=f"How to write the findings: {', '.join(FORMATS)}. Default: text.")
    ] = None,
    as_json: Annotated[bool, JSON_OPTION] = False,
) -> int:
    """Report errors of the RoiAligns of models, and their effect on the results.

    Exit codes: 0 every model was checked and has no finding of --fail-on's severity; 1 a model has one, or could not be
    checked; 2 an argument is wrong; 3 a MODEL is not a readable ONNX model (the others are checked all the same).
    """
    kind = _format(format_, as_json)
    level = _severity(fail_on)
    ignored = _codes(ignore or ())
    if source is not None:
        parse_source(source)
    if inputs is not None and len(models) != 1:
        raise RoiAlignError("--inputs", "conflict", f"must be given with one MODEL, got {len(models)}")
    if models.count(_STDIN) > 1:
        raise RoiAlignError("MODEL", "conflict", "must be - at most once, got it more than once")
    report = Report(tuple(_checked(path, source, inputs, ignored) for path in models), source, level)
    _print_errors(report.models)
    text = FORMATS[kind](report)
    if text:
        typer.echo(text)
    return report.exit_code


def _format(name: str | None, as_json: bool) -> str:
    if name is None:
        return JSON if as_json else TEXT
    if name not in FORMATS:
        raise RoiAlignError("--format", "choice", f"must be one of {', '.join(FORMATS)}, got {name!r}")
    if as_json and name != JSON:
        raise RoiAlignError("--format", "conflict", f"must be json together with --json, got {name!r}")
    return name


def _severity(name: str) -> Severity:
    for level in LEVELS[:2]:
        if name == level:
            return level
    raise RoiAlignError("--fail-on", "choice", f"must be error or warning, got {name!r}")


def _codes(names: Sequence[str]) -> frozenset[str]:
    from onnx_roialign.graph.findings.finding import CODES

    for name in names:
        if name not in CODES:
            raise RoiAlignError("--ignore", "choice", f"must be one of {', '.join(CODES)}, got {name!r}")
    return frozenset(names)


def _checked(path: Path, source: str | None, inputs: Path | None, ignored: frozenset[str]) -> Checked:
    """Checks one model; its own errors are its result, so that the other models can still be checked."""
    from onnx_roialign import graph
    from onnx_roialign.graph.findings.by_reading import defect_findings

    try:
        model: Path | bytes = _from_stdin() if path == _STDIN else path
        proto = read_model(model)
        arrays: dict[str, Any] = {}
        if inputs is not None:
            arrays["inputs"], expected = given_inputs(proto, inputs)
            arrays["expected"] = expected or None
        # Its external data is found by its path; any other model need not be decoded twice.
        findings = graph.validate(model if has_external_data(proto) else proto, source, **arrays)
        stopped = any(finding.severity == "error" for finding in findings) and bool(defect_findings(proto))
    except RoiAlignError as error:
        if inputs is not None and not isinstance(error, ModelError):
            raise  # about the arrays
        return Checked(str(path), error=error)
    size = size_of(proto)
    kept = tuple(finding for finding in findings if finding.code not in ignored)
    return Checked(
        path=str(path),
        opset=size["opset"],
        nodes=size["nodes"],
        roi_aligns=() if size["nodes"] is None else _names(proto),
        findings=kept,
        ignored=len(findings) - len(kept),
        stopped=stopped,
    )


def _names(model: onnx.ModelProto) -> tuple[str, ...]:
    return tuple(node_name(node) for scope in scopes(model) for node in scope.nodes if is_any_roi_align(node))


def _from_stdin() -> bytes:
    """Returns the bytes of standard input, of which one that never ends is read only as far as a model can be."""
    if sys.stdin is None:
        raise UnreadableModelError("model", "file", "must be on standard input, got one that is closed")
    data = bytearray()
    try:
        while piece := sys.stdin.buffer.read(_PIECE):
            data += piece
            if len(data) > PROTOBUF_LIMIT:
                raise UnreadableModelError(
                    "model", "size", "must be less than 2 GB on standard input, got more; pass its path"
                )
    except OSError as error:
        raise UnreadableModelError(
            "model", "file", f"must be on standard input, got one that cannot be read ({error.strerror})"
        ) from error
    return bytes(data)


def _print_errors(models: Sequence[Checked]) -> None:
    for model in models:
        if model.error is not None:
            which = f"{model.path}: " if len(models) > 1 else ""
            typer.echo(f"onnx-roialign: {which}{one_line(model.error)}", err=True)
