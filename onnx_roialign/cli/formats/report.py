"""What validate found in some models: what every format is written from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from onnx_roialign.cli.output import printable
from onnx_roialign.cli.refusal import WRONG_MODEL, exit_code
from onnx_roialign.errors import RoiAlignError

if TYPE_CHECKING:  # importing onnx_roialign.graph is slow
    from onnx_roialign.graph.findings.finding import Finding, Severity

__all__ = ["LEVELS", "MODEL", "Checked", "Report", "folded", "summary", "where"]

LEVELS: tuple[Severity, ...] = ("error", "warning", "info")  # the worst first
MODEL = "(model)"  # the node of a finding about the whole model


@dataclass(frozen=True, slots=True)
class Checked:
    """One model, and what was found in it.

    Attributes:
        path: the model as the command line names it.
        opset: the version of ONNX's own operators; None: there is no one version, or the model was not read.
        nodes: the number of its nodes; None: it was not read.
        roi_aligns: the name of each RoiAlign.
        findings: the findings that are not ignored.
        ignored: the number of those that are.
        stopped: whether a defect kept its RoiAligns from being checked.
        error: the reason why it was not read; None if it was.
    """

    path: str
    opset: int | None = None
    nodes: int | None = None
    roi_aligns: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    ignored: int = 0
    stopped: bool = False
    error: RoiAlignError | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The checked models.

    Attributes:
        models: in the order of the command line.
        source: what the models were exported from, as the command line names it; None: it is not known.
        fail_on: the least severity that makes the exit code 1.
    """

    models: tuple[Checked, ...]
    source: str | None
    fail_on: Severity

    @property
    def exit_code(self) -> int:
        """0 if every model was checked and no finding fails; else the largest code that a model has."""
        return max(map(self.exit_code_of, self.models), default=0)

    def exit_code_of(self, model: Checked) -> int:
        """The exit code for one model. A model that was not checked fails, whatever is ignored."""
        if model.error is not None:
            return exit_code(model.error)
        return WRONG_MODEL if model.stopped or any(map(self.fails, model.findings)) else 0

    def fails(self, finding: Finding) -> bool:
        """Whether the finding makes the exit code 1."""
        return LEVELS.index(finding.severity) <= LEVELS.index(self.fail_on)


def folded(findings: Sequence[Finding]) -> Iterator[tuple[Finding, tuple[str, ...]]]:
    """Yields findings that differ only in the node as one, with the nodes; empty for a finding about the model."""
    nodes: dict[Finding, list[str]] = {}
    for finding in findings:
        nodes.setdefault(replace(finding, node=""), []).append(finding.node)
    for finding, names in nodes.items():
        yield finding, tuple(filter(None, names))


def where(nodes: Sequence[str]) -> str:
    """Returns the nodes of a folded finding in a few words."""
    if not nodes:
        return MODEL
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return printable(nodes[0]) + more


def summary(report: Report) -> str:
    """Returns the number of RoiAligns that were checked, and of findings, in a sentence; "" if no model was read."""
    read = [model for model in report.models if model.error is None]
    if not read:
        return ""
    checked = sum(len(model.roi_aligns) for model in read if not model.stopped)
    severities = Counter(finding.severity for model in read for finding in model.findings)
    found = [_count(severities[level], level) for level in LEVELS if severities[level]]
    ignored = sum(model.ignored for model in read)
    if ignored:
        found.append(f"{ignored} ignored")
    unread = len(report.models) - len(read)
    if unread:
        found.append(f"{_count(unread, 'model')} not read")
    if not found:
        found.append("nothing is wrong" + ("" if report.source else " that can be found without --source"))
    return f"{_count(checked, 'RoiAlign')} in {_count(len(read), 'model')} checked: {', '.join(found)}"


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"
