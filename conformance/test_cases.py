"""Runs each case as a test: pytest --pyargs onnx_roialign.conformance --roialign-backend module:Class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from onnx_roialign.conformance.backends import find_backend, find_worker
from onnx_roialign.conformance.case import Case, Tier
from onnx_roialign.conformance.cases import all_cases
from onnx_roialign.conformance.known import Deviation, applied, read_known
from onnx_roialign.conformance.process import Identity, Launch, Limits, Worker
from onnx_roialign.conformance.result import Status
from onnx_roialign.conformance.runner import run_case, scored


@dataclass(frozen=True, slots=True)
class _Tried:
    """The backend under test, in a worker that has started."""

    worker: Worker
    identity: Identity
    known: Sequence[Deviation] | None


def pytest_generate_tests(metafunc: Any) -> None:
    """Creates one test per case, with the case's id."""
    if "case" in metafunc.fixturenames:
        cases = all_cases()
        metafunc.parametrize("case", cases, ids=[case.id for case in cases])


@pytest.fixture(scope="module")
def tried(request: pytest.FixtureRequest) -> Iterator[_Tried]:
    """Starts the backend of the options; it is an error if there is none."""
    option: Callable[[str], Any] = request.config.getoption
    launch = _launch(option)
    known = None if launch.known is None else read_known(launch.known)
    with Worker(launch, Limits(option("--roialign-timeout"), option("--roialign-memory"))) as worker:
        identity = worker.start()
        _, lines = applied([], known or (), identity.version, [case.id for case in all_cases()])
        if lines:  # entries that name no case
            pytest.fail("\n".join(lines), pytrace=False)
        yield _Tried(worker, identity, known)


def _launch(option: Callable[[str], Any]) -> Launch:
    backend, worker, python, known = (option(f"--roialign-{name}") for name in ("backend", "worker", "python", "known"))
    if (backend is None) == (worker is None):
        raise pytest.UsageError("one of --roialign-backend and --roialign-worker must be given")
    declared = None if known is None else Path(known)
    launches = (find_worker(worker, declared),) if worker is not None else find_backend(backend, python, declared)
    return launches[0]  # the backend native has one launch per instruction set, the widest first


def test_case(case: Case, tried: _Tried, record_property: Callable[[str, object], None]) -> None:
    """Passes if the backend passes the case or the case is contested; a known deviation is an expected failure."""
    run = scored(tried.identity, [run_case(case, tried.worker)], tried.known)
    (result,) = run.results
    record_property("clause", case.clause)
    if case.tier is Tier.CONTESTED:
        record_property("side", result.side or result.text)
    if result.known:
        pytest.xfail(f"{result.status.value}, known: {result.known}")
    if run.wrong_entries:
        pytest.fail("\n".join(run.wrong_entries), pytrace=False)
    if result.status is Status.UNSUPPORTED:
        pytest.skip(f"unsupported: {result.text}")
    if result.status is not Status.PASS:
        pytest.fail(f"{result.status.value}: {result.text}\n{case.clause}\n(source: {case.source})", pytrace=False)
