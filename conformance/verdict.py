"""The verdict on a run: whether each result fails the run, and whether the run passes."""

from __future__ import annotations

from collections.abc import Mapping

from .case import Case, Tier
from .result import Result, Run, Status

__all__ = ["fails", "passes"]


def fails(result: Result) -> bool:
    """Whether a result fails its run: it is not a pass, not declared as known, and not unsupported.

    For a backend with a file of known deviations, `Run.wrong_entries` lists undeclared unsupported cases.
    """
    return result.status not in (Status.PASS, Status.UNSUPPORTED) and not result.known


def passes(run: Run, cases: Mapping[str, Case]) -> bool:
    """Whether no result fails the run, no entry of known deviations is wrong, and a case that can fail passed.

    Args:
        run: the run.
        cases: the cases of the suite by id.
    """
    passed = (result for result in run.results if result.status is Status.PASS)
    return (
        not run.wrong_entries
        and not any(map(fails, run.results))
        and any(cases[result.case].tier is not Tier.CONTESTED for result in passed)
    )
