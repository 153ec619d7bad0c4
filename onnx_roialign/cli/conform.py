"""The command conform: runs the conformance suite, exports its cases, or scores imported results.

``conform --json`` writes one object with schema_version; later versions add keys, but do not rename or remove any.
The exit code of conform is 0 if every backend passes: each case passes, is unsupported, or is declared as a known
deviation, and at least one passes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from onnx_roialign.cli.conform_reports import HTML, JUNIT, MARKDOWN, compare, report, write_reports
from onnx_roialign.cli.options import BACKEND, JOBS, JSON, PYTHON
from onnx_roialign.cli.output import write_json
from onnx_roialign.cli.progress import progress_bars
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.extras import imported_for
from onnx_roialign.files import check_outputs
from onnx_roialign.sessions.options import usable_cores

if TYPE_CHECKING:
    from onnx_roialign.conformance.case import Case
    from onnx_roialign.conformance.process import Identity, Launch, Limits
    from onnx_roialign.conformance.result import Run

__all__ = ["MOST_JOBS", "app"]

MOST_JOBS = 256
_SECONDS = 20.0
_MEGABYTES = 2048

app = typer.Typer(invoke_without_command=True)
app.command()(compare)
app.command()(report)


_Backends = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        help=f"{BACKEND} Can be repeated. Default: this package's own, ONNX Runtime's and onnx.reference.",
    ),
]
_Workers = Annotated[
    list[str] | None,
    typer.Option("--worker", help="The command line of a program with the worker protocol; can be repeated."),
]
_Python = Annotated[str | None, PYTHON]
_Known = Annotated[Path | None, typer.Option(help="File of known deviations of the backend.")]
_Tiers = Annotated[
    list[str] | None,
    typer.Option("--tier", help="Only cases of this tier: spec, settled, contested, robust; can be repeated."),
]
_Patterns = Annotated[
    list[str] | None,
    typer.Option("--case", help="Only cases whose id matches this pattern (*, ?); can be repeated."),
]
_Cases = Annotated[Path | None, typer.Option(help="Folder of cases to run instead of the suite's own.")]
_Jobs = Annotated[int | None, JOBS]
_Timeout = Annotated[float, typer.Option(help="Time limit of a case, in seconds.")]
_Memory = Annotated[int, typer.Option(help="Memory limit of a worker, in megabytes.")]
_Export = Annotated[
    Path | None, typer.Option(help="Write the cases into this folder in ONNX's backend-test layout; run nothing.")
]
_Import = Annotated[
    Path | None, typer.Option("--import", help="Score the outputs that a runtime wrote into an exported folder.")
]


@app.callback(invoke_without_command=True)
def conform(
    context: typer.Context,
    backends: _Backends = None,
    workers: _Workers = None,
    python: _Python = None,
    known: _Known = None,
    tiers: _Tiers = None,
    patterns: _Patterns = None,
    cases: _Cases = None,
    jobs: _Jobs = None,
    timeout: _Timeout = _SECONDS,
    memory: _Memory = _MEGABYTES,
    export: _Export = None,
    import_: _Import = None,
    as_json: Annotated[bool, JSON] = False,
    junit: JUNIT = None,
    markdown: MARKDOWN = None,
    html: HTML = None,
) -> int:
    """Run RoiAlign's conformance suite on any runtime, and report its deviations."""
    if context.invoked_subcommand is not None:
        return 0
    with imported_for("the conformance suite"):
        from onnx_roialign.conformance.process import Limits
        from onnx_roialign.conformance.verdict import passes
    if export is not None and import_ is not None:
        raise RoiAlignError("--export and --import", "conflict", "must not be given together, got both")
    check_outputs({"--junit": junit, "--markdown": markdown, "--html": html}, {"--known": known})
    limits = Limits(_within("--timeout", timeout, 0.1, 86400), int(_within("--memory", memory, 16, 1 << 24)))
    jobs = int(_within("--jobs", usable_cores() if jobs is None else jobs, 1, MOST_JOBS))
    runs_here = export is None and import_ is None
    options = (("--cases", cases, None), ("--timeout", timeout, _SECONDS), ("--memory", memory, _MEGABYTES))
    started = _started(_launches(backends, workers, python, known, _changed(options)), limits) if runs_here else []
    every = _read_cases(cases)
    chosen = _chosen(every, tiers, patterns)
    if export is not None:
        return _export(export, chosen)
    # Known deviations must name existing cases; that is only checked if the whole suite runs.
    ids = [case.id for case in chosen] if cases is None and len(chosen) == len(every) else None
    if import_ is not None:
        runs = [_imported(import_, chosen, known, ids)]
    else:
        runs = _run_all(started, chosen, ids, limits, jobs)
    by_id = {case.id: case for case in chosen}
    ok = all(passes(run, by_id) for run in runs)
    if as_json or junit or markdown or html:
        from onnx_roialign.conformance.reports.document import document

        report = document(chosen, runs)
        write_reports(report, chosen, junit, markdown, html)
        if as_json:
            write_json("conform", {**report, "ok": ok})
    if not as_json:
        _print(runs, by_id)
    return 0 if ok else 1


