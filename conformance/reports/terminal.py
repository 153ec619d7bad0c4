"""The report for a terminal: a table of the runs, and a line for each result that is not a plain pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from onnx_roialign.conformance.case import Case, Tier
from onnx_roialign.conformance.result import Result, Run, Status
from onnx_roialign.conformance.verdict import fails, passes

__all__ = ["remarks", "table"]


def table(runs: Sequence[Run], cases: Mapping[str, Case]) -> Table:
    """Returns a table with a row for each run: passed of all cases per tier, and the number of each other status."""
    made = Table(title="RoiAlign conformance", box=SIMPLE, show_edge=False, padding=(0, 1, 0, 0))
    made.add_column("backend")
    made.add_column("version")
    tiers = [tier for tier in Tier if any(case.tier is tier for case in cases.values())]
    statuses = [status for status in Status if status is not Status.PASS and _any_of(runs, status)]
    for name in (*(tier.value for tier in tiers), *(status.value for status in statuses), "known"):
        made.add_column(name, justify="right")
    made.add_column("verdict")
    for run in runs:
        passed = [_passed(run, tier, cases) for tier in tiers]
        others = [str(_count(run, status) or "") for status in statuses]
        known = str(sum(bool(result.known) for result in run.results) or "")
        verdict = Text("passes", "green") if passes(run, cases) else Text("fails", "bold red")
        made.add_row(Text(run.backend), Text(run.version), *passed, *others, known, verdict)
    return made


def _any_of(runs: Sequence[Run], status: Status) -> bool:
    return any(_count(run, status) for run in runs)


def _count(run: Run, status: Status) -> int:
    """Results with a status that are not declared as known."""
    return sum(result.status is status and not result.known for result in run.results)


def _passed(run: Run, tier: Tier, cases: Mapping[str, Case]) -> str:
    results = [result for result in run.results if cases[result.case].tier is tier]
    return f"{sum(result.status is Status.PASS for result in results)}/{len(results)}" if results else ""


def remarks(run: Run, cases: Mapping[str, Case]) -> Iterator[str]:
    """Yields a line for each result that fails, each side of a contested case, and each wrong entry."""
    for result in run.results:
        if fails(result):
            yield f"{run.backend}: {result.status.value}: {result.case}: {result.text}"
    for result in run.results:
        if result.status is Status.PASS and cases[result.case].tier is Tier.CONTESTED:
            yield f"{run.backend}: contested: {result.case}: {result.side or result.text}"
    yield from (f"{run.backend}: unsupported: {line}" for line in _unsupported(run.results))
    yield from (f"{run.backend}: known deviations: {line}" for line in run.wrong_entries)
    if not any(result.status is Status.PASS for result in run.results):
        yield f"{run.backend}: fails because it passes no case"


def _unsupported(results: Sequence[Result]) -> Iterator[str]:
    """One line for each reason, with the cases that it is given for."""
    reasons: dict[str, list[str]] = {}
    for result in results:
        if result.status is Status.UNSUPPORTED and not result.known:
            reasons.setdefault(result.text, []).append(result.case)
    for text, ids in reasons.items():
        more = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        yield f"{ids[0]}{more}: {text}"
