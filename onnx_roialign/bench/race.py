"""Times contestants in turns on one workload, after comparing their outputs with the reference."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from onnx_roialign.arrays import OTHER_ORDER, Array, largest_difference
from onnx_roialign.bench.floor import moved_bytes
from onnx_roialign.bench.peers import OURS, Contestant, Prepared
from onnx_roialign.bench.workloads import Workload
from onnx_roialign.definition import reference
from onnx_roialign.errors import one_line
from onnx_roialign.sessions.settled import settle

__all__ = ["Race", "Result", "Times", "quartiles", "race", "times_in_turns"]

Key = TypeVar("Key", bound=Hashable)

_SAMPLE_SECONDS = 1e-3  # duration of a sample of a fast contestant: reading the clock costs 0.1 us
_FEWEST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of one run of a workload: median and quartiles of `samples` samples."""

    median: float
    q1: float
    q3: float
    samples: int


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one contestant on one workload.

    Attributes:
        contestant: the contestant.
        refusal: the reason why it was not timed, in one line; None if it was timed.
        difference: the largest difference from the reference, in units of max|X|; None if it returned nothing.
        times: None if it was not timed.
        alone: its times on 1 thread, from the same turns; None for threads = 1, or if the contestant cannot have two
            numbers of threads in one process.
        scratch_bytes: largest memory of a run beyond inputs and outputs; None if it was not measured.
    """

    contestant: Contestant
    refusal: str | None
    difference: float | None
    times: Times | None
    alone: Times | None = None
    scratch_bytes: int | None = None

    @property
    def speed_up(self) -> float | None:
        """The ratio of the median on 1 thread to the median; None without both times."""
        return None if self.alone is None or self.times is None else self.alone.median / self.times.median


@dataclass(frozen=True, slots=True)
class Race:
    """One workload, type, mode and number of threads, run by every contestant.

    Attributes:
        workload: name of the workload.
        dtype: the type of X, rois and the output.
        mode: "avg" or "max".
        threads: number of threads of each contestant.
        moved_bytes: bytes of every feature in use, read once, and of the output, written once.
        copy_bandwidth: bytes per second, read plus written, that the machine copied before and after.
        floor_ms: milliseconds to move moved_bytes at that speed.
        results: one per contestant, in the order given.
    """

    workload: str
    dtype: str
    mode: str
    threads: int
    moved_bytes: int
    copy_bandwidth: float
    floor_ms: float
    results: tuple[Result, ...]

    def with_scratch(self, measure: Callable[[str, str, str, str, int], int | None]) -> Race:
        """Returns the race with this package's scratch memory, by `measure(workload, dtype, mode, isa, threads)`."""
        results = (
            replace(r, scratch_bytes=measure(self.workload, self.dtype, self.mode, r.contestant.isa, self.threads))
            if r.contestant.name == OURS and r.contestant.isa is not None and r.times is not None
            else r
            for r in self.results
        )
        return replace(self, results=tuple(results))

    def faster(self, result: Result, peer: str) -> float | None:
        """Returns the ratio of a peer's median to the median of a result; None without both times."""
        rival = next((r for r in self.results if r.contestant.name == peer), None)
        if rival is None or rival.times is None or result.times is None:
            return None
        return rival.times.median / result.times.median


def race(
    workload: Workload,
    contestants: Sequence[Contestant],
    *,
    threads: int,
    repeat: int,
    bandwidth: Callable[[int], float],
    seconds: float = math.inf,
    after_round: Callable[[], None] = lambda: None,
) -> Race:
    """Compares each contestant's output with the reference, then times the contestants with correct outputs.

    Args:
        workload: the workload, with one type and mode.
        contestants: the contestants.
        threads: number of threads of each contestant.
        repeat: samples per contestant, at least 1.
        bandwidth: `floor.copy_bandwidth`; called before and after, because the speed of shared machines changes.
        seconds: time after which it stops once there are 3 samples of each contestant.
        after_round: called after each round of one sample per contestant.
    """
    expected = {rule: _reference(workload, rule) for rule in {contestant.max_rule for contestant in contestants}}
    checked: list[Result] = []
    runs: dict[tuple[int, int], Callable[[], object]] = {}
    for i, contestant in enumerate(contestants):
        prepared, result = _check(contestant, workload, threads, expected[contestant.max_rule])
        checked.append(result)
        if prepared is not None:
            runs[i, threads] = prepared.run
            if threads > 1 and contestant.own_threads:
                runs[i, 1] = contestant.prepare(workload, 1).run
    before = bandwidth(threads)
    times = times_in_turns(runs, repeat=repeat, seconds=seconds, settled=threads > 1, after_round=after_round)
    copied = (before + bandwidth(threads)) / 2
    moved = moved_bytes(workload)
    call = workload.calls[0]
    return Race(
        workload=workload.name,
        dtype=call.X.dtype.name,
        mode=call.attributes.mode,
        threads=threads,
        moved_bytes=moved,
        copy_bandwidth=copied,
        floor_ms=1e3 * moved / copied,
        results=tuple(
            replace(result, times=times.get((i, threads)), alone=times.get((i, 1)) if threads > 1 else None)
            for i, result in enumerate(checked)
        ),
    )


