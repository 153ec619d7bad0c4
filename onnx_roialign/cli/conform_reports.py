"""Writes the reports of conform to files; conform compare compares two reports, conform report joins several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onnx_roialign.cli.options import JSON
from onnx_roialign.cli.output import write_json
from onnx_roialign.extras import imported_for
from onnx_roialign.files import check_output, check_outputs, write_file

if TYPE_CHECKING:
    from onnx_roialign.conformance.case import Case
    from onnx_roialign.conformance.reports.compare import Change
    from onnx_roialign.conformance.reports.document import Document

__all__ = ["HTML", "JUNIT", "MARKDOWN", "compare", "report", "write_reports"]

JUNIT = Annotated[Path | None, typer.Option(help="Write JUnit's XML, for a CI service.")]
MARKDOWN = Annotated[Path | None, typer.Option(help="Write a table and the deviations as Markdown.")]
HTML = Annotated[Path | None, typer.Option(help="Write an HTML page with the matrix and every deviation.")]


def write_reports(
    document: Document, cases: Sequence[Case], junit: Path | None, markdown: Path | None, html: Path | None
) -> None:
    """Writes the reports for which a path is given.

    Raises:
        RoiAlignError: a file cannot be written.
        MissingPackageError: the HTML page needs jinja2, which is not installed.
    """
    from onnx_roialign.conformance.reports import html as page
    from onnx_roialign.conformance.reports import junit as xml
    from onnx_roialign.conformance.reports import markdown as text

    if junit is not None:
        write_file("--junit", junit, xml.junit(document))
    if markdown is not None:
        write_file("--markdown", markdown, text.markdown(document).encode())
    if html is not None:
        write_file("--html", html, page.html(document, cases).encode())


def compare(
    before: Annotated[Path, typer.Argument(metavar="A.json", help="The output of conform --json.")],
    after: Annotated[Path, typer.Argument(metavar="B.json", help="Its output for another version or runtime.")],
    as_json: Annotated[bool, JSON] = False,
    html: HTML = None,
) -> int:
    """Compare two reports, result by result; exit code 1 if a result is worse in B."""
    with imported_for("the conformance suite"):
        from onnx_roialign.conformance.cases import all_cases
        from onnx_roialign.conformance.reports.compare import changes
        from onnx_roialign.conformance.reports.document import joined, read
    check_output("--html", html, {"A.json": before, "B.json": after})
    documents = [read(before), read(after)]
    found = list(changes(*documents))
    worse = any(change.worse for change in found)
    if html is not None:
        write_reports(joined(documents), all_cases(), None, None, html)
    if as_json:
        write_json("conform compare", {"changes": [_entry(change) for change in found], "ok": not worse})
    else:
        _print(found)
    return 1 if worse else 0


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN.json...", help="What conform --json printed.")],
    as_json: Annotated[bool, JSON] = False,
    junit: JUNIT = None,
    markdown: MARKDOWN = None,
    html: HTML = None,
) -> int:
    """Join the reports of several runs; without an option print them as Markdown."""
    with imported_for("the conformance suite"):
        from onnx_roialign.conformance.cases import all_cases
        from onnx_roialign.conformance.reports.document import joined, read
        from onnx_roialign.conformance.reports.markdown import markdown as as_markdown
    inputs: dict[str, Path | None] = {f"report {number}": path for number, path in enumerate(runs, start=1)}
    check_outputs({"--junit": junit, "--markdown": markdown, "--html": html}, inputs)
    made = joined([read(path) for path in runs])
    write_reports(made, all_cases() if html is not None else (), junit, markdown, html)
    if as_json:
        write_json("conform report", {**made, "ok": True})
    elif not (junit or markdown or html):
        typer.echo(as_markdown(made), nl=False)
    return 0


def _entry(change: Change) -> dict[str, object]:
    return {name: getattr(change, name) for name in change.__dataclass_fields__}


def _print(changes: Sequence[Change]) -> None:
    table = Table(box=SIMPLE, show_edge=False, padding=(0, 1, 0, 0))
    for header in ("case", "runs", "before", "after", ""):
        table.add_column(header, overflow="fold")
    for change in sorted(changes, key=lambda change: not change.worse):
        style = "red" if change.worse else "green" if change.after.startswith("pass") else "yellow"
        row = (change.case, change.backend, change.before, change.after, change.text)
        table.add_row(*map(escape, row), style=style)
    console = Console()
    if changes:
        console.print(table)
    worse = sum(change.worse for change in changes)
    console.print(f"{len(changes)} results differ, {worse} got worse.", highlight=False)
