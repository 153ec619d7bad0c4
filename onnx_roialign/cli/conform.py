"""The commands of the conformance suite: conform, and what is done with its results.

``conform --json`` writes one object with schema_version; later versions add keys, but do not rename or remove any.
The exit code of conform is 0 if every backend passes: each case passes, is unsupported, or is declared as a known
deviation, and at least one passes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from onnx_roialign.cli.conform_reports import compare, write_reports
from onnx_roialign.cli.graph import JSON, write_json
from onnx_roialign.cli.progress import progress_bars
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.extras import imported_for
from onnx_roialign.files import check_output
from onnx_roialign.sessions.options import usable_cores

if TYPE_CHECKING:
    from onnx_roialign.conformance.case import Case
    from onnx_roialign.conformance.process import Identity, Launch, Limits
    from onnx_roialign.conformance.result import Run

__all__ = ["MOST_JOBS", "app"]

MOST_JOBS = 256

app = typer.Typer(invoke_without_command=True)
app.command()(compare)


@app.callback(invoke_without_command=True)
def conform(
    context: typer.Context,
    backend: Annotated[
        list[str] | None,
        typer.Option(
            help="A built-in backend, or an onnx.backend.base.Backend as module:Class or path/file.py:Class; can be "
            "repeated. Default: this package's own, ONNX Runtime's and onnx.reference."
        ),
    ] = None,
    worker: Annotated[
        list[str] | None,
        typer.Option(help="The command line of a program that speaks the worker protocol; can be repeated."),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(help="The Python that has the backends' runtime, numpy and onnx. Default: this one."),
    ] = None,
    known: Annotated[Path | None, typer.Option(help="File of known deviations of the backend.")] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(help="Only cases of this tier: spec, settled, contested, robust; can be repeated."),
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option(help="Only cases whose id matches this pattern (*, ?); can be repeated.")
    ] = None,
    cases: Annotated[Path | None, typer.Option(help="Folder of cases to run instead of the suite's own.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Workers beside each other. Default: one for each core.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that a case may take.")] = 20.0,
    memory: Annotated[int, typer.Option(help="Megabytes that a worker may take.")] = 2048,
    export: Annotated[
        Path | None, typer.Option(help="Write the cases into this folder in ONNX's backend-test layout; run nothing.")
    ] = None,
    import_: Annotated[
        Path | None, typer.Option("--import", help="Score the outputs that a runtime wrote into an exported folder.")
    ] = None,
    as_json: Annotated[bool, JSON] = False,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit's XML, for a CI service.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a table and the deviations as Markdown.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page of the matrix and every deviation.")] = None,
) -> int:
    """Run RoiAlign's conformance suite on any runtime, and report where it deviates."""
    if context.invoked_subcommand is not None:
        return 0
    with imported_for("the conformance suite"):
        from onnx_roialign.conformance.cases import all_cases
        from onnx_roialign.conformance.layout import export_cases, read_cases
        from onnx_roialign.conformance.process import Limits
        from onnx_roialign.conformance.verdict import passes
    if export is not None and import_ is not None:
        raise RoiAlignError("--export and --import", "conflict", "must not be given together, got both")
    others: dict[str, Path | None] = {"--known": known}
    for option, path in (("--junit", junit), ("--markdown", markdown), ("--html", html)):
        check_output(option, path, others)
        others[option] = path
    limits = Limits(_within("--timeout", timeout, 0.1, 86400), int(_within("--memory", memory, 16, 1 << 24)))
    workers = int(_within("--jobs", usable_cores() if jobs is None else jobs, 1, MOST_JOBS))
    runs_here = export is None and import_ is None
    started = _started(_launches(backend, worker, python, known), limits) if runs_here else []
    with _progress("making the cases", None):
        every = all_cases() if cases is None else read_cases(cases)
    chosen = _chosen(every, tier, case)
    if export is not None:
        with _progress("writing", len(chosen)) as after_each:
            export_cases("--export", export, chosen, after_each)
        typer.echo(f"{len(chosen)} cases in {export}", err=True)
        return 0
    # Entries of known deviations must name cases of the whole suite; of a part or of other cases they need not.
    ids = [each.id for each in chosen] if cases is None and len(chosen) == len(every) else None
    if import_ is not None:
        runs = [_imported(import_, chosen, known, ids)]
    else:
        runs = _run_all(started, chosen, ids, limits, workers)
    by_id = {each.id: each for each in chosen}
    if as_json or junit or markdown or html:
        from onnx_roialign.conformance.reports.document import document

        made = document(chosen, runs)
        write_reports(made, chosen, junit, markdown, html)
        if as_json:
            write_json(made)
    if not as_json:
        _print(runs, by_id)
    return 0 if all(passes(run, by_id) for run in runs) else 1


def _chosen(cases: Sequence[Case], tiers: Sequence[str] | None, patterns: Sequence[str] | None) -> tuple[Case, ...]:
    from onnx_roialign.conformance.case import Tier

    names = [each.value for each in Tier]
    for name in tiers or ():
        if name not in names:
            raise RoiAlignError("--tier", "choice", f"must be one of {', '.join(names)}, got {name!r}")
    for pattern in patterns or ():
        if not any(fnmatchcase(each.id, pattern) for each in cases):
            raise RoiAlignError("--case", "choice", f"must match the id of a case, got {pattern!r}")
    chosen = tuple(
        each
        for each in cases
        if (not tiers or each.tier.value in tiers)
        and (not patterns or any(fnmatchcase(each.id, pattern) for pattern in patterns))
    )
    if not chosen:
        raise RoiAlignError("--tier and --case", "choice", "must leave a case, got none")
    return chosen


def _within(option: str, value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        raise RoiAlignError(option, "range", f"must be in [{least:g}, {most}], got {value}")
    return value


def _launches(
    backends: Sequence[str] | None, workers: Sequence[str] | None, python: str | None, known: Path | None
) -> tuple[Launch, ...]:
    from onnx_roialign.conformance.backends import OWN, find_backend, find_worker

    names = backends or (() if workers else OWN)
    if known is not None and len(names) + len(workers or ()) != 1:
        raise RoiAlignError("--known", "conflict", "must be given with one --backend or --worker, got more or none")
    found = [launch for name in names for launch in find_backend(name, python, known)]
    return (*found, *(find_worker(command, known) for command in workers or ()))


def _started(launches: Sequence[Launch], limits: Limits) -> list[tuple[Launch, Identity]]:
    """Each worker with what it says of itself: one that does not start ends the command before hours are spent."""
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
    return scored(read_identity(folder), results, entries, ids)


def _print(runs: Sequence[Run], cases: Mapping[str, Case]) -> None:
    from onnx_roialign.conformance.reports.terminal import remarks, table

    console = Console()
    for line in remarks(runs, cases):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(table(runs, cases))


@contextlib.contextmanager
def _progress(what: str, total: int | None) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr; yields the function to call after each case. Without a total it moves by itself."""
    with progress_bars() as progress:
        bar = progress.add_task(what, total=total)
        yield lambda: progress.advance(bar)
