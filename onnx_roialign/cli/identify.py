"""The commands about a single RoiAlign: identify and explain.

``--json`` writes one object; later versions add keys, but do not rename or remove any:

    identify   subject, engine (null for a function), meant (the Semantics of the node's attributes and opset, null for
               a function), differs (the fields that differ from meant), ok, and the keys of Identified.as_dict(): fits,
               semantics (null if nothing fits), names, hidden, evidence (subject, verdict, value, probe, expected,
               seen, reason)
    explain    box, feature, output, sampling_ratio, scale, first and second (name, semantics, start, size, bin, grid,
               samples, dropped; pairs are x, y), difference, picture

"nan", "inf" and "-inf" are strings. The ok of identify is true, and its exit code 0, if some Semantics explains all
outputs and agrees with the node's attributes and opset; else the exit code is 1.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onnx_roialign.cli.graph import JSON, write_json
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.sources import parse
from onnx_roialign.engines.by_name import NODE_ENGINES
from onnx_roialign.errors import RoiAlignError, one_line
from onnx_roialign.extras import imported_for
from onnx_roialign.files import check_output
from onnx_roialign.identification.result import FIELDS
from onnx_roialign.onnx_model.inputs import read_model

if TYPE_CHECKING:
    from onnx_roialign.definition.semantics import Semantics
    from onnx_roialign.identification.explain import Explanation
    from onnx_roialign.identification.live import Evidence, Identified, Subject
    from onnx_roialign.identification.node import ProbedNode

__all__ = ["explain", "identify"]

_STYLES = (("decided", "green"), ("hidden", "dim"), ("odd", "bold red"))

# The picture shows each bin; with more bins, one bin would be smaller than a dot.
_MOST_BINS = 256


def identify(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|MODULE:FUNCTION",
            help="A model, of which only the RoiAlign node runs; or a Python function (X, rois, batch_indices, "
            "attributes) -> Y, which may be in the current folder.",
        ),
    ],
    engine: Annotated[
        str | None,
        typer.Option(
            help=f"The engine that runs the node: {', '.join(NODE_ENGINES)}. builtin is ONNX Runtime's own kernel, "
            "evaluator is onnx.reference with this package's operator. Default: builtin."
        ),
    ] = None,
    node: Annotated[
        str | None, typer.Option(help="The name of the node or of its output, if the model has several RoiAligns.")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Measure the Semantics of a RoiAlign by small calls; print it, the presets that match, and the evidence."""
    from onnx_roialign.identification import live

    fn, probed, engine = _subject(subject, engine, node)
    found = live.identify(fn)
    meant = None if probed is None else probed.meant
    differs = () if meant is None else found.differs_from(meant)
    ok = found.fits and not differs
    if as_json:
        meaning = None if meant is None else dataclasses.asdict(meant)
        head = {"subject": subject, "engine": engine, "meant": meaning, "differs": list(differs), "ok": ok}
        write_json({**head, **found.as_dict()})
    else:
        _print_identified(found, meant, differs)
    return 0 if ok else 1


def _subject(subject: str, engine: str | None, node: str | None) -> tuple[Subject, ProbedNode | None, str | None]:
    if re.fullmatch(r"[\w.]+:\w+", subject) and not os.path.exists(subject):
        if engine is not None or node is not None:
            raise RoiAlignError(
                "--engine and --node", "missing", f"must be given with a model, got the function {subject!r}"
            )
        return _function(subject), None, None
    from onnx_roialign.identification.node import find_node
    from onnx_roialign.onnx_model.soundness import sound
    from onnx_roialign.sessions.silent import NOTHING, log_only

    log_only(NOTHING)  # onnxruntime warns about mode max on its default logger
    probed = find_node(sound(read_model(Path(subject))), node, Path(subject))
    engine = "builtin" if engine is None else engine
    return probed.on(engine), probed, engine


def _function(subject: str) -> Callable[..., Any]:
    module, _, name = subject.partition(":")
    sys.path.insert(0, "")  # as `python -m` does
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # importing a module can raise any exception
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise RoiAlignError("MODULE:FUNCTION", "missing", f"must be importable, got {subject!r} ({reason})") from error
    finally:
        sys.path.remove("")
    if not callable(function):
        raise RoiAlignError("MODULE:FUNCTION", "type", f"must be callable, got {subject!r}")
    return function  # type: ignore[no-any-return]


