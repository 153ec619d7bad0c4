"""The command identify: measures what a RoiAlign computes."""

from __future__ import annotations

import dataclasses
import importlib
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

from onnx_roialign.cli.options import ENGINE, JSON
from onnx_roialign.cli.output import print_lines, size_of, write_json
from onnx_roialign.engines.by_name import NODE_ENGINES
from onnx_roialign.errors import RoiAlignError, one_line
from onnx_roialign.identification.result import FIELDS
from onnx_roialign.onnx_model.inputs import read_model

if TYPE_CHECKING:
    from onnx_roialign.definition.semantics import Semantics
    from onnx_roialign.identification.live import Evidence, Identified, Subject
    from onnx_roialign.identification.node import ProbedNode

__all__ = ["identify"]

_STYLES = (("decided", "green"), ("hidden", "dim"), ("odd", "bold red"))


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
            help=f"{ENGINE} {', '.join(NODE_ENGINES)}. builtin is ONNX Runtime's own kernel, evaluator is "
            "onnx.reference with this package's operator. Default: builtin."
        ),
    ] = None,
    node: Annotated[
        str | None, typer.Option(help="The name of the node or of its output, if the model has several RoiAligns.")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Measure the Semantics of a RoiAlign by small calls; print it, the presets that match, and the evidence.

    Exit code 1: no Semantics explains all outputs, or it does not agree with the node's attributes and opset.
    """
    from onnx_roialign.identification import live

    fn, probed, engine, size = _subject(subject, engine, node)
    found = live.identify(fn)
    meant = None if probed is None else probed.meant
    differs = () if meant is None else found.differs_from(meant)
    ok = found.fits and not differs
    if as_json:
        meaning = None if meant is None else dataclasses.asdict(meant)
        head = {"subject": subject, **size, "engine": engine, "meant": meaning, "differs": list(differs), "ok": ok}
        write_json("identify", {**head, **found.as_dict()})
    else:
        _print_identified(found, meant, differs)
    return 0 if ok else 1


def _subject(
    subject: str, engine: str | None, node: str | None
) -> tuple[Subject, ProbedNode | None, str | None, dict[str, int | None]]:
    """Returns what to call, its node and the engine (None for a function), and the size of its model."""
    if re.fullmatch(r"[\w.]+:\w+", subject) and not os.path.exists(subject):
        if engine is not None or node is not None:
            raise RoiAlignError(
                "--engine and --node", "missing", f"must be given with a model, got the function {subject!r}"
            )
        return _function(subject), None, None, dict.fromkeys(("opset", "nodes", "roi_aligns"))
    from onnx_roialign.identification.node import find_node
    from onnx_roialign.onnx_model.soundness import sound
    from onnx_roialign.sessions.silent import NOTHING, log_only

    log_only(NOTHING)  # onnxruntime warns about mode max on its default logger
    proto = sound(read_model(Path(subject)))
    probed = find_node(proto, node, Path(subject))
    engine = "builtin" if engine is None else engine
    return probed.on(engine), probed, engine, size_of(proto)


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
    print_lines(console, _conclusion(found, meant, differs))
    table = Table(title="Evidence", title_justify="left", show_lines=True)
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
