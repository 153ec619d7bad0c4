"""The demo's runs: the model at every opset on every engine, before and after `fuse`, timed in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import onnx

from onnx_roialign.arrays import Array, largest_difference, largest_finite
from onnx_roialign.bench.race import Times, times_in_turns
from onnx_roialign.graph import Fused
from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import silent_options
from onnx_roialign.sessions.trial import Trial, try_engine

__all__ = ["BASELINE", "WAYS", "Run", "difference", "run_all", "times_faster"]

# How a model is run: the name, the engine, and whether after `fuse`.
WAYS = (
    ("builtin", "builtin", False),
    ("native", "native", False),
    ("optimized", "native", True),
    ("reference", "reference", False),
)
BASELINE = "builtin"
_UNTIMED = ("reference",)  # NumPy code, which is there to be right
_PROFILED, _TIMED = 3, 7  # runs of each


@dataclass(frozen=True, slots=True)
class Run:
    """One model, run in one way.

    Attributes:
        opset: of the model.
        way: a name of WAYS.
        nodes: of the model, with those inside its Loops and Ifs.
        trial: whether it loads, what it returns, and how long its RoiAligns take.
        times: of a whole run, without the profiler, in turns with all the others; None where it was not timed.
        faster: how many times faster than the baseline at the same opset, or, where that does not load, at another
            one; None where either was not timed.
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
        models: by opset.
        fused: of each of them.
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
    baselines = {opset: one for (opset, way), one in times.items() if way == BASELINE}
    baseline = baselines.get(run.opset, next(iter(baselines.values()), None))
    if baseline is None or run.times is None:
        return run
    return replace(run, faster=baseline.median / run.times.median)


def _node_count(model: onnx.ModelProto) -> int:
    return sum(len(scope.nodes) for scope in scopes(model))


def times_faster(ratio: float | None) -> str:
    """With two decimals where the ratio is small."""
    return "-" if ratio is None else f"{ratio:.2f}x" if ratio < 1.95 else f"{ratio:.1f}x"


def difference(got: Array, want: Array) -> float:
    """The largest difference, in units of the largest value that is wanted."""
    return largest_difference(got, want) / (largest_finite(want) or 1.0)
