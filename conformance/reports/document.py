"""The document of one or more runs, as JSON types: what every report and every comparison is made from.

Its JSON Schema is `document.schema.json`. Later versions add keys, but do not rename or remove any.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from onnx_roialign import __version__
from onnx_roialign.arrays import differences
from onnx_roialign.conformance.case import Case, Tier
from onnx_roialign.conformance.kills import takes_mutants_long
from onnx_roialign.conformance.reports.causes import causes
from onnx_roialign.conformance.result import Result, Run, Status
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.files import read_file

__all__ = [
    "CaseEntry",
    "Difference",
    "Document",
    "ResultEntry",
    "RunEntry",
    "document",
    "joined",
    "name_of",
    "read",
    "write",
]

FORMAT = "onnx_roialign conformance 1"
_MOST_DIFFERENCES = 8  # per result, the largest; a page with all of 1,000 wrong values says no more


class Difference(TypedDict):
    """One wrong value; numbers that JSON lacks are the strings "nan", "inf" and "-inf"."""

    output: str
    at: list[int]
    expected: float | str
    got: float | str


class CaseEntry(TypedDict):
    """What a report says of a case."""

    id: str
    clause: str
    tier: str
    source: str
    opset: int
    dtype: str
    tolerance_ulps: float
    tolerance_reason: str
    outcomes: list[str]
    requires: list[str]
    size: int


class ResultEntry(TypedDict):
    """One case on one backend; the keys of `Result`, the largest differences, and what was computed instead."""

    case: str
    status: str
    text: str
    side: str
    ulps: float | None
    known: str
    instead: str
    differences: list[Difference]


class RunEntry(TypedDict):
    """One backend."""

    backend: str
    version: str
    environment: dict[str, str]
    options: list[str]
    summary: dict[str, dict[str, int]]
    wrong_entries: list[str]
    results: list[ResultEntry]


class Document(TypedDict):
    """The cases and the runs."""

    format: str
    suite: str
    cases: list[CaseEntry]
    runs: list[RunEntry]


def name_of(run: RunEntry) -> str:
    """Returns a run's backend with its version."""
    return f"{run['backend']} {run['version']}".strip()


def document(cases: Sequence[Case], runs: Iterable[Run]) -> Document:
    """Returns the document of runs on these cases."""
    by_id = {case.id: case for case in cases}
    entries = [_case(case) for case in cases]
    return Document(format=FORMAT, suite=__version__, cases=entries, runs=[_run(by_id, run) for run in runs])


def _case(case: Case) -> CaseEntry:
    return CaseEntry(
        id=case.id,
        clause=case.clause,
        tier=case.tier.value,
        source=case.source,
        opset=case.opset,
        dtype=case.dtype,
        tolerance_ulps=case.tolerance.ulps,
        tolerance_reason=case.tolerance.reason,
        outcomes=[outcome.name for outcome in case.outcomes if outcome.name],
        requires=list(case.requires),
        size=sum(array.size for array in case.inputs.values()),
    )


def _run(cases: dict[str, Case], run: Run) -> RunEntry:
    counts = {tier.value: Counter[str]() for tier in Tier}
    for result in run.results:
        counts[cases[result.case].tier.value][result.status.value] += 1
    wrong = [result for result in run.results if _is_wrong(result)]
    passed = [cases[result.case] for result in run.results if result.status is Status.PASS]
    explained = causes([[(cases[result.case], result.got or {})] for result in wrong], list(filter(_is_quick, passed)))
    instead = dict(zip((result.case for result in wrong), explained, strict=True))
    return RunEntry(
        backend=run.backend,
        version=run.version,
        environment=dict(run.environment),
        options=list(run.options),
        summary={tier: dict(counter) for tier, counter in counts.items()},
        wrong_entries=list(run.wrong_entries),
        results=[_result(cases[result.case], result, instead.get(result.case, "")) for result in run.results],
    )


