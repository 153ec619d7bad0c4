"""Tests a race: it checks before it times, takes turns, and reports what did not run. No test reads a time."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from races import ISA, fake_contestant, fake_times, race, small
from required_peers import REQUIRED

from onnx_roialign.bench import peers, scratch
from onnx_roialign.bench import race as bench
from onnx_roialign.bench.workloads import DTYPES, WORKLOADS, converted
from onnx_roialign.definition import reference
from onnx_roialign.engines import native


def test_every_round_runs_each_contestant_once_in_random_order():
    ran, rounds = [], []
    runs = {i: lambda i=i: (time.sleep(0.0012), ran.append(i)) for i in range(4)}
    times = bench.times_in_turns(runs, repeat=6, after_round=lambda: rounds.append(len(ran)))
    first = rounds[0] - 4
    turns = [tuple(ran[begin : begin + 4]) for begin in range(first, len(ran), 4)]
    assert len(rounds) == len(turns) == 6
    assert all(sorted(turn) == [0, 1, 2, 3] for turn in turns)
    assert len(set(turns)) > 1
    assert all(entry.samples == 6 and entry.q1 <= entry.median <= entry.q3 for entry in times.values())


def test_settling_waits_for_threads_that_still_run(monkeypatch):
    clock = itertools.accumulate([0.0, 2e-3, 0.0, 2e-3, 0.0, 1e-5, 0.0])  # busy, busy, asleep
    naps = []
    monkeypatch.setattr(bench.time, "process_time", lambda: next(clock))
    monkeypatch.setattr(bench.time, "sleep", naps.append)
    bench.settle()
    assert len(naps) == 3


def test_a_race_stops_when_its_time_is_over_but_not_before_3_samples():
    times = bench.times_in_turns({0: lambda: time.sleep(0.0012)}, repeat=1000, seconds=0.0)
    assert times[0].samples == 3


def test_a_wrong_engine_is_reported_and_not_timed():
    def answer(*arguments):
        wrong = reference.roi_align(*arguments)
        wrong[-1, -1, -1, -1] += 0.01
        return wrong

    ran = []
    finished = race(
        small(sampling_ratio=2), [fake_contestant("wrong", answer=answer, ran=ran), fake_contestant("right")]
    )
    wrong, right = finished.results
    assert ran == [("wrong", 1)]
    assert wrong.times is None
    assert wrong.refusal.startswith("wrong: off by")
    assert wrong.difference > 1e-4
    assert (right.refusal, right.difference, right.times.samples) == (None, 0.0, 2)


def test_an_engine_that_leaves_its_output_unwritten_is_wrong():
    unwritten = race(small(sampling_ratio=1), [fake_contestant(answer=lambda X, *_: np.full((5, 3, 2, 3), np.nan))])
    assert "wrong: off by inf" in unwritten.results[0].refusal


def test_an_engine_that_raises_is_reported_and_the_others_run():
    def answer(*_):
        raise RuntimeError("no such\nkernel")

    failed, right = race(small(sampling_ratio=1), [fake_contestant(answer=answer), fake_contestant()]).results
    assert (failed.refusal, failed.times) == ("does not run: no such kernel", None)
    assert right.times is not None


def test_the_ratio_is_that_of_the_medians_and_none_without_both_times(monkeypatch):
    fake_times(monkeypatch, 2.0, 5.0)
    finished = race(small(sampling_ratio=1), [fake_contestant("ours", isa=ISA), fake_contestant("onnxruntime")])
    assert finished.faster(finished.results[0], "onnxruntime") == 2.5
    assert finished.faster(finished.results[0], "paddle") is None


def test_more_threads_are_timed_in_turns_with_one_if_an_engine_can_have_both():
    ran = []
    contestants = [fake_contestant(name, ran=ran, own_threads=name == "own") for name in ("own", "global")]
    own, other = race(small(sampling_ratio=1), contestants, threads=3, repeat=4).results
    assert set(ran) == {("own", 3), ("own", 1), ("global", 3)}
    assert own.times.samples == own.alone.samples == 4
    assert own.speed_up == own.alone.median / own.times.median
    assert (other.times.samples, other.alone, other.speed_up) == (4, None, None)


def test_on_one_thread_nothing_is_timed_twice():
    (result,) = race(small(sampling_ratio=1), [fake_contestant(own_threads=True)]).results
    assert (result.alone, result.speed_up) == (None, None)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_our_kernel_and_onnxruntime_are_right_on_every_type(dtype, mode):
    contestants, _ = peers.find_contestants(("onnxruntime",), native.available_isas(), mode)
    finished = race(converted(small(sampling_ratio=2), dtype, mode), contestants, repeat=1)
    assert [result.refusal for result in finished.results] == [None] * len(contestants)
    names = {result.contestant.name for result in finished.results}
    direct = {"direct corners", "direct samples"} if mode == "max" else set()
    assert names == {"ours", "onnxruntime", *direct}


def test_every_peer_is_right_or_missing_or_refuses_with_a_reason():
    contestants, missing = peers.find_contestants(peers.PEERS, (), "avg")
    assert {contestant.name for contestant in contestants} | set(missing) == set(peers.PEERS)
    assert {name: missing[name] for name in REQUIRED if name in missing} == {}
    for result in race(WORKLOADS["small_call"](), contestants, repeat=1).results:
        assert result.refusal is None, (result.contestant.name, result.refusal)


def test_a_session_has_the_requested_instruction_set():
    contestants, _ = peers.find_contestants((), ("mmx",), "avg")
    refusal = race(small(sampling_ratio=1), contestants).results[0].refusal
    assert refusal.startswith("does not run: ")
    assert "onnx_roialign.isa must be one of " in refusal
    assert refusal.endswith("got 'mmx'")


def test_the_scratch_memory_of_a_run_is_its_peak():
    def run():
        np.ones(64 << 20, np.uint8)

    assert 60 << 20 < scratch.peak_bytes(run) < 70 << 20
    assert 0 <= scratch.scratch_bytes("small_call", "float32", "avg", ISA, 1) < 32 << 20
