"""Writes the reports of conform to files; conform compare compares two reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onnx_roialign.cli.graph import JSON, write_json
from onnx_roialign.extras import imported_for
from onnx_roialign.files import check_output, write_file

if TYPE_CHECKING:
    from onnx_roialign.conformance.case import Case
    from onnx_roialign.conformance.reports.compare import Change
    from onnx_roialign.conformance.reports.document import Document

__all__ = ["compare", "write_reports"]


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
    html: Annotated[Path | None, typer.Option(help="Write a page with the runs of both side by side.")] = None,
) -> int:
    """Compare two reports, result by result; exit code 1 if a result is worse in B."""
    with imported_for("the conformance suite"):
        from onnx_roialign.conformance.cases import all_cases
        from onnx_roialign.conformance.reports.compare import changes
        from onnx_roialign.conformance.reports.document import joined, read
    check_output("--html", html, {"A.json": before, "B.json": after})
    documents = [read(before), read(after)]
    found = list(changes(*documents))
    if html is not None:
        write_reports(joined(documents), all_cases(), None, None, html)
    if as_json:
        write_json({"changes": [_entry(change) for change in found]})
    else:
        _print(found)
    return 1 if any(change.worse for change in found) else 0


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
