"""A search as a whole: rounds in this process, beside each other or on a cluster, and their failures by cause."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import active_children, get_context
from typing import Any

from onnx_roialign.arrays import Array
from onnx_roialign.conformance.case import Case
from onnx_roialign.conformance.process import Launch, Limits
from onnx_roialign.conformance.reports.causes import Wrong, causes
from onnx_roialign.conformance.result import Result, without_numbers
from onnx_roialign.conformance.search.rounds import Failure, search_round
from onnx_roialign.extras import imported_for

__all__ = ["Finding", "Search", "findings", "run_search"]

# Seconds of one worker that a round counts as, so that --seconds means the same cases on every machine and any number
# of workers: a round takes 4 s where nothing fails, and 10 to 15 s where failures are shrunk.
_ROUND_SECONDS = 12.0
_PATIENCE = 3  # no round starts after so many times the seconds: a backend may be much slower than that


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """Failures of one cause.

    Attributes:
        case: the smallest.
        result: what the backend did with it.
        cause: which fields of Semantics explain it, or else its status and text without numbers.
        count: how many rounds found it.
    """

    case: Case
    result: Result
    cause: str
    count: int


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched.

    Attributes:
        launch: how the backend's worker is started.
        limits: of each case.
        against: the backend that it is compared with; None: the exact results.
        seed: equal seeds draw equal cases.
        seconds: the effort, in seconds of one worker.
        jobs: workers beside each other.
        examples: cases of a round, shrinking not counted.
        ray: address of a Ray cluster whose nodes run the rounds; "" starts one here; None: without Ray.
    """

    launch: Launch
    limits: Limits
    against: Launch | None = None
    seed: int = 0
    seconds: float = 60.0
    jobs: int = 1
    examples: int = 100
    ray: str | None = None

    @property
    def rounds(self) -> int:
        """The number of rounds: the same for equal seconds, however many workers there are."""
        return max(1, int(self.seconds / _ROUND_SECONDS))


def run_search(search: Search, after_each: Callable[[], None] = lambda: None) -> tuple[list[Finding], int]:
    """Returns the findings, the same for the same seed and seconds however many workers, and how many rounds were run.

    Fewer rounds than `search.rounds` were run where the time was up before.

    Raises:
        MissingPackageError: `ray` is given and Ray is not installed.
    """
    failures: list[Failure] = []
    done = 0
    run = _in_processes if search.ray is None else _on_ray
    for found in run(search, time.monotonic() + _PATIENCE * search.seconds):
        failures += found
        done += 1
        after_each()
    return findings(failures), done


def findings(failures: Iterable[Failure]) -> list[Finding]:
    """Returns the failures by cause, of each the smallest; ordered by cause."""
    found = sorted(failures, key=lambda failure: (failure.kind, failure.size))
    texts = causes([_wrong(failure) for failure in found])
    groups: dict[str, list[Failure]] = {}
    for failure, text in zip(found, texts, strict=True):
        groups.setdefault(text or _unexplained(failure), []).append(failure)
    return [_finding(number, *group) for number, group in enumerate(sorted(groups.items()), start=1)]


def _wrong(failure: Failure) -> Wrong:
    pairs = [(failure.case, failure.result), *failure.others]
    return [(case, result.got or {}) for case, result in pairs]


def _unexplained(failure: Failure) -> str:
    result = failure.result
    expected = next((outcome.outputs for outcome in failure.case.outcomes if outcome.outputs is not None), None)
    if result.got is not None and expected is None:
        return f"no error: {without_numbers(failure.case.clause)}"
    if result.got is not None and expected is not None and _forms(result.got) == _forms(expected):
        return f"{result.status.value}: wrong values that no field of Semantics and no error of the mutants explains"
    return f"{result.status.value}: {without_numbers(result.text)}"[:160]


def _forms(arrays: Mapping[str, Array]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(name, str(array.dtype), array.shape) for name, array in arrays.items()]


def _finding(number: int, cause: str, group: Sequence[Failure]) -> Finding:
    smallest = min(group, key=lambda failure: failure.size)
    name = re.sub("[^a-z0-9]+", "-", cause.lower()).strip("-")[:60]
    case = replace(smallest.case, id=f"search/{number:02}-{name}", clause=f"Found by search: {cause}.")
    return Finding(case, replace(smallest.result, case=case.id), cause, len(group))


def _in_processes(search: Search, deadline: float) -> Iterator[list[Failure]]:
    # Processes, even for one job: drawing and the exact results take as long as the backend; and hypothesis draws some
    # numbers from the constants in the modules that a process has imported, which are the same in each of these.
    others = {*active_children()}
    with ProcessPoolExecutor(search.jobs, mp_context=get_context("spawn"), initializer=_end_on_request) as pool:
        arguments = (search.launch, search.limits, search.against, search.examples, search.seed)
        with _no_interrupts():  # which the processes inherit
            pending = {pool.submit(_round, *arguments, number) for number in range(search.rounds)}
        try:
            for future in as_completed(pending):
                if not future.cancelled():
                    yield future.result()
                if time.monotonic() > deadline:
                    for other in pending:
                        other.cancel()
        except BaseException:  # an interrupt: without this, all rounds would be run to their end
            pool.shutdown(wait=False, cancel_futures=True)
            for process in {*active_children()} - others:
                process.terminate()
            raise


def _end_on_request() -> None:
    """Ends a process of the pool by an exception, so that the worker that it started is ended too.

    hypothesis takes a SystemExit for a failure of the example, and shrinks it; it lets KeyboardInterrupt through.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _round(*arguments: Any) -> list[Failure]:
    try:
        return search_round(*arguments)
    except KeyboardInterrupt:  # the pool would go on with another round
        os._exit(1)


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """Holds Ctrl-C back, where the system can do that, also from the processes that are started meanwhile."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _on_ray(search: Search, deadline: float) -> Iterator[list[Failure]]:
    with imported_for("fuzz --ray"):
        import ray
    if not ray.is_initialized():
        ray.init(address=search.ray or None, log_to_driver=False, include_dashboard=False if not search.ray else None)
    remote: Any = ray.remote(search_round)
    arguments = (search.launch, search.limits, search.against, search.examples, search.seed)
    pending = [remote.remote(*arguments, number) for number in range(search.rounds)]
    while pending:
        ready, pending = ray.wait(pending, timeout=1.0)
        yield from ray.get(ready)
        if time.monotonic() > deadline:
            for reference in pending:
                ray.cancel(reference)
            return
