"""The commands info and demo: what is installed, and what it does."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onnx_roialign import __version__
from onnx_roialign.cli.options import JSON, output
from onnx_roialign.cli.output import write_json
from onnx_roialign.engines.installation import library_path
from onnx_roialign.engines.native import active_isa, available_isas
from onnx_roialign.errors import NativeLibraryError, RoiAlignError, one_line

__all__ = ["demo", "info"]

_PACKAGES = ("onnxruntime", "onnxruntime-extensions", "onnx", "numpy")


def info(as_json: Annotated[bool, JSON] = False) -> int:
    """Print versions, the compiled library and the instruction sets; the exit code is 1 if the library cannot run."""
    found = _found()
    problem = found["problem"]
    if as_json:
        write_json("info", found)
    else:
        Console().print(_table(found))
    if problem is not None:
        Console(stderr=True, soft_wrap=True).print(f"onnx-roialign: {problem}", markup=False, highlight=False)
    return 0 if problem is None else 1


def _found() -> dict[str, Any]:
    found: dict[str, Any] = {
        "versions": {"onnx_roialign": __version__, **{name: _version(name) for name in _PACKAGES}},
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        **dict.fromkeys(("library", "instruction_sets", "runs_on", "problem")),
    }
    try:
        found["library"] = library_path()
        found["instruction_sets"] = list(available_isas())
        found["runs_on"] = active_isa()
    except NativeLibraryError as error:
        found["problem"] = one_line(error)
    return {**found, "ok": found["problem"] is None}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _table(found: dict[str, Any]) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    for name, version in found["versions"].items():
        table.add_row(name, version or "not installed")
    table.add_row("python", f"{found['python']} on {found['system']}")
    if found["library"] is not None:
        table.add_row("library", escape(found["library"]))
    if found["instruction_sets"] is not None:
        table.add_row("instruction sets", ", ".join(found["instruction_sets"]))
    if found["runs_on"] is not None:
        table.add_row("runs on", found["runs_on"])
    return table


def demo(
    output: Annotated[Path, output("the folder of the picture; created if it does not exist.")] = Path("demo_output"),
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Run a Mask R-CNN that ONNX Runtime refuses to load, compare its outputs with PyTorch's, and draw them."""
    from onnx_roialign.demo.mask_rcnn import run_demo

    if os.path.exists(output) and not os.path.isdir(output):
        raise RoiAlignError("--output", "file", f"must be a folder, got {str(output)!r}")
    library_path()  # raises before anything runs if there is no library
    record = run_demo(output, Console(quiet=as_json))
    if as_json:
        write_json("demo", record)
    return 0
