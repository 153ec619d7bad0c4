"""Measures the time of a detector by region: on ONNX Runtime's kernel, on this package's, and after `fuse`, in turns.

A fourth session runs the fused model without the fused parts, with their outputs as inputs; it shows the largest
possible gain.
"""

from __future__ import annotations

import pickle
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from onnx_roialign.arrays import largest_difference, largest_finite
from onnx_roialign.bench.memory import door_of, session_bytes
from onnx_roialign.bench.profiler import ProfiledRun, median_run
from onnx_roialign.bench.race import Times, times_in_turns
from onnx_roialign.bench.regions import PASTING, REGIONS, ROI_ALIGN, Regions, Versions
from onnx_roialign.errors import one_line
from onnx_roialign.onnx_model.file import to_bytes
from onnx_roialign.onnx_model.scopes import has_external_data
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.options import FOLDER_ENTRY
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import silent_options

__all__ = ["BUILTIN", "FREE", "NATIVE", "OPTIMIZED", "SESSIONS", "Measured", "Share", "measure_shares"]

BUILTIN, NATIVE, OPTIMIZED, FREE = "builtin", "native", "optimized", "free"
SESSIONS = (BUILTIN, NATIVE, OPTIMIZED, FREE)
PROFILED_RUNS = 3

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Share:
    """The time of one session, and its parts by ONNX Runtime's profiler.

    Attributes:
        session: one of SESSIONS.
        refusal: the reason why it was not timed, in one line; None if it was timed.
        times: times of a run without the profiler; None if it was not timed, like all following attributes.
        profiled_ms: duration of the profiled run, the median of three; the parts below add up to it.
        operator_ms: milliseconds of the nodes of each operator; a Loop or an If counts without its body.
        operator_nodes: number of nodes of each operator that ran.
        region_ms: milliseconds of the nodes of each region; every node is in one region.
        region_nodes: number of nodes of each region that ran.
        written_bytes: size of the outputs of RoiAligns and of mask pasting, by region.
        peak_bytes: resident memory of a process with this session alone, after one run; None if it was not measured.
        difference: largest difference of each output from the native session's, in units of the output's largest
            value; None if there is nothing to compare.
    """

    session: str
    refusal: str | None = None
    times: Times | None = None
    profiled_ms: float = 0.0
    operator_ms: Mapping[str, float] | None = None
    operator_nodes: Mapping[str, int] | None = None
    region_ms: Mapping[str, float] | None = None
    region_nodes: Mapping[str, int] | None = None
    written_bytes: Mapping[str, int] | None = None
    peak_bytes: int | None = None
    difference: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """The sessions of one model on one number of threads."""

    threads: int
    shares: tuple[Share, ...]

    def times(self, name: str) -> Times | None:
        """Returns the times of the session with this name; None if it was not timed."""
        return next((share.times for share in self.shares if share.session == name), None)

    @property
    def possible_ms(self) -> float | None:
        """The time by which the native session is slower than the session without pooling and pasting."""
        native, free = self.times(NATIVE), self.times(FREE)
        return None if native is None or free is None else native.median - free.median

    @property
    def gained_part(self) -> float | None:
        """The part of this time that `fuse` saves; None if it is unknown or there is nothing to save."""
        native, optimized, possible = self.times(NATIVE), self.times(OPTIMIZED), self.possible_ms
        if native is None or optimized is None or possible is None or possible <= 0:
            return None
        return (native.median - optimized.median) / possible


@dataclass(frozen=True, slots=True)
class _Setup:
    """The parameters of a session."""

    model: onnx.ModelProto
    engine: str
    regions: Regions
    feeds: Feeds


def measure_shares(
    versions: Versions,
    feeds: Feeds,
    *,
    folder: Path,
    threads: int,
    repeat: int,
    after_step: Callable[[], None] = lambda: None,
) -> Measured:
    """Times the sessions in turns, then profiles each, then measures the memory of each.

    Args:
        versions: the versions of the model.
        feeds: arrays by input name.
        folder: folder of the model's external data.
        threads: number of threads of each session.
        repeat: timed runs per session.
        after_step: called `repeat` times, and twice for each session.
    """
    external = str(folder.resolve()) if has_external_data(versions.before) else ""
    options = partial(_options, threads, external)
    setups = _setups(versions, feeds, options)
    ready = {name: _ready(setup, options()) for name, setup in setups.items()}
    refusals = {name: state for name, state in ready.items() if isinstance(state, str)}
    running = {name: state for name, state in ready.items() if not isinstance(state, str)}
    runs = {name: partial(run_session, state[0], setups[name].feeds) for name, state in running.items()}
    times = times_in_turns(runs, repeat=repeat, settled=threads > 1, after_round=after_step)
    outputs = {name: state[1] for name, state in running.items()}
    del ready, running, runs  # frees the sessions' memory
    shares = []
    for name, setup in setups.items():
        if name in refusals:
            shares.append(Share(name, refusals[name]))
        else:
            profile = _profiled(setup, options)
            after_step()
            memory = _peak_bytes(setup, threads, external) if name != FREE else None
            difference = _differences(outputs[name], outputs.get(NATIVE, {})) if name != NATIVE else None
            shares.append(_share(name, setup.regions, times[name], profile, memory, difference))
        after_step()
    return Measured(threads, tuple(shares))


