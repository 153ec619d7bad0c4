"""Runs the demo's model at every opset on every engine, before and after `fuse`, timed in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import onnx

from onnx_roialign.arrays import Array, largest_difference, largest_finite
from onnx_roialign.bench.race import Times, times_in_turns
from onnx_roialign.bench.report import ratio_text
from onnx_roialign.graph import Fused
from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import silent_options
from onnx_roialign.sessions.trial import Trial, try_engine

__all__ = ["BASELINE", "WAYS", "Run", "difference", "run_all", "times_faster"]

# The ways to run a model: the name, the engine, and whether it runs after `fuse`.
WAYS = (
    ("builtin", "builtin", False),
    ("native", "native", False),
    ("optimized", "native", True),
    ("reference", "reference", False),
)
BASELINE = "builtin"
_UNTIMED = ("reference",)  # NumPy code, which is slow
_PROFILED, _TIMED = 3, 7  # numbers of runs


@dataclass(frozen=True, slots=True)
class Run:
    """A run of one model in one way.

    Attributes:
        opset: the opset of the model.
        way: a name of WAYS.
        nodes: number of the model's nodes, including those in bodies.
        trial: the result of loading and running it, with the time of its RoiAligns.
        times: times of a whole run without the profiler, in turns with the other runs; None if it was not timed.
        faster: ratio of the baseline's median to its median, at the same opset, or at another one if the baseline does
            not load; None if one of them was not timed.
    """

    opset: int
    way: str
    nodes: int
    trial: Trial
    times: Times | None = None
    faster: float | None = None


def run_all(models: Mapping[int, onnx.ModelProto], fused: Mapping[int, Fused], feeds: Mapping[str, Array]) -> list[Run]:
    """Runs every model in every way.

    Args:
        models: the models by opset.
        fused: the results of `fuse` by opset.
        feeds: the inputs.
    """
    runs, timed = [], {}
    for opset, model in models.items():
        for way, engine, after_fuse in WAYS:
            proto = fused[opset].model if after_fuse else model
            trial = try_engine(proto, feeds, engine, repeat=_PROFILED, profile=True)
            runs.append(Run(opset, way, _node_count(proto), trial))
            if trial.refusal is None and way not in _UNTIMED:
                timed[opset, way] = _runner(proto, engine, feeds)
    times = times_in_turns(timed, repeat=_TIMED, settled=True)
    return [_compared(replace(run, times=times.get((run.opset, run.way))), times) for run in runs]


def _runner(model: onnx.ModelProto, engine: str, feeds: Mapping[str, Array]) -> Callable[[], object]:
    running = session(model, silent_options(), engine=engine)
    return lambda: run_session(running, feeds)


def _compared(run: Run, times: Mapping[tuple[int, str], Times]) -> Run:
    baselines = {opset: time for (opset, way), time in times.items() if way == BASELINE}
    baseline = baselines.get(run.opset, next(iter(baselines.values()), None))
    if baseline is None or run.times is None:
        return run
    return replace(run, faster=baseline.median / run.times.median)


def _node_count(model: onnx.ModelProto) -> int:
    return sum(len(scope.nodes) for scope in scopes(model))


def times_faster(ratio: float | None) -> str:
    """Returns the text of a ratio, "-" for None."""
    return "-" if ratio is None else ratio_text(ratio)


def difference(got: Array, want: Array) -> float:
    """Returns the largest difference, in units of the largest expected value."""
    return largest_difference(got, want) / (largest_finite(want) or 1.0)