def _reference(workload: Workload, max_rule: Literal["corners", "samples"]) -> list[Array]:
    outputs = []
    for call in workload.calls:
        semantics = replace(call.attributes.semantics, max_rule=max_rule)
        attributes = replace(call.attributes, semantics=semantics)
        outputs.append(reference.roi_align(call.X, call.rois, call.batch_indices, attributes))
    return outputs


def _check(
    contestant: Contestant, workload: Workload, threads: int, expected: Sequence[Array]
) -> tuple[Prepared | None, Result]:
    """Runs the workload once; returns the prepared workload only if the output is correct."""
    try:
        prepared = contestant.prepare(workload, threads)
        prepared.run()
        outputs = prepared.outputs()
    except Exception as error:  # any error is the contestant's result
        return None, Result(contestant, f"does not run: {one_line(error)}", None, None)
    differences = []
    for got, want, call in zip(outputs, expected, workload.calls, strict=True):
        scale = max(float(np.max(call.X, initial=0)), -float(np.min(call.X, initial=0))) or 1.0
        differences.append(largest_difference(got, want) / scale)
    difference = max(differences)
    tolerance = OTHER_ORDER[workload.calls[0].X.dtype.name]
    if not difference <= tolerance:
        wrong = f"wrong: off by {difference:.2g} max|X| where {tolerance:.2g} is allowed"
        return None, Result(contestant, wrong, difference, None)
    return prepared, Result(contestant, None, difference, None)


def times_in_turns(
    runs: Mapping[Key, Callable[[], object]],
    *,
    repeat: int,
    seconds: float = math.inf,
    settled: bool = False,
    after_round: Callable[[], None] = lambda: None,
) -> dict[Key, Times]:
    """Times functions in turns, so that a temporarily slow machine slows all of them.

    A round takes one sample of each function in a random, seeded order, so that a function does not always run after
    the same other function, with its cache contents. A sample is one run, or as many runs as take 1 ms.

    Args:
        runs: the functions by key.
        repeat: number of rounds.
        seconds: time after which no further round begins, once there are 3 rounds.
        settled: whether to call `settle` before each sample and then run once without timing.
        after_round: called after each round.
    """
    counts = {i: _runs_per_sample(run) for i, run in runs.items()}
    samples: dict[Key, list[float]] = {i: [] for i in runs}
    order, rng = list(runs), random.Random(0)
    begin = time.perf_counter()
    collected = gc.isenabled()
    gc.disable()
    try:
        for finished in range(repeat):
            if finished >= _FEWEST_ROUNDS and time.perf_counter() - begin > seconds:
                break
            rng.shuffle(order)
            for i in order:
                if settled:
                    settle()
                    runs[i]()  # the pause leaves threads asleep and caches cold: 27 ms instead of 20 on c4, 2 threads
                samples[i].append(_sample(runs[i], counts[i]))
            after_round()
    finally:
        if collected:
            gc.enable()
    return {i: quartiles([1e3 * value for value in values]) for i, values in samples.items()}


def _sample(run: Callable[[], object], count: int) -> float:
    """Returns the seconds per run."""
    begin = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - begin) / count


def _runs_per_sample(run: Callable[[], object]) -> int:
    run()
    return max(1, math.ceil(_SAMPLE_SECONDS / max(_sample(run, 1), 1e-7)))


def quartiles(milliseconds: Sequence[float]) -> Times:
    """Returns median and quartiles of samples."""
    q1, median, q3 = (float(q) for q in np.percentile(milliseconds, (25, 50, 75)))
    return Times(median, q1, q3, len(milliseconds))
