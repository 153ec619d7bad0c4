"""Measures how much of a model's time each operator takes, with our kernel and with ONNX Runtime's own."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from onnx_roialign.bench.race import settle
from onnx_roialign.errors import one_line
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import silent_options

__all__ = ["COMPARED", "Share", "measure_shares"]

# The engines of a session that are compared: with our kernel, and without it.
COMPARED = ("native", "builtin")


@dataclass(frozen=True, slots=True)
class Share:
    """The time of one run by operator, from ONNX Runtime's profiler.

    Attributes:
        engine: "native", with our kernel, or "builtin", without.
        refusal: why it has no time, in one line; None if it has one.
        run_ms: median milliseconds of a run.
        operator_ms: for each operator, the median milliseconds of all its nodes in one run. The time of a Loop or an If
            includes the nodes inside, which also count under their own names.
        operator_nodes: for each operator, how many of its nodes ran in one run.
    """

    engine: str
    refusal: str | None
    run_ms: float
    operator_ms: Mapping[str, float]
    operator_nodes: Mapping[str, int]


def measure_shares(
    model: Path,
    feeds: Mapping[str, NDArray[Any]],
    *,
    threads: int,
    repeat: int,
    after_run: Callable[[], None] = lambda: None,
) -> tuple[Share, ...]:
    """Runs the model in turns with and without our kernel.

    Args:
        model: its file.
        feeds: array per input name.
        threads: of each session.
        repeat: runs per engine, after one that is not counted.
        after_run: called after each of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        loaded = {engine: _load(model, engine, _options(Path(folder) / engine, threads)) for engine in COMPARED}
        refusals = {engine: one for engine, one in loaded.items() if isinstance(one, str)}
        running = {engine: one for engine, one in loaded.items() if not isinstance(one, str)}
        for _ in range(1 + repeat):
            for engine in [name for name in running if name not in refusals]:
                settle()
                refusal = _run(running[engine], feeds)
                if refusal is not None:
                    refusals[engine] = refusal
                after_run()
        profiles = {engine: Path(one.end_profiling()) for engine, one in running.items()}
        return tuple(
            Share(engine, refusals[engine], 0.0, {}, {}) if engine in refusals else _share(engine, profiles[engine])
            for engine in COMPARED
        )


def _load(model: Path, engine: str, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession | str:
    try:
        return session(model, options, engine=engine)
    except Exception as error:  # an engine that fails must not hide the other's result
        return f"does not load: {one_line(error)}"


def _run(running: onnxruntime.InferenceSession, feeds: Mapping[str, NDArray[Any]]) -> str | None:
    try:
        running.run(None, dict(feeds))
    except Exception as error:
        return f"loads, but does not run: {one_line(error)}"
    return None


def _options(prefix: Path, threads: int) -> onnxruntime.SessionOptions:
    options = silent_options(profile=prefix)
    options.intra_op_num_threads = threads
    return options


def _share(engine: str, profile: Path) -> Share:
    events = json.loads(profile.read_text(encoding="utf-8"))
    # The first run warms up.
    runs = sorted((e["ts"], e["ts"] + e["dur"]) for e in events if e.get("name") == "model_run")[1:]
    nodes = [e for e in events if e.get("cat") == "Node" and str(e.get("name", "")).endswith("_kernel_time")]
    totals: dict[str, list[float]] = defaultdict(lambda: [0.0] * len(runs))
    counts: dict[str, int] = defaultdict(int)
    starts = np.array([start for start, _ in runs])
    for node in nodes:
        run = int(np.searchsorted(starts, node["ts"], side="right")) - 1
        if run >= 0 and node["ts"] < runs[run][1]:
            name = node["args"]["op_name"]
            totals[name][run] += node["dur"] / 1e3
            counts[name] += run == 0
    operators = {name: statistics.median(times) for name, times in totals.items()}
    by_time: Sequence[str] = sorted(operators, key=lambda name: -operators[name])
    return Share(
        engine=engine,
        refusal=None,
        run_ms=statistics.median(end - start for start, end in runs) / 1e3,
        operator_ms={name: operators[name] for name in by_time},
        operator_nodes={name: counts[name] for name in by_time},
    )
