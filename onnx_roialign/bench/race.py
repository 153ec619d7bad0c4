"""Races engines on one workload: each checked against the reference first, then timed in turns, beside the floor."""

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
from onnx_roialign.bench.peers import OURS, Engine, Prepared
from onnx_roialign.bench.workloads import Workload
from onnx_roialign.definition import reference
from onnx_roialign.errors import one_line

__all__ = ["Race", "Result", "Times", "race", "settle", "times_in_turns"]

Key = TypeVar("Key", bound=Hashable)

_SAMPLE_SECONDS = 1e-3  # a quick engine runs this long per sample: the clock and the call of it cost 0.1 us
_FEWEST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of one run of a workload: the quartiles over `samples` samples."""

    median: float
    q1: float
    q3: float
    samples: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one engine made of one workload.

    Attributes:
        engine: which.
        refusal: why it was not timed, in one line; None where it was.
        difference: from the reference, the largest, in units of max|X|; None where there is no answer.
        times: None where it was not timed.
        alone: the same engine's on 1 thread, from the same turns; None on 1 thread, or where an engine cannot have two
            numbers of threads at once.
        scratch_bytes: what a run holds at its peak beyond inputs and outputs; None where it was not measured.
    """

    engine: Engine
    refusal: str | None
    difference: float | None
    times: Times | None
    alone: Times | None = None
    scratch_bytes: int | None = None

    @property
    def speed_up(self) -> float | None:
        """How many times faster than on 1 thread: the ratio of the medians; None where either has no time."""
        return None if self.alone is None or self.times is None else self.alone.median / self.times.median


@dataclass(frozen=True, slots=True)
class Race:
    """One workload, type, mode and number of threads, run by every engine.

    Attributes:
        workload: its name.
        dtype: of X, rois and the answer.
        mode: "avg" or "max".
        threads: that each engine was told to use.
        moved_bytes: touched features once and the output once.
        copy_bandwidth: bytes per second at which the machine copied memory meanwhile, read and written ones counted.
        floor_ms: milliseconds to move moved_bytes at that speed.
        results: one per engine, in the order given.
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
        """The same with the scratch memory of our sessions: `measure` gets workload, dtype, mode, isa and threads."""
        results = (
            replace(r, scratch_bytes=measure(self.workload, self.dtype, self.mode, r.engine.isa, self.threads))
            if r.engine.name == OURS and r.engine.isa is not None and r.times is not None
            else r
            for r in self.results
        )
        return replace(self, results=tuple(results))

    def faster(self, result: Result, peer: str) -> float | None:
        """How many times faster than the peer of that name: the ratio of the medians; None where either has no time."""
        other = next((r for r in self.results if r.engine.name == peer), None)
        if other is None or other.times is None or result.times is None:
            return None
        return other.times.median / result.times.median


def race(
    workload: Workload,
    engines: Sequence[Engine],
    *,
    threads: int,
    repeat: int,
    bandwidth: Callable[[int], float],
    seconds: float = math.inf,
    after_round: Callable[[], None] = lambda: None,
) -> Race:
    """Checks each engine's answer, then times those that are right.

    Args:
        workload: of one type and mode throughout.
        engines: who runs.
        threads: for each engine.
        repeat: samples per engine, at least 1.
        bandwidth: `floor.copy_bandwidth`, for the floor: asked before and after, as machines are not always as fast.
        seconds: stop after as long, but not before 3 samples each.
        after_round: called after each engine has given one more sample.
    """
    expected = {rule: _reference(workload, rule) for rule in {engine.max_rule for engine in engines}}
    checked: list[Result] = []
    runs: dict[tuple[int, int], Callable[[], object]] = {}
    for i, engine in enumerate(engines):
        prepared, result = _check(engine, workload, threads, expected[engine.max_rule])
        checked.append(result)
        if prepared is not None:
            runs[i, threads] = prepared.run
            if threads > 1 and engine.own_threads:
                runs[i, 1] = engine.prepare(workload, 1).run
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
    answers = []
    for call in workload.calls:
        semantics = replace(call.attributes.semantics, max_rule=max_rule)
        attributes = replace(call.attributes, semantics=semantics)
        answers.append(reference.roi_align(call.X, call.rois, call.batch_indices, attributes))
    return answers


def _check(
    engine: Engine, workload: Workload, threads: int, expected: Sequence[Array]
) -> tuple[Prepared | None, Result]:
    """Runs once; ready to be timed only where the answer is right."""
    try:
        prepared = engine.prepare(workload, threads)
        prepared.run()
        answers = prepared.outputs()
    except Exception as error:  # any engine, any error: it is the engine's result
        return None, Result(engine, f"does not run: {one_line(error)}", None, None)
    differences = []
    for got, want, call in zip(answers, expected, workload.calls, strict=True):
        scale = max(float(np.max(call.X, initial=0)), -float(np.min(call.X, initial=0))) or 1.0
        differences.append(largest_difference(got, want) / scale)
    difference = max(differences)
    tolerance = OTHER_ORDER[workload.calls[0].X.dtype.name]
    if not difference <= tolerance:
        wrong = f"wrong: off by {difference:.2g} max|X| where {tolerance:.2g} is allowed"
        return None, Result(engine, wrong, difference, None)
    return prepared, Result(engine, None, difference, None)


def times_in_turns(
    runs: Mapping[Key, Callable[[], object]],
    *,
    repeat: int,
    seconds: float = math.inf,
    settled: bool = False,
    after_round: Callable[[], None] = lambda: None,
) -> dict[Key, Times]:
    """Times functions in turns, so that whatever slows the machine for a while slows all of them.

    A round takes one sample of each, in an order that is drawn anew (seeded): nobody always runs after the same one,
    with its leftovers in the caches. A sample is one run, or as many as last 1 ms.

    Args:
        runs: the functions, by any key.
        repeat: rounds.
        seconds: begin no further round after as long, once there are 3.
        settled: whether to `settle` before each sample, and then run once untimed.
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
    return {i: _times(values) for i, values in samples.items()}


def settle() -> None:
    """Waits until this process's other threads have gone to sleep, 0.5 s at most.

    ONNX Runtime's idle threads spin for about 50 ms before they do: on the cores where the next engine is to be timed.
    Linux counts the time of a running thread at its clock's ticks, 4 ms apart: a shorter look would see none of it, and
    fpn_mask_14x14_s2 on 2 threads then took 4 or 8 ms, by chance.
    """
    for _ in range(40):
        before = time.process_time()
        time.sleep(12e-3)
        if time.process_time() - before < 1e-3:
            return


def _sample(run: Callable[[], object], count: int) -> float:
    """Seconds per run."""
    begin = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - begin) / count


def _runs_per_sample(run: Callable[[], object]) -> int:
    run()
    return max(1, math.ceil(_SAMPLE_SECONDS / max(_sample(run, 1), 1e-7)))


def _times(seconds: Sequence[float]) -> Times:
    q1, median, q3 = (1e3 * float(q) for q in np.percentile(seconds, (25, 50, 75)))
    return Times(median, q1, q3, len(seconds))
