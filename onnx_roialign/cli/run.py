"""The command run: a model on each engine, its outputs compared and its time measured in turns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onnx_roialign.arrays import FRAMEWORKS, FRAMEWORKS_16_BIT, Array, allowed_difference, largest_difference
from onnx_roialign.bench.race import quartiles
from onnx_roialign.cli.options import ENGINE, EXPECTED, INPUTS, JSON, MODEL, REPEAT
from onnx_roialign.cli.output import number, print_lines, printable, size_of, write_json
from onnx_roialign.cli.progress import progress_bars
from onnx_roialign.engines.by_name import SESSION_ENGINES, check_engine
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.onnx_model.inputs import array_names, check_repeat, generated_inputs, given_inputs, read_model
from onnx_roialign.onnx_model.soundness import sound
from onnx_roialign.sessions.apart import try_engines_apart
from onnx_roialign.sessions.trial import Trial

__all__ = ["run"]


@dataclass(frozen=True, slots=True)
class _Compared:
    """One output of one engine, compared.

    Attributes:
        name: the output.
        difference: the largest difference from the expected array; infinite if the shapes differ.
        allowed: the largest difference that passes.
        shapes: the output's shape and the expected one; None for an output that is no array.
    """

    name: str
    difference: float
    allowed: float
    shapes: tuple[tuple[int, ...], tuple[int, ...]] | None

    @property
    def passes(self) -> bool:
        return self.difference <= self.allowed

    def text(self) -> str:
        if self.shapes is not None and self.shapes[0] != self.shapes[1]:
            return f"{self.name} has shape {self.shapes[0]}, not {self.shapes[1]}"
        beyond = "" if self.passes else f" (allowed: {self.allowed:.2g})"
        return f"{self.name} {self.difference:.2g}{beyond}"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What was run and compared.

    Attributes:
        trials: one per engine.
        against: "file", the engine whose outputs are the expected ones, or None.
        compared: by engine, each output that there is an expected array for.
        missing: the model's outputs that the file with expected outputs lacks.
        unused: the arrays of the file that are neither inputs nor outputs of the model.
        all_must_run: whether --engine names the engines.
    """

    trials: Sequence[Trial]
    against: str | None
    compared: Mapping[str, Sequence[_Compared]]
    missing: Sequence[str]
    unused: Sequence[str]
    all_must_run: bool

    @property
    def ok(self) -> bool:
        ran = [trial.refusal is None for trial in self.trials]
        passed = all(one.passes for outputs in self.compared.values() for one in outputs)
        return passed and (all(ran) if self.all_must_run else any(ran))


