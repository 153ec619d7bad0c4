"""The command bench: checks its options, runs the measurement, prints and writes the results."""

from __future__ import annotations

import functools
import importlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from onnx_roialign.bench import report
from onnx_roialign.bench.floor import copy_bandwidth
from onnx_roialign.bench.machine import describe_machine
from onnx_roialign.bench.narrow import fitted
from onnx_roialign.bench.peers import OURS, PEERS, Contestant, find_contestants
from onnx_roialign.bench.pooler import POOLERS, pooler_contestants
from onnx_roialign.bench.race import Race, race
from onnx_roialign.bench.scratch import scratch_bytes
from onnx_roialign.bench.sweep import all_cases, run_sweep
from onnx_roialign.bench.workloads import DTYPES, WORKLOADS, converted
from onnx_roialign.cli.bench_model import bench_model
from onnx_roialign.cli.options import AGAINST, INPUTS, JSON, MODE, REPEAT, output
from onnx_roialign.cli.output import document, size_of, to_json
from onnx_roialign.cli.progress import progress_bars
from onnx_roialign.engines.native import available_isas
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.extras import imported_for
from onnx_roialign.files import check_outputs, write_file
from onnx_roialign.onnx_model.inputs import check_repeat, generated_inputs, given_inputs, read_model
from onnx_roialign.onnx_model.soundness import sound
from onnx_roialign.sessions.silent import NOTHING, log_only

__all__ = ["bench"]

_MODES = ("avg", "max")
_RIVAL = "onnxruntime"
_REPEAT, _REPEAT_SWEEP, _REPEAT_MODEL = 15, 9, 10
_SWEEP_SECONDS = 2.0  # per case; 16 times as long if this package's kernel is slower at first
_FILE_WIDTH = 120
_MOST_THREADS = 1024
_POOLER_REMARKS = (
    "ours: one MultiScaleRoiAlign of all RoIs in random order. single levels: the sum of this package's RoiAligns of "
    "each level's RoIs.",
    "unfused: the pooler in ONNX's own operators, as unfuse writes it, with ONNX Runtime's RoiAlign and with ours.",
)


