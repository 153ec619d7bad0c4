"""The verdict on a run: which results fail it, and whether it passes as a whole."""

from __future__ import annotations

from collections.abc import Mapping

from .case import Case, Tier
from .result import Result, Run, Status

__all__ = ["fails", "passes"]


def fails(result: Result) -> bool:
    """Whether a result fails its run: it is no pass, not declared as known, and not merely unsupported.

    In the run of a backend with a file of known deviations, `Run.wrong_entries` has what is unsupported and not
    declared.
    """
    return result.status not in (Status.PASS, Status.UNSUPPORTED) and not result.known


def passes(run: Run, cases: Mapping[str, Case]) -> bool:
    """Whether no result fails the run, no entry of known deviations is wrong, and a case passed that could fail.

    Args:
        run: the run.
        cases: the suite's, by id.
    """
    passed = (result for result in run.results if result.status is Status.PASS)
    return (
        not run.wrong_entries
        and not any(map(fails, run.results))
        and any(cases[result.case].tier is not Tier.CONTESTED for result in passed)
    )