def run(
    model: Annotated[Path, MODEL],
    inputs: Annotated[Path | None, typer.Option(help=f"{INPUTS} {EXPECTED} Default: random arrays, seeded.")] = None,
    engine: Annotated[
        list[str] | None, typer.Option(help=f"{ENGINE} {', '.join(SESSION_ENGINES)}; can be repeated. Default: all.")
    ] = None,
    repeat: Annotated[int, typer.Option(help=REPEAT)] = 5,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="The largest difference of an output, in units of its largest number (at least 1). Default: "
            f"{FRAMEWORKS:g}; {FRAMEWORKS_16_BIT:g} for 16-bit types."
        ),
    ] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Run a model on each engine; print whether it loads, the time of a run, and the differences of the outputs.

    Outputs are compared with those in --inputs, else with those of the first engine that runs. Exit codes: 0 success; 1
    an output has another shape or differs by more than --tolerance, an engine that --engine names does not run, or none
    runs; 2 an argument is wrong; 3 MODEL is not a readable ONNX model.
    """
    engines = _chosen_engines(engine)
    check_repeat(repeat)
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance >= 0):
        raise RoiAlignError("--tolerance", "range", f"must be finite and >= 0, got {tolerance}")
    proto = sound(read_model(model))
    feeds, expected = (generated_inputs(proto), {}) if inputs is None else given_inputs(proto, inputs)
    with progress_bars() as progress:
        bar = progress.add_task(", ".join(engines), total=len(engines) * (1 + repeat))
        trials = try_engines_apart(model, feeds, engines, repeat=repeat, after_run=partial(progress.advance, bar))
    outcome = _compared(proto, trials, inputs, feeds, expected, tolerance, all_must_run=bool(engine))
    if as_json:
        write_json("run", _record(model, proto, inputs, feeds, tolerance, outcome))
    else:
        _print(Console(), inputs, feeds, outcome)
    return 0 if outcome.ok else 1


def _chosen_engines(names: Sequence[str] | None) -> tuple[str, ...]:
    for name in names or ():
        check_engine(name, SESSION_ENGINES, "--engine")
    return tuple(dict.fromkeys(names or SESSION_ENGINES))


def _compared(
    proto: onnx.ModelProto,
    trials: Sequence[Trial],
    inputs: Path | None,
    feeds: Mapping[str, Array],
    expected: Mapping[str, Any],
    tolerance: float | None,
    *,
    all_must_run: bool,
) -> _Outcome:
    outputs = [value.name for value in proto.graph.output]
    names = () if inputs is None else array_names(inputs)
    missing = [name for name in outputs if name not in expected] if expected else []
    first = next((trial for trial in trials if trial.refusal is None), None)
    against = "file" if expected else None if first is None else first.engine
    wanted = expected or (first.outputs if first else {})
    compared = {
        trial.engine: [_compare(name, trial.outputs[name], want, tolerance) for name, want in wanted.items()]
        for trial in trials
        if trial.refusal is None
    }
    unused = [name for name in names if name not in feeds and name not in expected]
    return _Outcome(trials, against, compared, missing, unused, all_must_run)


def _compare(name: str, got: Any, want: Any, tolerance: float | None) -> _Compared:
    arrays = [array for array in (want if isinstance(want, list) else [want]) if _is_numeric(array)]
    allowed = max((allowed_difference(array, tolerance) for array in arrays), default=0.0)
    both = isinstance(got, np.ndarray) and isinstance(want, np.ndarray)
    return _Compared(name, largest_difference(got, want), allowed, (got.shape, want.shape) if both else None)


def _is_numeric(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.kind not in "OSU"


def _print(console: Console, inputs: Path | None, feeds: Mapping[str, Array], outcome: _Outcome) -> None:
    shapes = ", ".join(f"{printable(name)} {array.dtype} {array.shape}" for name, array in feeds.items())
    print_lines(console, [f"Inputs: {'random, seeded' if inputs is None else inputs}: {shapes}"])
    against = {None: "nothing", "file": "the file's outputs"}.get(outcome.against, outcome.against)
    table = Table()
    table.add_column("engine")
    table.add_column("loads", ratio=1, overflow="fold")
    table.add_column("median, ms", justify="right")
    table.add_column("quartiles", justify="right")
    table.add_column(f"largest difference from {against}", overflow="fold")
    for trial in outcome.trials:
        if trial.refusal is not None:
            table.add_row(trial.engine, escape(trial.refusal), "", "", "")
            continue
        differences = [
            escape(printable(one.text())) if one.passes else f"[red]{escape(printable(one.text()))}[/]"
            for one in outcome.compared[trial.engine]
        ]
        times = quartiles(trial.milliseconds)
        spread = f"{times.q1:.2f}-{times.q3:.2f}"
        table.add_row(trial.engine, "yes", f"{times.median:.2f}", spread, "\n".join(differences))
    console.print(table)
    if outcome.missing:
        print_lines(console, [f"Not compared, because the file lacks them: {', '.join(outcome.missing)}"])
    if outcome.unused:
        print_lines(console, [f"Neither inputs nor outputs of the model: {', '.join(outcome.unused)}"])


def _record(
    model: Path,
    proto: onnx.ModelProto,
    inputs: Path | None,
    feeds: Mapping[str, Array],
    tolerance: float | None,
    outcome: _Outcome,
) -> dict[str, Any]:
    return {
        "model": str(model),
        **size_of(proto),
        "inputs_file": None if inputs is None else str(inputs),
        "inputs": {name: {"dtype": array.dtype.name, "shape": list(array.shape)} for name, array in feeds.items()},
        "tolerance": tolerance,
        "against": outcome.against,
        "missing_outputs": list(outcome.missing),
        "unused_arrays": list(outcome.unused),
        "engines": [_engine_record(trial, outcome.compared.get(trial.engine, ())) for trial in outcome.trials],
        "ok": outcome.ok,
    }


def _engine_record(trial: Trial, compared: Sequence[_Compared]) -> dict[str, Any]:
    times = quartiles(trial.milliseconds) if trial.refusal is None else None
    return {
        "engine": trial.engine,
        "refusal": trial.refusal,
        "median_ms": times and times.median,
        "q1_ms": times and times.q1,
        "q3_ms": times and times.q3,
        "samples": times and times.samples,
        "outputs": [
            {
                "name": one.name,
                "shape": None if one.shapes is None else list(one.shapes[0]),
                "expected_shape": None if one.shapes is None else list(one.shapes[1]),
                "difference": number(one.difference),
                "allowed": one.allowed,
                "passes": one.passes,
            }
            for one in compared
        ],
    }
