"""The runner: every case on a backend, in worker processes beside each other."""

from __future__ import annotations

import platform
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from onnx_roialign.errors import one_line

from .case import Case, Tier
from .comparing import judge_error, judge_outputs
from .known import Deviation, applied, read_known
from .layout import read_outputs, write_question
from .process import Identity, Launch, Limits, LostError, Worker
from .result import Result, Run, Status

__all__ = ["identify", "run", "run_case", "scored"]

# After so many cases in a row that no worker survived, robust ones not counted, the others are not run.
_MOST_LOST = 10


def identify(launch: Launch, limits: Limits) -> Identity:
    """Returns what a backend says of itself.

    Raises:
        RoiAlignError: its worker does not start.
    """
    with Worker(launch, limits) as worker:
        return worker.start()


def run(
    cases: Sequence[Case],
    launch: Launch,
    identity: Identity,
    *,
    limits: Limits,
    jobs: int = 1,
    all_ids: Collection[str] | None = None,
    after_each: Callable[[], None] = lambda: None,
) -> Run:
    """Returns the run of the cases on a backend.

    Args:
        cases: with unique ids.
        launch: how its worker is started.
        identity: what `identify` returned.
        limits: of each case.
        jobs: number of workers beside each other.
        all_ids: ids of all cases that the file of known deviations may name; None: the cases are others.
        after_each: called after each case, from any thread.

    Raises:
        RoiAlignError: the file of known deviations is wrong.
    """
    entries = None if launch.known is None else read_known(launch.known)
    queue = _Queue(cases)
    with ThreadPoolExecutor(jobs) as pool:
        served = [pool.submit(_serve, queue, launch, limits, after_each) for _ in range(jobs)]
        try:
            for future in served:
                future.result()
        except BaseException:
            queue.close()
            raise
    made = scored(identity, [queue.results[case.id] for case in cases], entries, all_ids)
    return replace(made, options=launch.options)


def scored(
    identity: Identity,
    results: Sequence[Result],
    entries: Sequence[Deviation] | None,
    all_ids: Collection[str] | None = None,
) -> Run:
    """Returns the run of results, with its known deviations and with what it ran on.

    Args:
        identity: of the backend.
        results: in the order of the cases.
        entries: its known deviations; None: it has no file of them.
        all_ids: as those of `run`.
    """
    marked, lines = tuple(results), tuple[str, ...]()
    if entries is not None:
        marked, lines = applied(results, entries, identity.version, all_ids)
    return Run(identity.name, identity.version, marked, lines, {**_machine(), **identity.environment})


def _machine() -> Mapping[str, str]:
    return {"platform": f"{platform.system()} {platform.machine()}"}


class _Queue:
    """The cases that are to be run, and the results of those that were, for several threads."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = deque(cases)
        self._lock = threading.Lock()
        self._lost_in_a_row = 0
        self.results: dict[str, Result] = {}

    def take(self) -> Case | None:
        """Returns the next case; None where there is none."""
        with self._lock:
            if self._lost_in_a_row >= _MOST_LOST:
                text = f"not run: the worker did not survive {_MOST_LOST} cases in a row"
                self.results.update({case.id: Result(case.id, Status.CRASHED, text) for case in self._cases})
                self._cases.clear()
            return self._cases.popleft() if self._cases else None

    def put(self, case: Case, result: Result) -> None:
        """Records a result."""
        lost = result.status in (Status.CRASHED, Status.HUNG, Status.EXHAUSTED)
        with self._lock:
            self.results[case.id] = result
            if case.tier is not Tier.ROBUST:
                self._lost_in_a_row = self._lost_in_a_row + 1 if lost else 0

    def close(self) -> None:
        """Lets the threads end after their case."""
        with self._lock:
            self._cases.clear()


def _serve(queue: _Queue, launch: Launch, limits: Limits, after_each: Callable[[], None]) -> None:
    """Runs cases on one worker until there are no more."""
    with Worker(launch, limits) as worker:
        while (case := queue.take()) is not None:
            queue.put(case, run_case(case, worker))
            after_each()


def run_case(case: Case, worker: Worker) -> Result:
    """Returns the result of a case on a worker."""
    with tempfile.TemporaryDirectory(prefix="roialign-conformance-") as name:
        folder = Path(name)
        write_question(folder, case)
        try:
            reply = worker.run(folder)
        except LostError as error:
            return Result(case.id, error.status, str(error))
        if reply.status == "unsupported":
            return Result(case.id, Status.UNSUPPORTED, reply.text)
        if reply.status == "error":
            return judge_error(case, reply.text)
        try:
            got = read_outputs(folder / "test_data_set_0", [output.name for output in case.model.graph.output])
        except Exception as error:  # the worker may write anything
            text = f"output_i.pb must be TensorProtos, got {type(error).__name__}: {one_line(error)}"
            return Result(case.id, Status.FAIL, text)
        return judge_outputs(case, got)
