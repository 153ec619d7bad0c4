"""The commands that look at one RoiAlign: identify and explain.

``--json`` writes one object; keys are added over versions, never renamed or removed:

    identify   subject, engine (null for a function), meant (what the node says, null for a function), differs (fields
               that are not as meant), ok, and what Identified.as_dict() has: fits, semantics (null where nothing
               fits), names, hidden, evidence (subject, verdict, value, probe, expected, seen, reason)
    explain    box, feature, output, sampling_ratio, scale, first and second (name, semantics, start, size, bin, grid,
               samples, dropped; pairs are x, y), difference, picture

"nan", "inf" and "-inf" are strings. identify's ok, which makes its exit code 0, else 1: some Semantics explains all
that was seen, and it is what the node says.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
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
from onnx_roialign.errors import RoiAlignError, one_line
from onnx_roialign.extras import imported_for
from onnx_roialign.identification.result import FIELDS
from onnx_roialign.onnx_model.inputs import read_model

if TYPE_CHECKING:
    from onnx_roialign.definition.semantics import Semantics
    from onnx_roialign.identification.explain import Explanation
    from onnx_roialign.identification.live import Evidence, Identified, Subject
    from onnx_roialign.identification.node import ProbedNode

__all__ = ["explain", "identify"]

_STYLES = (("decided", "green"), ("hidden", "dim"), ("odd", "bold red"))

# A picture shows each bin; with more of them a bin is less than a dot.
_MOST_BINS = 256


def identify(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|MODULE:FUNCTION",
            help="A model, whose RoiAlign node is probed by itself; or a Python function (X, rois, batch_indices, "
            "attributes) -> Y, looked for in the current folder too.",
        ),
    ],
    engine: Annotated[
        str | None,
        typer.Option(
            help="What runs the node: builtin (ONNX Runtime's own), native, reference, evaluator (onnx.reference with "
            "our op), onnx.reference (with its own). Default: builtin."
        ),
    ] = None,
    node: Annotated[
        str | None, typer.Option(help="The node's name, or its output's, where the model has several RoiAligns.")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Find out by probing what a RoiAlign means: which Semantics it has, which presets that is, and the evidence."""
    from onnx_roialign.identification.live import identify as probe

    fn, probed, engine = _subject(subject, engine, node)
    found = probe(fn)
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
    if re.fullmatch(r"[\w.]+:\w+", subject) and not Path(subject).exists():
        if engine is not None or node is not None:
            raise RoiAlignError(f"--engine and --node must be given with a model, got the function {subject!r}")
        return _function(subject), None, None
    from onnx_roialign.identification.node import find_node
    from onnx_roialign.onnx_model.soundness import sound
    from onnx_roialign.sessions.silent import NOTHING, log_only

    log_only(NOTHING)  # onnxruntime warns of max mode on its default logger, which is evidence here
    probed = find_node(sound(read_model(Path(subject))), node, Path(subject))
    engine = "builtin" if engine is None else engine
    return probed.on(engine), probed, engine


def _function(subject: str) -> Callable[..., Any]:
    module, _, name = subject.partition(":")
    sys.path.insert(0, "")  # as `python -m` does
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # what a module raises on import is up to the module
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise RoiAlignError(f"MODULE:FUNCTION must be importable, got {subject!r} ({reason})") from error
    finally:
        sys.path.remove("")
    if not callable(function):
        raise RoiAlignError(f"MODULE:FUNCTION must be callable, got {subject!r}")
    return function  # type: ignore[no-any-return]


def _print_identified(found: Identified, meant: Semantics | None, differs: tuple[str, ...]) -> None:
    console = Console()
    table = Table(show_lines=True)
    table.add_column("what", no_wrap=True)
    table.add_column("found", no_wrap=True)
    table.add_column("probe, and why that is so", ratio=3)
    table.add_column("expected and seen", ratio=2, overflow="fold")
    for one in found.evidence:
        style = dict(_STYLES)[one.verdict]
        decided = str(one.value) if one.subject in FIELDS else "as expected"
        value = decided if one.verdict == "decided" else one.verdict
        text = f"{escape(one.probe)}\n[dim]{escape(one.reason)}[/]"
        table.add_row(one.subject, f"[{style}]{escape(value)}[/]", text, escape(_readings(one)))
    console.print(table)
    for line in _conclusion(found, meant, differs):
        console.print(line, markup=False, highlight=False)


def _readings(one: Evidence) -> str:
    lines = [f"{value if value is not None else 'none'}: {_reading(numbers)}" for value, numbers in one.expected]
    return "\n".join([*lines, f"seen: {_reading(one.seen)}"] if one.seen else lines)


def _reading(numbers: tuple[float, ...]) -> str:
    return " ".join(f"{number:.4g}" for number in numbers)


