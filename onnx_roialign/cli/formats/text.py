"""Findings as text: one line each, `path: node: code: severity: text`; on a wide terminal a table per model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onnx_roialign.cli.formats.report import Report, folded, summary, where
from onnx_roialign.cli.output import printable

if TYPE_CHECKING:
    from onnx_roialign.graph.findings.finding import Finding

__all__ = ["as_text", "findings_table", "is_wide", "lines"]

_WIDE = 140  # columns of a terminal from which on a table is easier to read than lines
_STYLES = (("error", "bold red"), ("warning", "yellow"), ("info", "dim"))


def as_text(report: Report) -> str:
    """Returns a line or a row of a table for each finding, and a line that counts what was checked."""
    console = Console()
    counted = summary(report)
    if not is_wide(console):
        found = [f"{printable(model.path)}: {line}" for model in report.models for line in lines(model.findings)]
        return "\n".join([*found, *filter(None, [counted])])
    with console.capture() as captured:
        for model in report.models:
            if model.findings:
                console.print(findings_table(model.findings, printable(model.path)))
        console.print(counted, markup=False, highlight=False)
    return captured.get().rstrip("\n")


def is_wide(console: Console) -> bool:
    """Whether findings fit better into a table than into lines, which a terminal may wrap and a program may read."""
    return console.is_terminal and console.width >= _WIDE


def lines(findings: Sequence[Finding]) -> Iterator[str]:
    """Yields a line for each finding, equal ones as one: node: code: severity: text."""
    for finding, nodes in folded(findings):
        yield f"{where(nodes)}: {finding.code}: {finding.severity}: {printable(finding.text)}"


def findings_table(findings: Sequence[Finding], title: str) -> Table:
    """Returns the table of a model's findings, equal ones in one row."""
    table = Table(title=escape(title), title_justify="left", show_lines=True)
    for header in ("severity", "code", "node"):
        table.add_column(header, overflow="fold")
    table.add_column("finding and effect", ratio=1)
    table.add_column("repair")
    for finding, nodes in folded(findings):
        style = dict(_STYLES)[finding.severity]
        text = f"{escape(printable(finding.message))}\n[dim]{escape(finding.effect)}[/]"
        fixes = "yes" if finding.repairable else "no"
        table.add_row(f"[{style}]{finding.severity}[/]", finding.code, escape(where(nodes)), text, fixes)
    return table