@dataclass(frozen=True, slots=True)
class _Options:
    """The options of the command, checked."""

    against: tuple[str, ...]
    threads: tuple[int, ...]
    dtypes: tuple[str, ...]
    isas: tuple[str, ...]
    workloads: tuple[str, ...]
    mode: str
    repeat: int

    def record(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class _Output:
    """Where the results go: tables and lines to the console, the document to stdout, to a file, or nowhere."""

    console: Console
    as_json: bool
    file: Path | None

    def write(self, kind: str, ok: bool, settings: dict[str, Any], content: dict[str, Any]) -> int:
        """Writes the document; returns the exit code."""
        head = {"schema": report.SCHEMA, "kind": kind, "settings": settings}
        text = to_json(document("bench", {**head, **content, "ok": ok})) + "\n"
        if self.file is not None:
            write_file("--output", self.file, text.encode())
        if self.as_json:
            typer.echo(text, nl=False)
        return 0 if ok else 1


_Against = Annotated[str | None, typer.Option(help=f"{AGAINST} some of {','.join(PEERS)}. Default: all.")]
_Threads = Annotated[str, typer.Option(help="Numbers of threads, such as 1,2.")]
_Dtype = Annotated[str, typer.Option(help=f"Types: some of {','.join(DTYPES)}.")]
_Isa = Annotated[
    str | None, typer.Option(help="Instruction sets of this package's kernel. Default: all that this CPU has.")
]
_Workload = Annotated[str | None, typer.Option(help=f"Workloads: some of {','.join(WORKLOADS)}. Default: all.")]
_Mode = Annotated[str, MODE]
_Repeat = Annotated[
    int | None,
    typer.Option(help=f"{REPEAT} Default: {_REPEAT}; sweep {_REPEAT_SWEEP}, model {_REPEAT_MODEL}."),
]
_Sweep = Annotated[
    bool,
    typer.Option("--sweep", help=f"Many shapes against {_RIVAL} only; exit code 1 if this package is slower in one."),
]
_Pooler = Annotated[
    bool,
    typer.Option(
        "--pooler", help="A pyramid's pooler as one call, as one call per level, and in ONNX's own operators."
    ),
]
_ModelPath = Annotated[
    Path | None,
    typer.Option(
        help="Measure a model instead, by region and operator: on ONNX Runtime's kernel, on this package's, and after "
        "optimize."
    ),
]
_Inputs = Annotated[Path | None, typer.Option(help=f"{INPUTS} Together with --model. Default: random arrays, seeded.")]
_File = Annotated[Path | None, output("all measurements, as --json prints them.")]
_Plot = Annotated[Path | None, typer.Option(help="Draw the results to this .png file.")]


def bench(
    against: _Against = None,
    threads: _Threads = "1",
    dtype: _Dtype = "float32",
    isa: _Isa = None,
    workload: _Workload = None,
    mode: _Mode = "avg",
    repeat: _Repeat = None,
    sweep: _Sweep = False,
    pooler: _Pooler = False,
    model: _ModelPath = None,
    inputs: _Inputs = None,
    output: _File = None,
    as_json: Annotated[bool, JSON] = False,
    plot: _Plot = None,
) -> int:
    """Compare this kernel's time with that of every installed RoiAlign, over many shapes, or within a model."""
    _check_together(
        sweep=sweep, pooler=pooler, model=model, inputs=inputs, plot=plot, against=against, workload=workload
    )
    check_outputs({"--output": output, "--plot": plot}, {"--model": model, "--inputs": inputs})
    if plot is not None:
        with imported_for("--plot"):
            importlib.import_module("matplotlib")  # fails now, not after minutes of measuring
    if repeat is not None:
        check_repeat(repeat)
    default_repeat = _REPEAT_MODEL if model is not None else _REPEAT_SWEEP if sweep else _REPEAT
    options = _Options(
        against=(_RIVAL,) if sweep else _chosen("--against", against, PEERS),
        threads=_thread_counts(threads),
        dtypes=_chosen("--dtype", dtype, tuple(DTYPES)),
        isas=_chosen("--isa", isa, available_isas()),
        workloads=_chosen("--workload", workload, POOLERS if pooler else tuple(WORKLOADS)),
        mode=_chosen("--mode", mode, _MODES)[0],
        repeat=default_repeat if repeat is None else repeat,
    )
    if pooler and options.dtypes != ("float32",):  # rounding to another type would change the levels of boxes
        raise RoiAlignError("--dtype", "conflict", f"must be float32 together with --pooler, got {dtype!r}")
    log_only(NOTHING)  # ONNX Runtime's kernel logs a warning about mode max in every session
    console = Console(quiet=as_json)
    if not console.is_terminal and "COLUMNS" not in os.environ:  # the width of a file is arbitrary
        console.width = max(console.width, _FILE_WIDTH)
    out = _Output(console, as_json, output)
    if model is not None:
        return _model(model, inputs, options, out)
    if sweep:
        return _sweep(options, out)
    return _race(options, out, plot, pooler=pooler)


def _check_together(**options: Any) -> None:
    """Refuses options that exclude each other."""
    for option, excluded in (
        ("--sweep", ("--model", "--plot", "--against", "--workload")),
        ("--pooler", ("--sweep", "--model", "--plot", "--against")),
        ("--model", ("--plot", "--against", "--workload")),
    ):
        if options[option.removeprefix("--")]:
            for name in excluded:
                if options[name.removeprefix("--")] not in (None, False):
                    raise RoiAlignError(name, "conflict", f"must not be given together with {option}")
    if options["inputs"] is not None and options["model"] is None:
        raise RoiAlignError("--inputs", "missing", "must be given together with --model")


def _chosen(option: str, text: str | None, choices: Sequence[str]) -> tuple[str, ...]:
    """Returns the names in a comma-separated list, each once."""
    if text is None:
        return tuple(choices)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in choices:
            raise RoiAlignError(option, "choice", f"must be of {', '.join(choices)}, got {name!r}")
    return names


def _thread_counts(text: str) -> tuple[int, ...]:
    counts = []
    for word in text.split(","):
        if not (re.fullmatch(r" *[0-9]{1,9} *", word) and 1 <= int(word) <= _MOST_THREADS):
            raise RoiAlignError(
                "--threads", "range", f"must be whole numbers in [1, {_MOST_THREADS}], got {shown(word.strip())}"
            )
        counts.append(int(word))
    return tuple(dict.fromkeys(counts))


def _race(options: _Options, out: _Output, plot: Path | None, *, pooler: bool) -> int:
    console = out.console
    contestants, missing = find_contestants(options.against, options.isas, options.mode)
    if pooler:
        contestants, missing = pooler_contestants(options.isas[0]), {}
    machine = describe_machine([contestant.name for contestant in contestants if contestant.name in PEERS])
    _print_header(console, machine, missing)
    races: list[Race] = []
    with progress_bars() as progress:
        groups = [(dtype, threads) for dtype in options.dtypes for threads in options.threads]
        bar = progress.add_task("", total=len(groups) * len(options.workloads) * (1 + options.repeat))
        for dtype, threads in groups:
            group = []
            for name in options.workloads:
                progress.update(bar, description=f"{name}, {dtype}, {threads} thread(s)")
                finished = race(
                    converted(WORKLOADS[name](), dtype, options.mode),
                    contestants,
                    threads=threads,
                    repeat=options.repeat,
                    bandwidth=copy_bandwidth,
                    after_round=functools.partial(progress.advance, bar),
                )
                group.append(finished if pooler else finished.with_scratch(scratch_bytes))
                progress.advance(bar)
            for part in fitted(console, report.race_table(group)):
                console.print(part)
            races += group
    _print_lines(console, report.refusals(races))
    _print_remarks(console, races)
    if pooler:
        _print_lines(console, _POOLER_REMARKS)
    if plot is not None:
        from onnx_roialign.pictures.bench import draw_races  # matplotlib is slow to import

        draw_races(plot, races, machine)
        console.print(f"Picture: {plot}", markup=False, highlight=False, soft_wrap=True)
    content = {"machine": machine, "missing": missing, "races": list(map(report.race_record, races))}
    return out.write("pooler" if pooler else "bench", not _ours_failed(races), options.record(), content)


def _sweep(options: _Options, out: _Output) -> int:
    console = out.console
    contestants, missing = find_contestants(options.against, options.isas, "avg")
    again = replace(contestants[-1], name=f"{_RIVAL} again")  # shows the random difference of two equal contestants
    contestants = tuple(replace(contestant, own_threads=False) for contestant in (*contestants, again))
    machine = describe_machine([_RIVAL])
    _print_header(console, machine, missing)
    cases = all_cases()
    with progress_bars() as progress:
        bar = progress.add_task("sweep", total=len(cases) * len(options.dtypes) * len(options.threads))
        races = run_sweep(
            cases,
            contestants,
            _RIVAL,
            dtypes=options.dtypes,
            mode=options.mode,
            threads=options.threads,
            repeat=options.repeat,
            bandwidth=functools.cache(copy_bandwidth),  # measured once: the sweep reports ratios, not the floor
            seconds=_SWEEP_SECONDS,
            after_case=functools.partial(progress.advance, bar),
        )
    found = report.ratios(races, OURS, _RIVAL)
    itself = report.ratios(races, again.name, _RIVAL)
    console.print(report.sweep_table(races, _RIVAL))
    _print_lines(console, report.refusals(races))
    worst = None
    if found:
        ratio, slowest, result = found[0]
        worst = {
            "workload": slowest.workload,
            "dtype": slowest.dtype,
            "threads": slowest.threads,
            "isa": result.contestant.isa,
            "ratio": ratio,
        }
        middle, below = found[len(found) // 2][0], sum(faster < 1 for faster, _, _ in found)
        apart = sum(report.apart(race, result, _RIVAL) for _, race, result in found)
        lines = [
            f"Worst ratio to {_RIVAL}: {ratio:.2f} over {len(found)} measurements of {len(cases)} shapes, mode "
            f"{options.mode} (median {middle:.1f}). If it is at least 1, ours is slower nowhere.",
            f"Ratios below 1: {below}; of these, with our lower quartile above {_RIVAL}'s upper quartile: {apart}.",
        ]
        if itself:
            lines.append(
                f"A second session of {_RIVAL} against the first, in the same turns: {itself[0][0]:.2f} to "
                f"{itself[-1][0]:.2f}, {sum(faster < 1 for faster, _, _ in itself)} of {len(itself)} below 1."
            )
        _print_lines(console, lines)
    content = {"machine": machine, "missing": missing, "races": list(map(report.race_record, races)), "worst": worst}
    ok = bool(found) and found[0][0] >= 1 and not _ours_failed(races)
    return out.write("sweep", ok, options.record(), content)


def _model(model: Path, inputs: Path | None, options: _Options, out: _Output) -> int:
    proto = sound(read_model(model))
    feeds = generated_inputs(proto) if inputs is None else given_inputs(proto, inputs)[0]
    machine = describe_machine()
    console = out.console
    _print_header(console, machine, {})
    records, any_runs = bench_model(
        proto, model, feeds, threads=options.threads, repeat=options.repeat, bandwidth=copy_bandwidth, console=console
    )
    settings = {**options.record(), "model": str(model)}
    return out.write("model", any_runs, settings, {**size_of(proto), "machine": machine, "missing": {}, **records})


def _print_header(console: Console, machine: dict[str, Any], missing: dict[str, str]) -> None:
    console.print(f"Machine: {report.machine_line(machine)}", markup=False, highlight=False)
    for name, reason in missing.items():
        console.print(f"Not installed: {name} ({reason})", markup=False, highlight=False)


def _print_remarks(console: Console, races: Sequence[Race]) -> None:
    speeds = [measured.copy_bandwidth / 1e9 for measured in races]
    lines = (
        "Floor: the time to read every feature in use once and to write the output once at the speed of a copy, "
        f"measured before and after each workload: {min(speeds):.1f} to {max(speeds):.1f} GB/s (read + written; 512 MB "
        "by NumPy, medians of 5). Workloads that fit the caches can be faster.",
        "x ISA: how many times faster our kernel with that instruction set is than the row's engine, by the medians.",
        "x 1 thread: how many times faster the engine is than on 1 thread in the same turns.",
        "Error: the largest difference from the NumPy reference, in units of max|X|, computed before timing.",
        "onnxruntime and ours run in sessions with bound inputs and outputs; onnxruntime's 16-bit types are Cast, "
        "float32 RoiAlign, Cast.",
        "Scratch: the peak memory of a first run beyond inputs and outputs.",
    )
    _print_lines(console, lines)


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False)


def _ours_failed(races: Iterable[Race]) -> bool:
    return any(result.refusal is not None for timed in races for result in timed.results if _is_ours(result.contestant))


def _is_ours(contestant: Contestant) -> bool:
    return contestant.name == OURS or contestant.isa is not None
