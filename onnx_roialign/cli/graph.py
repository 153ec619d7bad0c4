"""The commands that read or change a model: validate, repair, convert-opset, make-explicit, optimize, unfuse.

``--json`` writes one object; later versions add keys, but do not rename or remove any:

    validate       model, source (null), findings, ok
    repair         model, source, output, mended (repaired findings), findings (remaining findings), ok
    convert-opset  model, target, output, ok
    make-explicit  model, output, changed (whether the model was changed), ok
    optimize       model, source (null), output, parts (each op, output, fused, nodes, text, corrected), ok
    unfuse         model, output, changed, ok

A finding has code, severity ("error", "warning", "info"), node, message, effect, repairable. ok is true if no finding
is an error or a warning; then the exit code is 0, else 1.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import onnx
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onnx_roialign.errors import RoiAlignError
from onnx_roialign.files import check_output, write_file
from onnx_roialign.onnx_model.file import format_of, to_bytes
from onnx_roialign.onnx_model.inputs import given_inputs, read_model
from onnx_roialign.onnx_model.scopes import external_files, scopes

if TYPE_CHECKING:  # each command imports what it needs, because importing onnx-ir and its passes is slow
    from onnx_roialign.graph import Finding

__all__ = ["convert_opset", "make_explicit", "optimize", "repair", "unfuse", "validate", "write_json"]

MODEL = typer.Argument(metavar="MODEL", help="An ONNX model file.")
OUTPUT = typer.Option("--output", "-o", help="The file to write the new model to.")
JSON = typer.Option("--json", help="Write one JSON object with stable keys.")
_SOURCE = (
    "The framework call that the model was exported from: torchvision, torchvision:aligned=True, paddle, "
    "mindspore:roi_end_mode=0, onnx:16, or a preset."
)
_STYLES = (("error", "bold red"), ("warning", "yellow"), ("info", "dim"))


def validate(
    model: Annotated[Path, MODEL],
    source: Annotated[
        str | None, typer.Option(help=f"{_SOURCE} Default: report only errors that do not depend on it.")
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            help="A .npz with an array per model input, on which the model also runs. Arrays named like outputs are "
            "the expected outputs."
        ),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Report errors of the RoiAligns of a model, and their effect on its results."""
    from onnx_roialign import graph

    proto = read_model(model)
    arrays: dict[str, Any] = {}
    if inputs is not None:
        arrays["inputs"], expected = given_inputs(proto, inputs)
        arrays["expected"] = expected or None
    findings = graph.validate(model, source, **arrays)
    if as_json:
        write_json(
            {"model": str(model), "source": source, "findings": _as_dicts(findings), "ok": not _is_wrong(findings)}
        )
    else:
        _print(findings, "nothing is wrong" + ("" if source else " that can be found without --source"))
    return int(_is_wrong(findings))


