"""The report: a table for the screen, remarks and an exit code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.box import SIMPLE
from rich.table import Table

from .known_failures import KnownFailure
from .runner import Result, Status

__all__ = ["exit_code", "remarks", "table"]

_STYLE = {
    Status.PASS: "green",
    Status.FAIL: "red",
    Status.UNSUPPORTED: "yellow",
    Status.UNEXPECTED_PASS: "magenta",
}


def table(results: Sequence[Result]) -> Table:
    """Returns the table of results: one row per case, one column per backend."""
    backends = list(dict.fromkeys(result.backend.name for result in results))
    cases = list(dict.fromkeys(result.case.id for result in results))
    cells = {(r.case.id, r.backend.name): f"[{_STYLE[r.status]}]{_word(r)}[/]" for r in results}
    made = Table(title="RoiAlign conformance", box=SIMPLE, show_edge=False, padding=(0, 1, 0, 0))
    made.add_column("case", no_wrap=True)
    for name in backends:
        column = (name, *(_word(result) for result in results if result.backend.name == name))
        made.add_column(name, width=max(len(word) for text in column for word in text.split()))
    for case in cases:
        made.add_row(case, *(cells[case, name] for name in backends))
    return made


def _word(result: Result) -> str:
    return result.status.value + (" (known)" if result.known and result.status is not Status.UNEXPECTED_PASS else "")


def remarks(results: Sequence[Result], known_failures: Sequence[KnownFailure]) -> Iterator[str]:
    """Yields one line for each result that is not a pass, and for each known failure that did not run."""
    for result in results:
        if result.status is not Status.PASS:
            yield f"{result.backend.name}, {result.case.id}: {_word(result)}: {result.detail}"
    ran = {(result.backend.name, result.case.id) for result in results}
    for known in known_failures:
        if (known.backend, known.case) not in ran:
            yield f"{known.backend}, {known.case}: declared as a known failure, but no such case ran: {known.reason}"


def exit_code(results: Sequence[Result]) -> int:
    """Returns 0 if every required backend passed every case and there was at least one result, else 1."""
    required = [result for result in results if result.backend.required]
    return 0 if required and all(result.status is Status.PASS for result in required) else 1
