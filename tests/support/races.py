"""Small races for the tests of bench: contestants without a runtime, and given times instead of measured ones."""

from __future__ import annotations

from onnx_roialign.bench import race as bench
from onnx_roialign.bench.peers import Contestant, Prepared
from onnx_roialign.bench.workloads import random_workload
from onnx_roialign.definition import reference
from onnx_roialign.engines import native

ISA = native.available_isas()[0]


BYTES_PER_SECOND = 2e10


def small(**changes):
    return random_workload("small", **{"shape": (2, 3, 9, 12), "num_rois": 5, "size": (2, 3), "seed": 4, **changes})


def fake_contestant(name="fake", *, isa=None, answer=reference.roi_align, ran=None, own_threads=False):
    """A contestant that returns `answer(X, rois, batch_indices, attributes)`, and appends (name, threads) to `ran`."""

    def prepare(workload, threads):
        outputs = []

        def run():
            if ran is not None:
                ran.append((name, threads))
            outputs[:] = [answer(call.X, call.rois, call.batch_indices, call.attributes) for call in workload.calls]

        return Prepared(run, lambda: outputs)

    return Contestant(name, isa, "corners", prepare, own_threads)


def fake_times(monkeypatch, *medians):
    """Gives every contestant the milliseconds at its place, instead of timing it."""

    def times_in_turns(runs, *, repeat, **_):
        return {(i, n): bench.Times(medians[i], medians[i], medians[i], repeat) for i, n in runs}

    monkeypatch.setattr(bench, "times_in_turns", times_in_turns)


def race(workload, contestants, **arguments):
    return bench.race(
        workload, contestants, **{"threads": 1, "repeat": 2, "bandwidth": lambda _: BYTES_PER_SECOND, **arguments}
    )