def repair(
    model: Annotated[Path, MODEL],
    source: Annotated[str, typer.Option(help=_SOURCE)],
    output: Annotated[Path, OUTPUT],
    counts: Annotated[
        str | None,
        typer.Option(help="The value in the graph with the number of RoIs per image, if the batch indices are lost."),
    ] = None,
    raise_opset: Annotated[bool, typer.Option(help="Whether the opset may be raised to 16.")] = True,
    private_op: Annotated[bool, typer.Option(help="Whether onnx_roialign::AnyRoiAlign may be used.")] = True,
    exact: Annotated[bool, typer.Option("--exact", help="Also keep the source's NaN in bins without samples.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Write a model that computes the same as the framework call from which it was exported."""
    from onnx_roialign import graph

    _check_output(read_model(model), model, output)
    before = graph.validate(model, source)
    result = graph.repair(model, source, counts=counts, raise_opset=raise_opset, private_op=private_op, exact=exact)
    _save(result, output)
    left = graph.validate(result, source)
    repaired = [finding for finding in before if finding not in left]
    if as_json:
        write_json(
            {
                "model": str(model),
                "source": source,
                "output": str(output),
                "mended": _as_dicts(repaired),
                "findings": _as_dicts(left),
                "ok": not _is_wrong(left),
            }
        )
    else:
        _print(repaired, "nothing to repair", "Repaired")
        _print(left, "nothing", "Remaining")
        _console().print(f"Written: {output}", markup=False, highlight=False, soft_wrap=True)
    return int(_is_wrong(left))


def convert_opset(
    model: Annotated[Path, MODEL],
    target: Annotated[int, typer.Option(help="The opset to convert to, from 10 on, up or down.")],
    output: Annotated[Path, OUTPUT],
    private_op: Annotated[
        bool,
        typer.Option(
            "--private-op", help="Use onnx_roialign::AnyRoiAlign where the target opset cannot express a RoiAlign."
        ),
    ] = False,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Write the model at another opset with the same results; fails if a RoiAlign's results would change."""
    from onnx_roialign.graph.conversion.opset import converted

    proto = read_model(model)
    _check_output(proto, model, output)
    _save(converted(proto, target, private=private_op, allow="--private-op"), output)
    if as_json:
        write_json({"model": str(model), "target": target, "output": str(output), "ok": True})
    else:
        _console().print(f"Written at opset {target}: {output}", markup=False, highlight=False, soft_wrap=True)
    return 0


def make_explicit(
    model: Annotated[Path, MODEL],
    output: Annotated[Path, OUTPUT],
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Write every RoiAlign's meaning into its node, for runtimes where no session config entry can be set."""
    from onnx_roialign import graph

    return _rewrite(model, output, as_json, graph.make_explicit, "Every RoiAlign was already explicit")


def optimize(
    model: Annotated[Path, MODEL],
    output: Annotated[Path, OUTPUT],
    source: Annotated[
        str | None,
        typer.Option(help=f"{_SOURCE} RoiAligns are repaired first. Default: the model's results are correct."),
    ] = None,
    no_proof: Annotated[bool, typer.Option("--no-proof", hidden=True)] = False,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Write the model with its poolers and mask pasting as one operator each, if a test shows equal results."""
    from onnx_roialign import graph

    if no_proof:
        raise RoiAlignError(
            "--no-proof", "unsupported", "must not be given: a part is only fused after a test that results are equal"
        )
    proto = read_model(model)
    _check_output(proto, model, output)
    fused = graph.fuse(proto, source)
    _save(fused.model, output)
    parts = [dataclasses.asdict(part) for part in fused.report]
    if as_json:
        write_json({"model": str(model), "source": source, "output": str(output), "parts": parts, "ok": True})
        return 0
    console = _console()
    if not parts:
        rest = "the model is unchanged" if fused.model == proto else f"its RoiAligns are repaired for {source}"
        console.print(
            f"Nothing to fuse: no pooler and no mask pasting was found; {rest}.", markup=False, highlight=False
        )
    for part in fused.report:
        console.print(str(part), markup=False, highlight=False, soft_wrap=True)
    console.print(f"Written: {output}", markup=False, highlight=False, soft_wrap=True)
    return 0


def unfuse(
    model: Annotated[Path, MODEL],
    output: Annotated[Path, OUTPUT],
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Write MultiScaleRoiAlign and PasteMasks in ONNX's own operators, for a runtime without this library."""
    from onnx_roialign import graph

    return _rewrite(model, output, as_json, graph.unfuse, "There was nothing to expand")


def _rewrite(
    path: Path, output: Path, as_json: bool, change: Callable[[onnx.ModelProto], onnx.ModelProto], unchanged: str
) -> int:
    """Applies a change to a model, writes the result, and prints whether the model was changed."""
    proto = read_model(path)
    _check_output(proto, path, output)
    result = change(proto)
    changed = result != proto
    _save(result, output)
    if as_json:
        write_json({"model": str(path), "output": str(output), "changed": changed, "ok": True})
    else:
        text = "Written" if changed else f"{unchanged}; the model is unchanged. Written"
        _console().print(f"{text}: {output}", markup=False, highlight=False, soft_wrap=True)
    return 0


def write_json(document: Mapping[str, Any]) -> None:
    """Writes one object to stdout; NaN and infinity, which JSON does not have, must already be strings."""
    typer.echo(json.dumps(document, indent=2, allow_nan=False))


def _console() -> Console:
    return Console()


def _as_dicts(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(finding) for finding in findings]


def _is_wrong(findings: Sequence[Finding]) -> bool:
    return any(finding.severity != "info" for finding in findings)


def _print(findings: Sequence[Finding], none: str, heading: str | None = None) -> None:
    console = _console()
    if not findings:
        console.print(f"{heading}: {none}" if heading else none.capitalize(), markup=False, highlight=False)
        return
    table = Table(title=heading, title_justify="left", show_lines=True)
    for header in ("severity", "code", "node"):
        table.add_column(header, overflow="fold")
    table.add_column("finding and effect", ratio=1)
    table.add_column("repair")
    for finding in findings:
        style = dict(_STYLES)[finding.severity]
        text = f"{escape(finding.message)}\n[dim]{escape(finding.effect)}[/]"
        fixes = "yes" if finding.repairable else "no"
        table.add_row(f"[{style}]{finding.severity}[/]", finding.code, escape(finding.node), text, fixes)
    console.print(table)


def _check_output(model: onnx.ModelProto, path: Path, output: Path) -> None:
    """Refuses a file that cannot be written or is read, and, with external data, another folder than the model's."""
    data = {name for scope in scopes(model) for name in external_files(scope)}
    check_output("--output", output, {"MODEL": path, **{f"its data {name!r}": path.parent / name for name in data}})
    if data and output.resolve().parent != path.resolve().parent:
        raise RoiAlignError(
            "--output", "file", f"must be in the folder of MODEL, which has external data there, got {str(output)!r}"
        )


def _save(model: onnx.ModelProto, output: Path) -> None:
    """Writes the model in the format of the file's extension, if that format can hold all of it."""
    kind = format_of(str(output))
    data = to_bytes(model) if kind == "protobuf" else _as_text(model, kind)
    if data is None:
        raise RoiAlignError(
            "--output", "form", f"must end in .onnx for this model, which {kind} cannot hold, got {str(output)!r}"
        )
    write_file("--output", output, data)


def _as_text(model: onnx.ModelProto, kind: str) -> bytes | None:
    """Returns the model in one of onnx's text formats; None if reading that back gives another model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx warns that a format is experimental
        try:
            data: bytes = onnx.serialization.registry.get(kind).serialize_proto(model)
            back = onnx.load_model_from_string(data, kind)
        except Exception:  # onnx's serializers and parsers have no common exception
            return None
    return data if back == model else None