def _options(threads: int, folder: str, profile: Path | None = None) -> onnxruntime.SessionOptions:
    options = silent_options(profile=profile)
    options.intra_op_num_threads = threads
    if folder:
        options.add_session_config_entry(FOLDER_ENTRY, folder)
    return options


def _setups(versions: Versions, feeds: Feeds, options: Callable[[], onnxruntime.SessionOptions]) -> dict[str, _Setup]:
    setups = {name: _Setup(versions.before, name, versions.regions_before, feeds) for name in (BUILTIN, NATIVE)}
    if versions.after is not None:
        setups[OPTIMIZED] = _Setup(versions.after, NATIVE, versions.regions_after, feeds)
    if versions.after is not None and versions.free is not None:
        try:
            recorded = _recorded(versions.after, versions.new_inputs, feeds, options())
        except Exception:  # the optimized session raises the same exception, which is then reported
            return setups
        setups[FREE] = _Setup(versions.free, NATIVE, versions.regions_after, {**feeds, **recorded})
    return setups


def _recorded(
    model: onnx.ModelProto, names: tuple[str, ...], feeds: Feeds, options: onnxruntime.SessionOptions
) -> Feeds:
    """Runs a model and returns values of its graph by name."""
    copy = deepcopy(model)
    there = {value.name for value in model.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in there)
    return dict(zip(names, run_session(session(copy, options, door=door_of(NATIVE)), feeds, list(names)), strict=True))


def _ready(setup: _Setup, options: onnxruntime.SessionOptions) -> tuple[onnxruntime.InferenceSession, Feeds] | str:
    """Returns the session and its outputs, or the reason why there are none."""
    try:
        running = session(setup.model, options, engine=setup.engine, door=door_of(setup.engine))
    except Exception as error:  # any error is the session's result; the other sessions still run
        return f"does not load: {one_line(error)}"
    try:
        names = [output.name for output in running.get_outputs()]
        return running, dict(zip(names, run_session(running, setup.feeds, names), strict=True))
    except Exception as error:
        return f"loads, but does not run: {one_line(error)}"


def _profiled(setup: _Setup, options: Callable[..., onnxruntime.SessionOptions]) -> ProfiledRun:
    with tempfile.TemporaryDirectory() as folder:
        profiled = options(Path(folder) / "profile")
        running = session(setup.model, profiled, engine=setup.engine, door=door_of(setup.engine))
        for _ in range(1 + PROFILED_RUNS):
            run_session(running, setup.feeds)
        return median_run(Path(running.end_profiling()))


def _peak_bytes(setup: _Setup, threads: int, external: str) -> int | None:
    with tempfile.TemporaryDirectory() as folder:
        model, inputs = Path(folder) / "model.onnx", Path(folder) / "inputs.pickle"
        model.write_bytes(to_bytes(setup.model))
        inputs.write_bytes(pickle.dumps(dict(setup.feeds)))
        return session_bytes(model, inputs, setup.engine, threads, external)


def _differences(got: Feeds, expected: Feeds) -> dict[str, float]:
    """Returns the difference of each output; outputs that are not arrays of numbers differ by 0 or infinitely."""
    return {
        name: largest_difference(output, expected[name]) / _largest(expected[name])
        for name, output in got.items()
        if name in expected
    }


def _largest(array: object) -> float:
    """Returns the largest finite magnitude; 1 if it is 0 or there is none."""
    if not isinstance(array, np.ndarray) or array.dtype.kind in "OSU":
        return 1.0
    return largest_finite(array) or 1.0


def _share(
    name: str,
    regions: Regions,
    times: Times,
    run: ProfiledRun,
    memory: int | None,
    difference: Mapping[str, float] | None,
) -> Share:
    operator_ms: dict[str, float] = defaultdict(float)
    region_ms = dict.fromkeys(REGIONS, 0.0)
    written = {ROI_ALIGN: 0, PASTING: 0}
    region_nodes = dict.fromkeys(REGIONS, 0)
    for node in run.nodes:
        region = regions.of(node)
        operator_ms[node.operator] += node.ms
        region_ms[region] += node.ms
        region_nodes[region] += 1
        if region in written and not node.within:
            written[region] += node.output_bytes
    by_time = dict(sorted(operator_ms.items(), key=lambda item: -item[1]))
    counts = Counter(node.operator for node in run.nodes)
    return Share(
        name,
        times=times,
        profiled_ms=run.ms,
        operator_ms=by_time,
        operator_nodes={operator: counts[operator] for operator in by_time},
        region_ms=region_ms,
        region_nodes=region_nodes,
        written_bytes=written,
        peak_bytes=memory,
        difference=difference,
    )