def _print_identified(found: Identified, meant: Semantics | None, differs: tuple[str, ...]) -> None:
    console = Console()
    table = Table(show_lines=True)
    table.add_column("subject", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("probe and reason", ratio=3)
    table.add_column("expected and seen", ratio=2, overflow="fold")
    for evidence in found.evidence:
        style = dict(_STYLES)[evidence.verdict]
        decided = str(evidence.value) if evidence.subject in FIELDS else "as expected"
        value = decided if evidence.verdict == "decided" else evidence.verdict
        text = f"{escape(evidence.probe)}\n[dim]{escape(evidence.reason)}[/]"
        table.add_row(evidence.subject, f"[{style}]{escape(value)}[/]", text, escape(_readings(evidence)))
    console.print(table)
    for line in _conclusion(found, meant, differs):
        console.print(line, markup=False, highlight=False)


def _readings(evidence: Evidence) -> str:
    lines = [f"{value if value is not None else 'none'}: {_reading(numbers)}" for value, numbers in evidence.expected]
    return "\n".join([*lines, f"seen: {_reading(evidence.seen)}"] if evidence.seen else lines)


def _reading(numbers: tuple[float, ...]) -> str:
    return " ".join(f"{number:.4g}" for number in numbers)


def _conclusion(found: Identified, meant: Semantics | None, differs: tuple[str, ...]) -> list[str]:
    if found.semantics is None:
        lines = ["No Semantics explains this RoiAlign."]
    else:
        fields = ", ".join(f"{name}={value}" for name, value in dataclasses.asdict(found.semantics).items())
        lines = [f"Semantics: {fields}", f"Presets: {', '.join(found.names) or 'none has these values'}"]
        if found.hidden:
            lines.append(f"Not visible in the outputs, default values shown above: {', '.join(found.hidden)}")
        if found.odd:
            lines.append(f"No Semantics explains: {', '.join(evidence.subject for evidence in found.odd)}")
    if meant is not None and differs:
        fields = ", ".join(f"{name}={getattr(meant, name)}" for name in differs)
        lines.append(f"Wrong: the node's opset and attributes mean {fields}")
    return lines


def explain(
    roi: Annotated[str, typer.Option(metavar="X1,Y1,X2,Y2", help="The RoI, in pixels of the image.")],
    feature: Annotated[str, typer.Option(metavar="HxW", help="Height and width of the feature map in pixels.")],
    scale: Annotated[float, typer.Option(help="Pixels of the feature map per pixel of the image: spatial_scale.")],
    picture: Annotated[Path, typer.Option("-o", metavar="FILE.png", help="The picture to write.")],
    semantics: Annotated[
        str, typer.Option(metavar="A", help="A preset, or a framework's call: paddle:aligned=False, onnx:16.")
    ] = "onnx_half_pixel",
    versus: Annotated[
        str, typer.Option(metavar="B", help="The preset or call to compare A with.")
    ] = "onnx_output_half_pixel",
    output: Annotated[str, typer.Option(metavar="HxW", help="Number of bins.")] = "7x7",
    sampling_ratio: Annotated[int, typer.Option(help="Samples per bin and axis; 0: adaptive.")] = 0,
    mode: Annotated[str, typer.Option(help="Pooling within a bin: avg or max.")] = "avg",
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Draw the samples of a RoI under two meanings of RoiAlign, and the difference of their results."""
    with imported_for("the picture"):
        from onnx_roialign.identification import explain as explanations
        from onnx_roialign.pictures.explain import draw_explanation

    box = _box(roi)
    height, width = _size("--feature", feature, 9999)
    rows, columns = _size("--output", output, _MOST_BINS)
    attributes = Attributes(rows, columns, sampling_ratio, scale, mode, parse(semantics))
    if picture.suffix.lower() != ".png" or not picture.resolve().parent.is_dir():
        raise RoiAlignError("-o", "file", f"must be a .png file in a folder that exists, got {str(picture)!r}")
    check_output("-o", picture, {})
    shown = explanations.explain(box, (height, width), attributes, parse(versus))
    draw_explanation(picture, shown, (semantics, versus))
    if as_json:
        write_json(_explained(shown, (semantics, versus), picture))
    else:
        _print_explained(shown, (semantics, versus), picture)
    return 0


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise RoiAlignError("--roi", "form", f"must be x1,y1,x2,y2, got {text!r}") from None
    return x1, y1, x2, y2


def _size(option: str, text: str, most: int) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text.lower())
    sizes = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= size <= most for size in sizes):
        raise RoiAlignError(option, "form", f"must be HxW, each in [1, {most}], got {text!r}")
    return sizes


def _explained(shown: Explanation, names: tuple[str, str], picture: Path) -> dict[str, Any]:
    plans = [
        {"name": name, "semantics": dataclasses.asdict(plan.semantics), **plan.as_dict()}
        for name, plan in zip(names, (shown.first, shown.second), strict=True)
    ]
    return {
        "box": list(shown.box),
        "feature": list(shown.feature),
        "output": list(shown.first.result.shape),
        "sampling_ratio": shown.attributes.sampling_ratio,
        "mode": shown.attributes.mode,
        "scale": shown.attributes.spatial_scale,
        "first": plans[0],
        "second": plans[1],
        "difference": shown.difference if math.isfinite(shown.difference) else str(shown.difference),
        "picture": str(picture),
    }


def _print_explained(shown: Explanation, names: tuple[str, str], picture: Path) -> None:
    table = Table()
    table.add_column("x, y in pixels of the feature map")
    for name in names:
        table.add_column(escape(name), justify="right")
    plans = tuple(plan.as_dict() for plan in (shown.first, shown.second))
    for key in plans[0]:
        table.add_row(key if key != "grid" else "grid: samples per bin", *(_cell(plan[key]) for plan in plans))
    for field, values in shown.fields.items():
        table.add_row(f"meaning: {field}", *(str(value) for value in values))
    console = Console()
    console.print(table)
    worst = "only one is NaN" if math.isinf(shown.difference) else f"{shown.difference:.4g}"
    console.print(
        f"Largest difference of the results in mode {shown.attributes.mode} on a map of {shown.noise}: {worst}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"Picture: {picture}", markup=False, highlight=False, soft_wrap=True)


def _cell(value: Any) -> str:
    return ", ".join(f"{part:.6g}" for part in value) if isinstance(value, list) else f"{value:,}"
