"""The command line onnx-roialign: run, info, demo, and the commands of the other modules in this folder.

An error is one line on stderr. The exit code is 1 if something is wrong with the model, 2 if an argument is wrong, 3 if
MODEL is not a readable ONNX model, 4 if the installation lacks something.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
import typer
import typer.core
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onnx_roialign import __version__
from onnx_roialign.arrays import Array, largest_difference
from onnx_roialign.cli import graph as cli_graph
from onnx_roialign.cli import identify as cli_identify
from onnx_roialign.cli.bench import bench
from onnx_roialign.cli.conform import app as conform
from onnx_roialign.cli.deploy import deploy
from onnx_roialign.cli.fuzz import fuzz
from onnx_roialign.cli.progress import progress_bars
from onnx_roialign.engines.by_name import SESSION_ENGINES, check_engine
from onnx_roialign.engines.native import active_isa, available_isas, library_path
from onnx_roialign.errors import ModelError, NativeLibraryError, RoiAlignError, UnreadableModelError, one_line
from onnx_roialign.onnx_model.inputs import check_repeat, generated_inputs, given_inputs, read_model
from onnx_roialign.onnx_model.soundness import sound
from onnx_roialign.sessions.apart import try_engine_apart
from onnx_roialign.sessions.silent import ERRORS_ONLY, log_only
from onnx_roialign.sessions.trial import Trial

__all__ = ["app", "main"]

_WRONG_MODEL = 1  # exit code: something is wrong with the model
_UNREADABLE = 3  # exit code: MODEL is not a readable ONNX model
_INTERRUPTED = 130  # what typer returns instead of KeyboardInterrupt
_MISSING = 4  # exit code: the installation lacks something that the command needs


class _OneLineErrors(typer.core.TyperGroup):
    """Prints an error as one line, instead of typer's box or Python's traceback."""

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
            sys.stdout.flush()  # a full disk, or a reader that is gone, shows here and not when Python ends
        except BrokenPipeError:
            _discard_output()
            sys.exit(1)
        except UnreadableModelError as error:
            _stop(one_line(error), _UNREADABLE)
        except ModelError as error:
            _stop(one_line(error), _WRONG_MODEL)
        except NativeLibraryError as error:
            _stop(one_line(error), _MISSING)
        except RoiAlignError as error:
            _stop(one_line(error))
        except MemoryError:
            _stop("memory must hold the model and the arrays, got a request for more than there is")
        except OSError as error:  # of the output, or of a file beside those that the options name
            _discard_output()
            _stop(f"{error.filename or 'the output'} must be readable or writable, got: {error.strerror or error}")
        except Exception as error:
            # typer's usage errors: depending on typer's version, their class is in click or in typer's copy of click.
            format_message = getattr(error, "format_message", None)
            if format_message is None:
                raise
            _stop(" ".join(str(format_message()).split()))
        if code == _INTERRUPTED:
            raise KeyboardInterrupt
        sys.exit(code)


def _discard_output() -> None:
    """What could not be printed goes nowhere; Python would fail on it again when it ends."""
    with contextlib.suppress(OSError, ValueError):  # an output without a descriptor, or that is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stop(text: str, code: int = 2) -> NoReturn:
    sys.stderr.write(f"onnx-roialign: {text}\n")
    sys.exit(code)


app = typer.Typer(
    cls=_OneLineErrors,
    help=(
        "RoiAlign in ONNX: run a model on this package's kernel, check and repair exported models, explain a RoI. "
        "Exit codes: 0 success, 1 something is wrong with the model, 2 an argument is wrong, 3 MODEL is not a readable "
        "ONNX model, 4 the installation lacks something that the command needs."
    ),
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX model file.")],
    inputs: Annotated[
        Path | None,
        typer.Option(help="A .npz with an array per model input. Arrays named like outputs are the expected outputs."),
    ] = None,
    engine: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(SESSION_ENGINES)}; can be repeated. Default: all.")
    ] = None,
    repeat: Annotated[int, typer.Option(help="Timed runs per engine, after one that is not counted.")] = 5,
) -> int:
    """Run a model on each engine; print whether it loads, the time of a run, and the differences of the outputs."""
    engines = _chosen_engines(engine)
    check_repeat(repeat)
    proto = sound(read_model(model))
    feeds, expected = (generated_inputs(proto), {}) if inputs is None else given_inputs(proto, inputs)
    with progress_bars() as progress:
        trials = []
        for name in engines:
            bar = progress.add_task(name, total=1 + repeat)
            trials.append(try_engine_apart(model, feeds, name, repeat=repeat, after_run=partial(progress.advance, bar)))
            progress.remove_task(bar)
    console = Console()
    console.print(f"Inputs: {'random, seeded' if inputs is None else escape(str(inputs))}: {_shapes(feeds)}")
    console.print(_run_table(trials, expected))
    return 0 if any(trial.refusal is None for trial in trials) else 1


def _chosen_engines(names: Sequence[str] | None) -> tuple[str, ...]:
    for name in names or ():
        check_engine(name, SESSION_ENGINES, "--engine")
    return tuple(dict.fromkeys(names or SESSION_ENGINES))


def _shapes(feeds: Mapping[str, Array]) -> str:
    return ", ".join(f"{escape(name)} {array.dtype} {escape(str(array.shape))}" for name, array in feeds.items())


def _run_table(trials: Sequence[Trial], expected: Mapping[str, Array]) -> Table:
    first = next((trial for trial in trials if trial.refusal is None), None)
    if expected:
        against = "the file's outputs"
    elif first is not None:
        expected, against = first.outputs, first.engine
    else:
        against = "nothing"
    table = Table()
    table.add_column("engine")
    table.add_column("loads", ratio=1, overflow="fold")
    table.add_column("time, ms", justify="right")
    table.add_column(f"largest difference from {against}")
    for trial in trials:
        if trial.refusal is not None:
            table.add_row(trial.engine, escape(trial.refusal), "", "")
            continue
        differences = (f"{escape(name)} {_difference(trial.outputs[name], want)}" for name, want in expected.items())
        table.add_row(trial.engine, "yes", f"{trial.milliseconds:.2f}", "\n".join(differences))
    return table


def _difference(got: Any, want: Any) -> str:
    if isinstance(got, np.ndarray) and isinstance(want, np.ndarray) and got.shape != want.shape:
        return escape(f"has shape {got.shape}, not {want.shape}")
    return f"{largest_difference(got, want):.2g}"


@app.command()
def info() -> int:
    """Print versions, the compiled library and the instruction sets; the exit code is 1 if the library cannot run."""
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    table.add_row("onnx_roialign", __version__)
    for name in ("onnxruntime", "onnxruntime-extensions", "onnx", "numpy"):
        table.add_row(name, _version(name))
    table.add_row("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    broken = None
    try:
        for name, value in _library():
            table.add_row(name, escape(value))
    except NativeLibraryError as error:
        broken = one_line(error)
    Console().print(table)
    if broken is not None:
        Console(stderr=True, soft_wrap=True).print(f"onnx-roialign: {broken}", markup=False, highlight=False)
    return 0 if broken is None else 1


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _library() -> Iterator[tuple[str, str]]:
    yield "library", library_path()
    yield "instruction sets", ", ".join(available_isas())
    yield "runs on", active_isa()


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the picture; created if it does not exist.")] = Path(
        "demo_output"
    ),
) -> int:
    """Run a Mask R-CNN that ONNX Runtime refuses to load, compare its outputs with PyTorch's, and draw them."""
    from onnx_roialign.demo.mask_rcnn import run_demo

    if os.path.exists(output) and not os.path.isdir(output):
        raise RoiAlignError("--output", "file", f"must be a folder, got {str(output)!r}")
    library_path()  # raises before anything runs if there is no library
    run_demo(output, Console())
    return 0


app.command()(bench)
app.command()(cli_graph.validate)
app.command()(cli_graph.repair)
app.command("convert-opset")(cli_graph.convert_opset)
app.command("make-explicit")(cli_graph.make_explicit)
app.command()(cli_graph.optimize)
app.command()(cli_graph.unfuse)
app.command()(deploy)
app.command()(cli_identify.identify)
app.command()(cli_identify.explain)
app.add_typer(conform, name="conform")
app.command()(fuzz)


def main() -> None:
    """Entry point of the command onnx-roialign."""
    with open(os.devnull, "w") as nothing:
        sys.stdout, sys.stderr = sys.stdout or nothing, sys.stderr or nothing  # None: closed by the caller
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a file's name may not be text
        log_only(ERRORS_ONLY)  # its warnings would appear between the lines of the output
        app()