def _is_quick(case: Case) -> bool:
    """Whether the case is one for `causes`: of one right result, and of few RoIs."""
    return case.tier in (Tier.SPEC, Tier.SETTLED) and not takes_mutants_long(case)


def _result(case: Case, result: Result, instead: str) -> ResultEntry:
    return ResultEntry(
        case=result.case,
        status=result.status.value,
        text=result.text,
        side=result.side,
        ulps=None if result.ulps is None or not math.isfinite(result.ulps) else result.ulps,
        known=result.known,
        instead=instead,
        differences=_differences(case, result) if _is_wrong(result) else [],
    )


def _is_wrong(result: Result) -> bool:
    return result.status is Status.FAIL and result.got is not None


def _differences(case: Case, result: Result) -> list[Difference]:
    expected = next((outcome.outputs for outcome in case.outcomes if outcome.outputs is not None), None) or {}
    found: list[tuple[float, Difference]] = []
    for name, want in expected.items():
        have = (result.got or {}).get(name)
        if have is None or have.shape != want.shape or have.dtype.kind not in "fV" or want.dtype.kind not in "fV":
            continue
        apart = differences(have, want).ravel()
        for flat in np.argsort(-apart, kind="stable")[:_MOST_DIFFERENCES]:
            if apart[flat] > 0:
                at = [int(i) for i in np.unravel_index(flat, want.shape)]
                pair = (_number(want[tuple(at)]), _number(have[tuple(at)]))
                found.append((float(apart[flat]), Difference(output=name, at=at, expected=pair[0], got=pair[1])))
    found.sort(key=lambda entry: -entry[0])
    return [difference for _, difference in found[:_MOST_DIFFERENCES]]


def _number(value: Any) -> float | str:
    number = float(value)
    return number if math.isfinite(number) else str(number)


def joined(documents: Sequence[Document]) -> Document:
    """Returns one document with the runs of all; of a case that several have, the first one's entry.

    Raises:
        RoiAlignError: two runs have the same backend and version, so that a table could not tell them apart.
    """
    cases = {case["id"]: case for document in reversed(documents) for case in document["cases"]}
    order = dict.fromkeys(case["id"] for document in documents for case in document["cases"])
    runs = [run for document in documents for run in document["runs"]]
    names = [(run["backend"], run["version"]) for run in runs]
    for name, version in names:
        if names.count((name, version)) > 1:
            raise RoiAlignError("runs", "conflict", f"must differ in backend or version, got {name} {version} twice")
    suite = documents[0]["suite"] if documents else __version__
    return Document(format=FORMAT, suite=suite, cases=[cases[id_] for id_ in order], runs=runs)


def write(document: Document, path: Path) -> None:
    """Writes the document as JSON; NaN and infinities cannot occur in it."""
    path.write_text(json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def read(path: Path) -> Document:
    """Reads a document.

    Raises:
        RoiAlignError: the file cannot be read, or is another one.
    """
    try:
        given: Any = json.loads(read_file(path))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise RoiAlignError(
            str(path), "form", f"must be a report that conform --json wrote, got {shown(reason)}"
        ) from error
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        found = given.get("format") if isinstance(given, dict) else type(given).__name__
        raise RoiAlignError(
            str(path), "form", f"must be a report that conform --json wrote ({FORMAT!r}), got {shown(found)}"
        )
    try:
        return _completed(given)
    except (AttributeError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RoiAlignError(
            str(path),
            "form",
            f"must be a report that conform --json wrote, got a part of one ({shown(reason)})",
        ) from error


def _completed(given: Any) -> Document:
    """The document with the keys that older versions of this package did not write."""
    known = set()
    for case in given["cases"]:
        case.setdefault("requires", [])
        case.setdefault("size", 0)
        known.add(case["id"])
    for run in given["runs"]:
        run.setdefault("options", ["--backend", run["backend"]])
        if lost := {result["case"] for result in run["results"]} - known:
            raise KeyError(min(lost))
    made: Document = given
    return made
