"""The judge: what a backend gave for a case, against what the case accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array, differences

from .case import Case, Outcome, Tier
from .result import Result, Status

__all__ = ["judge_error", "judge_outputs", "unit"]


@dataclass(frozen=True, slots=True)
class _Distance:
    """How far outputs are from an outcome: a text where they are too far, and the largest difference in ULP."""

    text: str
    ulps: float | None


def judge_outputs(case: Case, got: Mapping[str, Array]) -> Result:
    """Returns the result of outputs.

    Args:
        case: the case.
        got: one array per graph output, by name.
    """
    sides = [outcome for outcome in case.outcomes if outcome.outputs is not None]
    distances = [_distance(case, outcome, got) for outcome in sides]
    for outcome, distance in zip(sides, distances, strict=True):
        if not distance.text:
            return Result(case.id, Status.PASS, "", _side(case, outcome), distance.ulps)
    if not distances:
        given = ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in got.items())
        return Result(case.id, Status.FAIL, f"the case must end in an error, got {given or 'no output'}", got=got)
    nearest = min(distances, key=lambda distance: np.inf if distance.ulps is None else distance.ulps)
    return _none_of(case, Result(case.id, Status.FAIL, nearest.text, "", nearest.ulps, got=got))


def judge_error(case: Case, text: str) -> Result:
    """Returns the result of an error.

    Args:
        case: the case.
        text: what the backend says, one line.
    """
    refusals = [outcome for outcome in case.outcomes if outcome.outputs is None]
    for outcome in refusals:
        if not outcome.mentions or any(word.lower() in text.lower() for word in outcome.mentions):
            return Result(case.id, Status.PASS, text, _side(case, outcome))
    if refusals:
        words = " or ".join(sorted({word for outcome in refusals for word in outcome.mentions}))
        return _none_of(case, Result(case.id, Status.FAIL, f"the error must mention {words}, got {text!r}"))
    return _none_of(case, Result(case.id, Status.FAIL, text))


def _side(case: Case, outcome: Outcome) -> str:
    return outcome.name if len(case.outcomes) > 1 else ""


def _none_of(case: Case, result: Result) -> Result:
    """The same result, but no failure of a contested case, which names no right side."""
    if case.tier is not Tier.CONTESTED:
        return result
    names = ", ".join(outcome.name for outcome in case.outcomes)
    return replace(result, status=Status.PASS, text=f"none of the sides ({names}): {result.text}")


def _distance(case: Case, outcome: Outcome, got: Mapping[str, Array]) -> _Distance:
    assert outcome.outputs is not None
    if set(got) != set(outcome.outputs):
        return _Distance(f"outputs must be {', '.join(outcome.outputs)}, got {', '.join(got) or 'none'}", None)
    ulps = 0.0
    for name, want in outcome.outputs.items():
        have = got[name]
        if have.dtype != want.dtype or have.shape != want.shape:
            return _Distance(f"{name} {_unlike(have, want)}", None)
        apart = differences(have, want) / unit(want.dtype, case.scale)
        largest = float(np.max(apart, initial=0.0))
        if largest > case.tolerance.ulps:
            return _Distance(
                _wrong(name, have, want, apart, case.tolerance.ulps), largest if largest < np.inf else None
            )
        ulps = max(ulps, largest)
    return _Distance("", ulps)


def _unlike(have: Array, want: Array) -> str:
    if have.shape == want.shape:
        return f"must be of type {want.dtype}, got {have.dtype}"
    if have.dtype == want.dtype:
        return f"must have the shape {want.shape}, got {have.shape}"
    return f"must be {want.dtype} {want.shape}, got {have.dtype} {have.shape}"


def _wrong(name: str, have: Array, want: Array, apart: Array, ulps: float) -> str:
    at = tuple(int(i) for i in np.unravel_index(np.argmax(apart), apart.shape))
    count = int(np.count_nonzero(apart > ulps))
    return (
        f"{name} must be {float(want[at]):.9g} within {ulps:.3g} ULP of the largest feature, got {float(have[at]):.9g}"
        f" at {at} ({count} of {apart.size} values wrong)"
    )


def unit(dtype: np.dtype[Any], scale: float) -> float:
    """Returns the unit in the last place of a number: the distance to the next one of its type; 1 for integers.

    Args:
        dtype: NumPy's type, ml_dtypes' bfloat16 too.
        scale: the number.
    """
    if dtype.kind in "biu":
        return 1.0
    value = dtype.type(scale)
    with np.errstate(over="ignore"):
        step = float(np.spacing(value))
    # No finite number follows the largest one.
    return step if np.isfinite(step) else float(value - np.nextafter(value, dtype.type(0)))
