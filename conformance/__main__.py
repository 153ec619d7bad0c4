"""Runs the suite and prints its table: python -m onnx_roialign.conformance."""

from __future__ import annotations

import sys

import onnxruntime
from rich.console import Console
from rich.progress import Progress

from onnx_roialign.errors import NativeLibraryError

from .backends import all_backends
from .cases import onnx_cases
from .known_failures import KNOWN_FAILURES
from .report import exit_code, remarks, table
from .runner import run


def main() -> int:
    """Runs every case on every backend; returns the exit code, 0 only if our own backends pass everything."""
    onnxruntime.set_default_logger_severity(4)  # the builtin kernel warns of its max mode at every session
    try:
        backends = all_backends()
    except NativeLibraryError as error:
        Console(stderr=True).print(str(error), markup=False, highlight=False)
        return 1
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("collecting ONNX's vectors", total=None)
        cases = onnx_cases()
        progress.update(bar, description="running", total=len(cases) * len(backends))
        results = run(cases, backends, KNOWN_FAILURES, lambda: progress.advance(bar))
    console = Console()
    console.print(table(results))
    for line in remarks(results, KNOWN_FAILURES):
        console.print(line, markup=False, highlight=False)
    return exit_code(results)


if __name__ == "__main__":
    sys.exit(main())
