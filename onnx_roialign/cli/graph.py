"""The commands that change a model: repair, convert-opset, make-explicit, optimize, unfuse."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import onnx
import typer
from rich.console import Console

from onnx_roialign.cli.formats.text import findings_table, is_wide, lines
from onnx_roialign.cli.options import JSON, MODEL, OUTPUT_MODEL, PRIVATE_OP, SOURCE
from onnx_roialign.cli.output import print_lines, size_of, write_json
from onnx_roialign.cli.refusal import of_the_model
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.files import check_output, write_file
from onnx_roialign.onnx_model.file import format_of, to_bytes
from onnx_roialign.onnx_model.inputs import read_model
from onnx_roialign.onnx_model.scopes import external_files, scopes

if TYPE_CHECKING:  # each command imports what it needs, because importing onnx-ir and its passes is slow
    from onnx_roialign.graph import Finding

__all__ = ["convert_opset", "make_explicit", "optimize", "repair", "unfuse"]


def repair(
    model: Annotated[Path, MODEL],
    source: Annotated[str, typer.Option(help=SOURCE)],
    output: Annotated[Path, OUTPUT_MODEL],
    counts: Annotated[
        str | None,
        typer.Option(help="The value in the graph with the number of RoIs per image, if the batch indices are lost."),
    ] = None,
    raise_opset: Annotated[bool, typer.Option(help="Whether the opset may be raised to 16.")] = True,
    private_op: Annotated[bool, PRIVATE_OP] = True,
    exact: Annotated[bool, typer.Option("--exact", help="Also keep the source's NaN in bins without samples.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Write a model that computes the same as the framework call from which it was exported."""
    from onnx_roialign import graph

    proto = read_model(model)
    _check_output(proto, model, output)
    before = graph.validate(model, source)
    with of_the_model("source", "counts"):
        result = graph.repair(model, source, counts=counts, raise_opset=raise_opset, private_op=private_op, exact=exact)
    _save(result, output)
    left = graph.validate(result, source)
    repaired = [finding for finding in before if finding not in left]
    if as_json:
        write_json(
            "repair",
            {
                "model": str(model),
                **size_of(proto),
                "source": source,
                "output": str(output),
                "written": size_of(result),
                "mended": _as_dicts(repaired),
                "findings": _as_dicts(left),
                "ok": not _is_wrong(left),
            },
        )
    else:
        console = Console()
        _print(console, repaired, "Repaired", "nothing to repair")
        _print(console, left, "Remaining", "nothing")
        print_lines(console, [f"Written: {output}"])
    return int(_is_wrong(left))


def convert_opset(
    model: Annotated[Path, MODEL],
    target: Annotated[int, typer.Option(help="The opset to convert to, from 10 on, up or down.")],
    output: Annotated[Path, OUTPUT_MODEL],
    private_op: Annotated[bool, PRIVATE_OP] = False,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Write the model at another opset with the same results; fails if a RoiAlign's results would change."""
    from onnx_roialign.graph.conversion.opset import converted

    proto = read_model(model)
    _check_output(proto, model, output)
    with of_the_model("target"):
        result = converted(proto, target, private=private_op, allow="--private-op")
    _save(result, output)
    if as_json:
        sizes = {**size_of(proto), "target": target, "output": str(output), "written": size_of(result)}
        write_json("convert-opset", {"model": str(model), **sizes, "ok": True})
    else:
        print_lines(Console(), [f"Written at opset {target}: {output}"])
    return 0


def make_explicit(
    model: Annotated[Path, MODEL],
    output: Annotated[Path, OUTPUT_MODEL],
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Write every RoiAlign's meaning into its node, for runtimes where no session config entry can be set."""
    from onnx_roialign import graph

    return _rewrite("make-explicit", model, output, as_json, graph.make_explicit, "Every RoiAlign was already explicit")


def optimize(
    model: Annotated[Path, MODEL],
    output: Annotated[Path, OUTPUT_MODEL],
    source: Annotated[
        str | None,
        typer.Option(help=f"{SOURCE} RoiAligns are repaired first. Default: the model's results are correct."),
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
        sizes = {**size_of(proto), "source": source, "output": str(output), "written": size_of(fused.model)}
        write_json("optimize", {"model": str(model), **sizes, "parts": parts, "ok": True})
        return 0
    said = list(map(str, fused.report))
    if not said:
        rest = "the model is unchanged" if fused.model == proto else f"its RoiAligns are repaired for {source}"
        said = [f"Nothing to fuse: no pooler and no mask pasting was found; {rest}."]
    print_lines(Console(), [*said, f"Written: {output}"])
    return 0


def unfuse(
    model: Annotated[Path, MODEL],
    output: Annotated[Path, OUTPUT_MODEL],
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Write MultiScaleRoiAlign and PasteMasks in ONNX's own operators, for a runtime without this library."""
    from onnx_roialign import graph

    return _rewrite("unfuse", model, output, as_json, graph.unfuse, "There was nothing to expand")


def _rewrite(
    command: str,
    path: Path,
    output: Path,
    as_json: bool,
    change: Callable[[onnx.ModelProto], onnx.ModelProto],
    unchanged: str,
) -> int:
    """Applies a change to a model, writes the result, and prints whether the model was changed."""
    proto = read_model(path)
    _check_output(proto, path, output)
    with of_the_model():
        result = change(proto)
    changed = result != proto
    _save(result, output)
    if as_json:
        sizes = {**size_of(proto), "output": str(output), "written": size_of(result)}
        write_json(command, {"model": str(path), **sizes, "changed": changed, "ok": True})
    else:
        text = "Written" if changed else f"{unchanged}; the model is unchanged. Written"
        print_lines(Console(), [f"{text}: {output}"])
    return 0


def _as_dicts(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(finding) for finding in findings]


def _is_wrong(findings: Sequence[Finding]) -> bool:
    return any(finding.severity != "info" for finding in findings)


def _print(console: Console, findings: Sequence[Finding], heading: str, none: str) -> None:
    if not findings:
        print_lines(console, [f"{heading}: {none}"])
    elif is_wide(console):
        console.print(findings_table(findings, heading))
    else:
        print_lines(console, (f"{heading}: {line}" for line in lines(findings)))


def _check_output(model: onnx.ModelProto, path: Path, output: Path) -> None:
    """Refuses an output that cannot be written or is an input; with external data, one outside the model's folder."""
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
