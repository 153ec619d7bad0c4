"""The report for a terminal: a table of the runs, and a line for each result that is not a plain pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from onnx_roialign.conformance.case import Case, Tier
from onnx_roialign.conformance.result import Result, Run, Status
from onnx_roialign.conformance.verdict import fails, passes

__all__ = ["remarks", "table"]


def table(runs: Sequence[Run], cases: Mapping[str, Case]) -> Table:
    """Returns a table with a row for each run: how many cases of each tier passed, and what the others did."""
    made = Table(title="RoiAlign conformance", box=SIMPLE, show_edge=False, padding=(0, 1, 0, 0))
    made.add_column("backend", no_wrap=True)
    tiers = Counter(case.tier for case in cases.values())
    for tier, count in tiers.items():
        made.add_column(f"{tier.value}\nof {count}", justify="right")
    made.add_column("others")
    made.add_column("verdict", no_wrap=True)
    for run in runs:
        passed = Counter(cases[result.case].tier for result in run.results if result.status is Status.PASS)
        verdict = Text("passes", "green") if passes(run, cases) else Text("fails", "bold red")
        name = Text(f"{run.backend} {run.version}".strip())
        made.add_row(name, *(str(passed[tier]) for tier in tiers), "\n".join(_others(run)), verdict)
    return made


def _others(run: Run) -> Iterator[str]:
    """How many results are of each status but pass and not declared as known; and how many are known."""
    counts = Counter(result.status for result in run.results if not result.known)
    yield from (f"{counts[status]} {status.value}" for status in Status if status is not Status.PASS and counts[status])
    if known := sum(bool(result.known) for result in run.results):
        yield f"{known} known"


def remarks(runs: Sequence[Run], cases: Mapping[str, Case]) -> Iterator[str]:
    """Yields a line for each contested case with who takes which side, each result that fails, and each wrong entry."""
    for case in cases.values():
        if case.tier is Tier.CONTESTED:
            yield from _sides(case, runs)
    for run in runs:
        for result in run.results:
            if fails(result):
                yield f"{run.backend}: {result.status.value}: {result.case}: {result.text}"
        yield from (f"{run.backend}: unsupported: {line}" for line in _unsupported(run.results))
        yield from (f"{run.backend}: known deviations: {line}" for line in run.wrong_entries)
        if not any(
            result.status is Status.PASS and cases[result.case].tier is not Tier.CONTESTED for result in run.results
        ):
            yield f"{run.backend}: passes no case"


def _sides(case: Case, runs: Sequence[Run]) -> Iterator[str]:
    takers: dict[str, list[str]] = {}
    for run in runs:
        for result in run.results:
            if result.case == case.id and result.status is Status.PASS:
                takers.setdefault(result.side or result.text, []).append(run.backend)
    for side, backends in takers.items():
        yield f"{case.id}: {side}: {', '.join(backends)}"


def _unsupported(results: Sequence[Result]) -> Iterator[str]:
    """One line for each reason, with the cases that it is given for."""
    reasons: dict[str, list[str]] = {}
    for result in results:
        if result.status is Status.UNSUPPORTED and not result.known:
            reasons.setdefault(result.text, []).append(result.case)
    for text, ids in reasons.items():
        more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        yield f"{ids[0]}{more}: {text}"
