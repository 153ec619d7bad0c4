"""The built-in backends, one file each with a class `Backend`, and how a backend is found by what the user calls it.

A file here is loaded by its path, by the Python worker, in the environment of its runtime: it imports that runtime,
numpy and onnx, and this package only where it is a backend of this package.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx_roialign
from onnx_roialign.conformance.process import Launch
from onnx_roialign.engines.native import available_isas
from onnx_roialign.errors import RoiAlignError

__all__ = ["OWN", "backend_names", "find_backend", "find_worker"]

# What runs without --backend: this package's implementations, and those that it corrects.
OWN = ("native", "reference", "python-op", "builtin", "onnx-reference")

_FOLDER = Path(__file__).parent
_KNOWN = _FOLDER.parent / "known"
_WORKER = _FOLDER.parent / "workers" / "python_worker.py"
_ISA_VARIABLE = "ONNX_ROIALIGN_ISA"


def backend_names() -> tuple[str, ...]:
    """Returns the names of the built-in backends: the files of this folder, with - for _."""
    files = sorted(_FOLDER.glob("[a-z]*.py"))
    return tuple(path.stem.replace("_", "-") for path in files)


def find_backend(name: str, python: str | None = None, known: Path | None = None) -> tuple[Launch, ...]:
    """Returns how to start a backend: one worker, or for native one for each instruction set.

    Args:
        name: a built-in backend, native:ISA, module:Class, or path/file.py:Class.
        python: the interpreter that has the runtime; None: this one.
        known: file of known deviations; None: that of the built-in backend, if it has one.

    Raises:
        RoiAlignError: no built-in backend has this name, and it has no colon.
        NativeLibraryError: the name is native, and there is no compiled library.
    """
    head, colon, isa = name.partition(":")
    if head == "native" and colon:
        return (_launch("native", name, python, known, isa),)
    if name == "native":
        return tuple(_launch(name, f"native:{isa}", python, known, isa) for isa in available_isas())
    if name in backend_names():
        return (_launch(name, name, python, known),)
    if not colon:
        names = ", ".join(backend_names())
        raise RoiAlignError(
            "--backend", "choice", f"must be one of {names}, module:Class or path/file.py:Class, got {name!r}"
        )
    command = (*_interpreter(python), str(_WORKER), name)
    return (Launch(name, command, dict(_paths(python)), known, _options(name, python, known)),)


def find_worker(command: str, known: Path | None = None) -> Launch:
    """Returns how to start a program that speaks the worker protocol, from its command line.

    Raises:
        RoiAlignError: it is not a command line.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise RoiAlignError("--worker", "form", f"must be a command line, got {command!r} ({error})") from error
    if not words:
        raise RoiAlignError("--worker", "form", f"must be a command line, got {command!r}")
    return Launch(command, tuple(words), {}, known, ("--worker", command, *_known_option(known)))


def _launch(file: str, name: str, python: str | None, known: Path | None, isa: str | None = None) -> Launch:
    spec = f"{_FOLDER / file.replace('-', '_')}.py:Backend"
    variables = dict(_paths(python))
    if isa is not None:
        variables[_ISA_VARIABLE] = isa
    declared = _KNOWN / f"{file}.json"
    own = declared if declared.exists() else None
    command = (*_interpreter(python), str(_WORKER), spec)
    return Launch(name, command, variables, known or own, _options(name, python, known))


def _options(name: str, python: str | None, known: Path | None) -> tuple[str, ...]:
    return ("--backend", name, *(() if python is None else ("--python", python)), *_known_option(known))


def _known_option(known: Path | None) -> tuple[str, ...]:
    return () if known is None else ("--known", str(known))


def _interpreter(python: str | None) -> Sequence[str]:
    return (sys.executable if python is None else python,)


def _paths(python: str | None) -> Iterator[tuple[str, str]]:
    """Yields PYTHONPATH, by which this Python finds the same onnx_roialign in the worker as here."""
    if python is None:
        root = str(Path(onnx_roialign.__file__).resolve().parent.parent)
        yield "PYTHONPATH", os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
