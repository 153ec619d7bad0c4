"""What the suite found: a status for each case on each backend, and the run that they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from onnx_roialign.arrays import Array

__all__ = ["Result", "Run", "Status", "without_numbers"]


class Status(Enum):
    """The result of a case on a backend. Only PASS is a pass."""

    PASS = "pass"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    CRASHED = "crashed"  # the process died; the text has the signal
    HUNG = "hung"  # no result within the case's time
    EXHAUSTED = "exhausted"  # more memory than the bound


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """One case on one backend.

    Attributes:
        case: id of the case.
        status: what happened.
        text: one line: the wrong value and its place, the error, the signal; empty for a plain pass.
        side: name of the outcome that the backend gave, where the case accepts several; empty: none, or only one.
        ulps: the largest difference from the nearest outcome, in units in the last place of the case's largest feature;
            None where there were no outputs to compare, or only one side is NaN.
        known: the reason, where the backend's file of known deviations declares exactly this status; else empty.
        got: what the backend returned; kept for results that are not a pass, in memory only.
    """

    case: str
    status: Status
    text: str = ""
    side: str = ""
    ulps: float | None = None
    known: str = ""
    got: Mapping[str, Array] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """All cases on one backend.

    Attributes:
        backend: its name, "onnxruntime".
        version: its version, "1.32.0"; empty where unknown.
        results: one for each case, in the order of the cases.
        wrong_entries: entries of its file of known deviations that are errors: of no case, of another status than what
            happened, or of a case that passes now; one line each.
        environment: what it ran on: Python, platform, processor.
        options: of `onnx-roialign conform` for this backend alone: with --case they repeat a result.
    """

    backend: str
    version: str
    results: tuple[Result, ...]
    wrong_entries: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()


def without_numbers(text: str) -> str:
    """Returns what the texts of one cause have in common: N for each word with a digit, but for the names of types."""
    return re.sub(r"(?<!\S)(?!b?float\d+,?(?:\s|$))\S*[0-9]\S*", "N", text)