def _conclusion(found: Identified, meant: Semantics | None, differs: tuple[str, ...]) -> list[str]:
    if found.semantics is None:
        lines = ["Fits none: no Semantics explains this RoiAlign."]
    else:
        fields = ", ".join(f"{name}={value}" for name, value in dataclasses.asdict(found.semantics).items())
        lines = [f"Semantics: {fields}", f"Presets: {', '.join(found.names) or 'none has these values'}"]
        if found.hidden:
            lines.append(f"Hidden, and shown above with their defaults: {', '.join(found.hidden)}")
        if found.odd:
            lines.append(f"No Semantics explains: {', '.join(one.subject for one in found.odd)}")
    if meant is not None and differs:
        fields = ", ".join(f"{name}={getattr(meant, name)}" for name in differs)
        lines.append(f"Wrong: the node's opset and attributes say {fields}")
    return lines


def explain(
    roi: Annotated[str, typer.Option(metavar="X1,Y1,X2,Y2", help="The RoI, in pixels of the image.")],
    feature: Annotated[str, typer.Option(metavar="HxW", help="Height and width of the feature map, in its pixels.")],
    scale: Annotated[float, typer.Option(help="Pixels of the feature map per pixel of the image: spatial_scale.")],
    picture: Annotated[Path, typer.Option("-o", metavar="FILE.png", help="The picture to write.")],
    semantics: Annotated[
        str, typer.Option(metavar="A", help="A preset, or a framework's call: paddle:aligned=False, onnx:16.")
    ] = "onnx_half_pixel",
    versus: Annotated[str, typer.Option(metavar="B", help="What to compare it with.")] = "onnx_output_half_pixel",
    output: Annotated[str, typer.Option(metavar="HxW", help="Number of bins.")] = "7x7",
    sampling_ratio: Annotated[int, typer.Option(help="Samples per bin and axis; 0: adaptive.")] = 0,
    mode: Annotated[str, typer.Option(help="What a bin makes of its samples: avg or max.")] = "avg",
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Draw where a RoI is sampled under two meanings of RoiAlign, and how far their answers differ."""
    with imported_for("the picture"):
        from onnx_roialign.identification.explain import explain as work_out
        from onnx_roialign.pictures.explain import draw_explanation

    box = _box(roi)
    height, width = _size("--feature", feature, 9999)
    rows, columns = _size("--output", output, _MOST_BINS)
    attributes = Attributes(rows, columns, sampling_ratio, scale, mode, parse(semantics))
    if picture.suffix.lower() != ".png" or not picture.resolve().parent.is_dir():
        raise RoiAlignError(f"-o must be a .png file in a folder that exists, got {str(picture)!r}")
    shown = work_out(box, (height, width), attributes, parse(versus))
    try:
        draw_explanation(picture, shown, (semantics, versus))
    except OSError as error:
        raise RoiAlignError(f"-o must be a file to write, got {str(picture)!r} ({error.strerror})") from error
    if as_json:
        write_json(_explained(shown, (semantics, versus), picture))
    else:
        _print_explained(shown, (semantics, versus), picture)
    return 0


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise RoiAlignError(f"--roi must be x1,y1,x2,y2, got {text!r}") from None
    return x1, y1, x2, y2


def _size(option: str, text: str, most: int) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text.lower())
    sizes = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(1 <= size <= most for size in sizes):
        raise RoiAlignError(f"{option} must be HxW, each in [1, {most}], got {text!r}")
    return sizes


def _explained(shown: Explanation, names: tuple[str, str], picture: Path) -> dict[str, Any]:
    plans = [
        {"name": name, "semantics": dataclasses.asdict(plan.semantics), **plan.as_dict()}
        for name, plan in zip(names, (shown.first, shown.second), strict=True)
    ]
    return {
        "box": list(shown.box),
        "feature": list(shown.feature),
        "output": list(shown.first.answer.shape),
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
    table.add_column("x, y in pixels of the map")
    for name in names:
        table.add_column(escape(name), justify="right")
    plans = tuple(plan.as_dict() for plan in (shown.first, shown.second))
    for what in plans[0]:
        table.add_row(what if what != "grid" else "grid: samples per bin", *(_cell(plan[what]) for plan in plans))
    for field, values in shown.fields.items():
        table.add_row(f"meaning: {field}", *(str(value) for value in values))
    console = Console()
    console.print(table)
    worst = "one is NaN where the other is not" if math.isinf(shown.difference) else f"{shown.difference:.4g}"
    console.print(
        f"Largest difference of the answers in mode {shown.attributes.mode} on a map of {shown.noise}: {worst}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"Picture: {picture}", markup=False, highlight=False, soft_wrap=True)


def _cell(value: Any) -> str:
    return ", ".join(f"{part:.6g}" for part in value) if isinstance(value, list) else f"{value:,}"
