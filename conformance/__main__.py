"""Runs the conformance suite and prints its table: python -m onnx_roialign.conformance."""

from __future__ import annotations

import sys

from onnx_roialign.errors import NativeLibraryError
from onnx_roialign.extras import imported_for


def main() -> int:
    """Runs every case on every backend; returns the exit code, 0 only if our own backends pass everything."""
    try:
        return _run()
    except NativeLibraryError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _run() -> int:
    with imported_for("the conformance suite"):
        from rich.console import Console
        from rich.progress import Progress

        from onnx_roialign.sessions.silent import NOTHING, log_only

        from .report import exit_code, remarks, table

    from .backends import all_backends
    from .cases import onnx_cases
    from .known_failures import known_failures
    from .runner import run

    log_only(NOTHING)  # ONNX Runtime's kernel logs a warning about mode max in every session
    backends = all_backends()
    known = known_failures()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("collecting ONNX's vectors", total=None)
        cases = onnx_cases()
        progress.update(bar, description="running", total=len(cases) * len(backends))
        results = run(cases, backends, known, lambda: progress.advance(bar))
    console = Console()
    console.print(table(results))
    for line in remarks(results, known):
        console.print(line, markup=False, highlight=False)
    return exit_code(results)


if __name__ == "__main__":
    sys.exit(main())
