"""The command line onnx-roialign: its commands, --version, and what surrounds them."""

from __future__ import annotations

import inspect
import io
import os
import re
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from onnx_roialign import __version__
from onnx_roialign.cli import graph, identify
from onnx_roialign.cli.bench import bench
from onnx_roialign.cli.conform import app as conform
from onnx_roialign.cli.deploy import deploy
from onnx_roialign.cli.explain import explain
from onnx_roialign.cli.fuzz import fuzz
from onnx_roialign.cli.group import OneLineErrors
from onnx_roialign.cli.info import demo, info
from onnx_roialign.cli.refusal import EXIT_CODES
from onnx_roialign.cli.run import run
from onnx_roialign.cli.validate import validate
from onnx_roialign.sessions.silent import ERRORS_ONLY, log_only

__all__ = ["app", "main"]

app = typer.Typer(
    cls=OneLineErrors,
    help=(
        "RoiAlign in ONNX: run a model on this package's kernel, check and repair exported models, explain a RoI. "
        + EXIT_CODES
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version of this package.")] = False,
) -> int:
    if version:
        typer.echo(f"onnx-roialign {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)
    return 0


def _add(function: Callable[..., int], name: str | None = None) -> None:
    """Adds a command, with its docstring as help: a line for each paragraph, which typer would else break as we do."""
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(function) or "")
    app.command(name, help=text)(function)


_add(run)
_add(info)
_add(demo)
_add(bench)
_add(validate)
_add(graph.repair)
_add(graph.convert_opset, "convert-opset")
_add(graph.make_explicit, "make-explicit")
_add(graph.optimize)
_add(graph.unfuse)
_add(deploy)
_add(identify.identify)
_add(explain)
_add(fuzz)
app.add_typer(conform, name="conform")


def main() -> None:
    """Entry point of the command onnx-roialign."""
    with open(os.devnull, "w") as nothing:
        sys.stdout, sys.stderr = sys.stdout or nothing, sys.stderr or nothing  # None: closed by the caller
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a file's name may not be text
        log_only(ERRORS_ONLY)  # its warnings would appear between the lines of the output
        app()