def _read_cases(folder: Path | None) -> Sequence[Case]:
    from onnx_roialign.conformance.cases import all_cases
    from onnx_roialign.conformance.layout import read_cases

    with _progress("making the cases", None):
        return all_cases() if folder is None else read_cases(folder)


def _export(folder: Path, cases: Sequence[Case]) -> int:
    from onnx_roialign.conformance.layout import export_cases

    with _progress("writing", len(cases)) as after_each:
        export_cases("--export", folder, cases, after_each)
    typer.echo(f"{len(cases)} cases in {folder}", err=True)
    return 0


def _chosen(cases: Sequence[Case], tiers: Sequence[str] | None, patterns: Sequence[str] | None) -> tuple[Case, ...]:
    from onnx_roialign.conformance.case import Tier

    names = [tier.value for tier in Tier]
    for name in tiers or ():
        if name not in names:
            raise RoiAlignError("--tier", "choice", f"must be one of {', '.join(names)}, got {name!r}")
    for pattern in patterns or ():
        if not any(fnmatchcase(case.id, pattern) for case in cases):
            raise RoiAlignError("--case", "choice", f"must match the id of a case, got {pattern!r}")
    chosen = tuple(
        case
        for case in cases
        if (not tiers or case.tier.value in tiers)
        and (not patterns or any(fnmatchcase(case.id, pattern) for pattern in patterns))
    )
    if not chosen:
        raise RoiAlignError("--tier and --case", "choice", "must leave a case, got none")
    return chosen


def _within(option: str, value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        raise RoiAlignError(option, "range", f"must be in [{least:g}, {most}], got {value}")
    return value


def _changed(options: Sequence[tuple[str, object, object]]) -> tuple[str, ...]:
    """What a command that repeats a result must give again: option and value where it is not the default."""
    return tuple(word for name, value, default in options if value != default for word in (name, str(value)))


def _launches(
    backends: Sequence[str] | None,
    workers: Sequence[str] | None,
    python: str | None,
    known: Path | None,
    options: Sequence[str],
) -> tuple[Launch, ...]:
    from onnx_roialign.conformance.backends import OWN, find_backend, find_worker

    names = backends or (() if workers else OWN)
    if known is not None and len(names) + len(workers or ()) != 1:
        raise RoiAlignError("--known", "conflict", "must be given with one --backend or --worker, got more or none")
    found = [launch for name in names for launch in find_backend(name, python, known)]
    found += [find_worker(command, known) for command in workers or ()]
    return tuple(replace(launch, options=(*launch.options, *options)) for launch in found)


def _started(launches: Sequence[Launch], limits: Limits) -> list[tuple[Launch, Identity]]:
    """Starts each worker once and reads its identity, so that a worker that cannot start ends the command at once."""
    from onnx_roialign.conformance.runner import identify

    started = [(launch, identify(launch, limits)) for launch in launches]
    names = [identity.name for _, identity in started]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise RoiAlignError(
            "--backend and --worker", "conflict", f"must have names that differ, got {doubled[0]!r} more than once"
        )
    return started


def _run_all(
    started: Sequence[tuple[Launch, Identity]],
    cases: Sequence[Case],
    ids: Sequence[str] | None,
    limits: Limits,
    jobs: int,
) -> list[Run]:
    from onnx_roialign.conformance.runner import run

    runs = []
    for launch, identity in started:
        with _progress(identity.name, len(cases)) as after_each:
            runs.append(run(cases, launch, identity, limits=limits, jobs=jobs, all_ids=ids, after_each=after_each))
    return runs


def _imported(folder: Path, cases: Sequence[Case], known: Path | None, ids: Sequence[str] | None) -> Run:
    from onnx_roialign.conformance.known import read_known
    from onnx_roialign.conformance.layout import import_results, read_identity
    from onnx_roialign.conformance.runner import scored

    with _progress("reading", len(cases)) as after_each:
        results = import_results(folder, cases, after_each)
    entries = None if known is None else read_known(known)
    return replace(scored(read_identity(folder), results, entries, ids), options=("--import", str(folder)))


def _print(runs: Sequence[Run], cases: Mapping[str, Case]) -> None:
    from onnx_roialign.conformance.reports.terminal import remarks, table

    console = Console()
    for line in remarks(runs, cases):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(table(runs, cases))


@contextlib.contextmanager
def _progress(label: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Shows a progress bar on stderr and yields the function to call after each case; None: an unknown total."""
    with progress_bars() as progress:
        bar = progress.add_task(label, total=total)
        yield lambda: progress.advance(bar)
