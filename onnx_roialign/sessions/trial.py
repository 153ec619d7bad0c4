"""Loads and runs a model on one engine, and measures its time."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.errors import one_line
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import silent_options

__all__ = ["Trial", "try_engine"]


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of a model on one engine.

    Attributes:
        engine: one of `by_name.SESSION_ENGINES`.
        refusal: the reason why it has no outputs, in one line; None if it has outputs.
        outputs: arrays by output name; empty if it did not run.
        milliseconds: wall time of each run after the first one.
        roi_align_milliseconds: median over the runs of the time in RoiAlign nodes, from ONNX Runtime's profiler; None
            without the profiler.
    """

    engine: str
    refusal: str | None
    outputs: Mapping[str, Array]
    milliseconds: tuple[float, ...]
    roi_align_milliseconds: float | None


def try_engine(
    model: str | Path | onnx.ModelProto,
    inputs: Mapping[str, Array],
    engine: str,
    *,
    repeat: int = 1,
    profile: bool = False,
    after_run: Callable[[], None] = lambda: None,
) -> Trial:
    """Loads `model` on `engine` and runs it once to warm up and `repeat` times to measure.

    An exception of the engine becomes the trial's refusal, so that the other engines can still be tried.

    Args:
        model: path or proto.
        inputs: arrays by input name.
        engine: one of `by_name.SESSION_ENGINES`.
        repeat: measured runs, at least 1.
        profile: also measure the RoiAlign nodes, in the same runs.
        after_run: called after each of the 1 + `repeat` runs.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = silent_options(profile=Path(folder) / "profile" if profile else None)
        try:
            running = session(model, options, engine=engine)
        except Exception as error:  # any error is the trial's result
            return Trial(engine, f"does not load: {one_line(error)}", {}, (), None)
        names = [output.name for output in running.get_outputs()]
        milliseconds = []
        try:
            for _ in range(1 + repeat):
                start = time.perf_counter()
                arrays = run_session(running, inputs, names)
                milliseconds.append(1e3 * (time.perf_counter() - start))
                after_run()
        except Exception as error:
            return Trial(engine, f"loads, but does not run: {one_line(error)}", {}, (), None)
        in_nodes = _roi_align_milliseconds(Path(running.end_profiling()), 1 + repeat) if profile else None
    outputs = dict(zip(names, arrays, strict=True))
    return Trial(engine, None, outputs, tuple(milliseconds[1:]), in_nodes)


def _roi_align_milliseconds(profile: Path, runs: int) -> float:
    """Returns the median over the runs, without the first, of the time of all RoiAlign nodes."""
    events = json.loads(profile.read_text(encoding="utf-8"))
    nodes = [event for event in events if "RoiAlign" in event.get("args", {}).get("op_name", "")]
    totals = []
    for run in [event for event in events if event.get("name") == "model_run"]:
        end = run["ts"] + run["dur"]
        totals.append(sum(node["dur"] for node in nodes if run["ts"] <= node["ts"] < end) / 1e3)
    if len(totals) != runs:
        raise RuntimeError(f"the profile must have {runs} runs, got {len(totals)}")
    return float(statistics.median(totals[1:]))
