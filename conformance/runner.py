"""The runner: runs every case on every backend and compares the outputs with the published ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnx_roialign.arrays import close
from onnx_roialign.errors import one_line

from .backends import Backend, Unsupported
from .cases import Case
from .known_failures import KnownFailure

__all__ = ["Result", "Status", "compare", "run"]


class Status(Enum):
    """The result of a case on a backend. Only PASS is a pass."""

    PASS = "pass"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"
    UNEXPECTED_PASS = "unexpected pass"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one case on one backend.

    Attributes:
        case: the case.
        backend: the backend.
        status: whether it passed.
        known: whether a failure is declared in `known_failures`.
        detail: one line: the wrong value, the error, or the reason of a known failure; empty for a pass.
    """

    case: Case
    backend: Backend
    status: Status
    known: bool
    detail: str


def run(
    cases: Sequence[Case],
    backends: Sequence[Backend],
    known_failures: Sequence[KnownFailure] = (),
    after_each: Callable[[], None] = lambda: None,
) -> tuple[Result, ...]:
    """Returns a result for each case and backend, ordered by case.

    Raises:
        ValueError: two cases or two backends share a name.
    """
    for what, names in (("case", [c.id for c in cases]), ("backend", [b.name for b in backends])):
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"{what} names must be unique, got {doubled} more than once")
    reasons = {(known.backend, known.case): known.reason for known in known_failures}
    results = []
    for case in cases:
        for backend in backends:
            results.append(_run_case(case, backend, reasons.get((backend.name, case.id))))
            after_each()
    return tuple(results)


def _run_case(case: Case, backend: Backend, reason: str | None) -> Result:
    try:
        wrong = compare(backend.outputs(case), case)
    except Unsupported as error:
        return Result(case, backend, Status.UNSUPPORTED, reason is not None, reason or str(error))
    except Exception as error:  # any exception of a backend is a failure of the case, not of the suite
        wrong = f"{type(error).__name__}: {one_line(error)}"
    if wrong is not None:
        return Result(case, backend, Status.FAIL, reason is not None, reason or wrong)
    if reason is not None:
        return Result(case, backend, Status.UNEXPECTED_PASS, True, f"no longer true: {reason}")
    return Result(case, backend, Status.PASS, False, "")


def compare(got: Mapping[str, NDArray[Any]], case: Case) -> str | None:
    """Returns None if `got` is right, else one line: the output, the expected value, the value and its position."""
    if set(got) != set(case.expected):
        return f"outputs must be {sorted(case.expected)}, got {sorted(got)}"
    for name, want in case.expected.items():
        have = got[name]
        if have.dtype != want.dtype or have.shape != want.shape:
            return f"{name} must be {want.dtype} {want.shape}, got {have.dtype} {have.shape}"
        a, b = have.astype(np.float64), want.astype(np.float64)
        right = close(a, b, case.tolerance)
        if not right.all():
            at = np.unravel_index(np.argmin(right), right.shape)
            place = tuple(int(i) for i in at)
            count = int(np.count_nonzero(~right))
            return (
                f"{name} must be {b[at]:.9g} within {case.tolerance:.2g}, got {a[at]:.9g} at {place}"
                f" ({count} of {right.size} values wrong)"
            )
    return None
