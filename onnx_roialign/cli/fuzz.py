"""The command fuzz: runs random cases on a runtime; shrinks and explains those with other than the exact results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from onnx_roialign.cli.conform import MOST_JOBS
from onnx_roialign.cli.options import AGAINST, BACKEND, JOBS, JSON, PYTHON, output
from onnx_roialign.cli.output import write_json
from onnx_roialign.cli.progress import progress_bars
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.extras import imported_for
from onnx_roialign.sessions.options import usable_cores

if TYPE_CHECKING:
    from onnx_roialign.conformance.process import Launch
    from onnx_roialign.conformance.search.findings import Finding

__all__ = ["fuzz"]

_MOST_SECONDS = 7 * 86400.0
_MOST_SEED = 2**31 - 1


def fuzz(
    backend: Annotated[str, typer.Option(help=BACKEND)],
    against: Annotated[str | None, typer.Option(help=f"{AGAINST} a backend. Default: the exact results.")] = None,
    seconds: Annotated[float, typer.Option(help="Duration of the search, in seconds of one worker.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Seed of the random cases; equal seeds find the same.")] = 0,
    jobs: Annotated[int | None, JOBS] = None,
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster that runs the search; 'local': one on this machine.")
    ] = None,
    python: Annotated[str | None, PYTHON] = None,
    output: Annotated[Path | None, output("the folder to save each finding in as a case.")] = None,
    as_json: Annotated[bool, JSON] = False,
) -> int:
    """Search for calls with wrong results on a runtime; exit code 1 if there are any."""
    with imported_for("fuzz"):
        from onnx_roialign.conformance.layout import export_cases, make_folder
        from onnx_roialign.conformance.process import Limits
        from onnx_roialign.conformance.runner import identify
        from onnx_roialign.conformance.search.findings import Search, run_search
    for option, value, least, most in (
        ("--seconds", seconds, 1, _MOST_SECONDS),
        ("--seed", seed, 0, _MOST_SEED),
        ("--jobs", 1 if jobs is None else jobs, 1, MOST_JOBS),
    ):
        if not least <= value <= most:
            raise RoiAlignError(option, "range", f"must be in [{least}, {most:g}], got {value}")
    if output is not None:
        make_folder("--output", output)
    limits = Limits()
    launches = [_launch(name, python) for name in (backend, against) if name is not None]
    identities = [identify(launch, limits) for launch in launches]
    search = Search(
        launches[0],
        limits,
        launches[1] if against is not None else None,
        seed,
        seconds,
        usable_cores() if jobs is None else jobs,
        ray="" if ray == "local" else ray,
    )
    with progress_bars() as progress:
        bar = progress.add_task(identities[0].name, total=search.rounds)
        found, rounds = run_search(search, lambda: progress.advance(bar))
    if output is not None and found:
        export_cases("--output", output, [finding.case for finding in found])
    if as_json:
        entries = [_entry(finding) for finding in found]
        write_json("fuzz", {"rounds": rounds, "of": search.rounds, "findings": entries, "ok": not found})
    else:
        _print(found, rounds, search.rounds, output)
    return 1 if found else 0


def _launch(name: str, python: str | None) -> Launch:
    from onnx_roialign.conformance.backends import find_backend

    found = find_backend(name, python)
    return found[0]  # the backend native has one launch per instruction set, the widest first


def _entry(finding: Finding) -> dict[str, object]:
    return {
        "case": finding.case.id,
        "cause": finding.cause,
        "count": finding.count,
        "status": finding.result.status.value,
        "text": finding.result.text,
        "attributes": _attributes(finding),
        "opset": finding.case.opset,
        "inputs": {name: [str(array.dtype), list(array.shape)] for name, array in finding.case.inputs.items()},
    }


def _attributes(finding: Finding) -> dict[str, Any]:
    from onnx_roialign.conformance.case import attributes_of

    return attributes_of(finding.case.model.graph.node[0])


def _print(found: list[Finding], rounds: int, of: int, output: Path | None) -> None:
    console = Console()
    for finding in found:
        inputs = finding.case.inputs
        attributes = ", ".join(f"{name}={value}" for name, value in _attributes(finding).items()) or "no attributes"
        where = f"opset {finding.case.opset}, {attributes}, X {inputs['X'].dtype} {inputs['X'].shape}"
        boxes = f"rois {inputs['rois'].tolist()}, batch_indices {inputs['batch_indices'].tolist()}"
        for line in (finding.case.id, f"  {finding.cause}", f"  {where}", f"  {boxes}", f"  {finding.result.text}"):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    skipped = "" if rounds == of else f" of {of}; the time was over before the rest, give more --seconds or --jobs"
    console.print(f"{len(found)} findings in {rounds} rounds{skipped}.", highlight=False)
    if output is not None and found:
        console.print(f"Saved: onnx-roialign conform --cases {output}", markup=False, highlight=False, soft_wrap=True)
