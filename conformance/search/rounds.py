"""Runs one round of a search: random cases from one seed, and the smallest case of each kind of failure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase

from onnx_roialign.conformance.case import Case, Outcome, attributes_of
from onnx_roialign.conformance.comparing import judge_outputs
from onnx_roialign.conformance.process import Launch, Limits, Worker
from onnx_roialign.conformance.result import Result, Status, without_numbers
from onnx_roialign.conformance.runner import run_case
from onnx_roialign.conformance.search.drawing import cases

__all__ = ["Failure", "search_round"]

_MOST_OTHERS = 2
_SEEDS = 2**32


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """A case that a backend fails.

    Attributes:
        case: the smallest case of its kind.
        result: the backend's result.
        kind: the common properties of failures that are shrunk together.
        others: larger failures of the kind, as they were drawn; they distinguish causes that explain the smallest one.
    """

    case: Case
    result: Result
    kind: str
    others: tuple[tuple[Case, Result], ...] = ()

    @property
    def size(self) -> tuple[Any, ...]:
        """The complexity of the case, for comparison: number of values, number of attributes, length of numbers."""
        arrays = list(self.case.inputs.values())
        rois = np.ravel(self.case.inputs["rois"]).astype(np.float64)
        digits = sum(len(f"{abs(value):.9g}") for value in rois if np.isfinite(value))
        model = self.case.model.SerializeToString(deterministic=True)
        return sum(array.size for array in arrays), len(self.case.model.graph.node[0].attribute), digits, model


def search_round(
    launch: Launch, limits: Limits, against: Launch | None, examples: int, first_seed: int, number: int
) -> list[Failure]:
    """Returns the smallest failure of each kind among the cases of a round, which depend only on the arguments.

    Args:
        launch: how the backend is started.
        limits: limits of each case.
        against: a backend to compare with; None: compare with the exact results.
        examples: number of cases, without shrinking.
        first_seed: seed of the search.
        number: number of the round.
    """
    smallest: dict[str, Failure] = {}
    kinds: dict[str, type[Exception]] = {}

    def keep(failure: Failure) -> None:
        known = smallest.get(failure.kind)
        others = () if known is None else known.others
        if len(others) < _MOST_OTHERS:
            others = (*others, (failure.case, failure.result))
        best = failure if known is None or failure.size < known.size else known
        smallest[failure.kind] = replace(best, others=others)
        # hypothesis shrinks exceptions of different types separately.
        raise kinds.setdefault(failure.kind, type("Found", (Exception,), {}))

    with Worker(launch, limits) as worker:
        if against is None:
            _explore(lambda case: run_case(case, worker), examples, _seed(first_seed, number), keep)
        else:
            with Worker(against, limits) as other:
                _explore(lambda case: _compared(case, worker, other), examples, _seed(first_seed, number), keep)
    return [smallest[kind] for kind in sorted(smallest)]


def _seed(first: int, number: int) -> int:
    return (first * 1_000_003 + number) % _SEEDS


def _explore(judge: Callable[[Case], Result], examples: int, seed: int, keep: Callable[[Failure], None]) -> None:
    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=True,
        print_blob=False,
    )
    @hypothesis.given(cases())
    def examine(case: Case | None) -> None:
        if case is None:
            return
        result = judge(case)
        if result.status not in (Status.PASS, Status.UNSUPPORTED):
            keep(Failure(case, result, _kind(case, result)))

    try:
        examine()
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)) or not _is_found(error):
            raise


def _is_found(error: BaseException) -> bool:
    inner = getattr(error, "exceptions", None)
    return all(map(_is_found, inner)) if inner else type(error).__name__ == "Found"


def _compared(case: Case, worker: Worker, other: Worker) -> Result:
    """Returns the first worker's result: a pass if both agree, else a failure with the results of both."""
    second = run_case(case, other)
    first = run_case(case, worker)
    if first.got is not None and second.got is not None:  # both are wrong
        alike = judge_outputs(replace(case, outcomes=(Outcome(second.got),)), first.got).status is Status.PASS
    else:
        alike = first.status is second.status
    if alike:
        return replace(first, status=Status.PASS)
    return replace(first, status=Status.FAIL, text=f"{_result_text(first)}; the other: {_result_text(second)}")


def _result_text(result: Result) -> str:
    return f"{result.status.value} {result.text}".strip()


def _kind(case: Case, result: Result) -> str:
    """Returns the kind of a failure: only failures of one kind are shrunk together, since other causes are likely."""
    given = attributes_of(case.model.graph.node[0])
    adaptive = given.get("sampling_ratio", 0) == 0
    text = without_numbers(result.text)[:80] if result.got is None else ""
    return json.dumps([case.id, result.status.value, text, given.get("mode", "avg"), adaptive, _rules(case, given)])


def _rules(case: Case, given: Mapping[str, Any]) -> str:
    """Returns the coordinate mode, or the opset whose default it is: a runtime may get only one of them wrong."""
    mode = given.get("coordinate_transformation_mode")
    return f"default at {case.opset}" if mode is None else str(mode)
