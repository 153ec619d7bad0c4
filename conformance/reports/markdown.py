"""The document as Markdown: a table of runs, and for each run its deviations, one line for those of one cause."""

from __future__ import annotations

from collections.abc import Iterator

from onnx_roialign.conformance.case import Tier
from onnx_roialign.conformance.reports.document import Document, ResultEntry, RunEntry
from onnx_roialign.conformance.result import Status, without_numbers

__all__ = ["deviations", "markdown"]


def markdown(document: Document) -> str:
    """Returns the text: passed and ran per tier of each run, and every result that is not a pass."""
    return "\n".join([*_table(document), *(line for run in document["runs"] for line in _run(document, run))]) + "\n"


def _table(document: Document) -> Iterator[str]:
    tiers = [tier.value for tier in Tier]
    yield f"| runtime | {' | '.join(tiers)} | unsupported |"
    yield "|" + "---|" * (len(tiers) + 2)
    for run in document["runs"]:
        cells = [_passed(run, tier) for tier in tiers]
        unsupported = sum(counts.get(Status.UNSUPPORTED.value, 0) for counts in run["summary"].values())
        yield f"| {_cell(run['backend'])} {_cell(run['version'])} | {' | '.join(cells)} | {unsupported} |"


def _passed(run: RunEntry, tier: str) -> str:
    counts = run["summary"].get(tier, {})
    ran = sum(counts.values()) - counts.get(Status.UNSUPPORTED.value, 0)
    return f"{counts.get(Status.PASS.value, 0)} of {ran}"


def _run(document: Document, run: RunEntry) -> Iterator[str]:
    contested = {case["id"] for case in document["cases"] if case["tier"] == Tier.CONTESTED.value}
    yield ""
    yield f"## {_cell(run['backend'])} {_cell(run['version'])}".rstrip()
    yield ""
    found = list(deviations(run))
    if not found:
        yield "No deviations."
    for results in found:
        yield f"- {_deviation(results)}"
    yield from (f"- **Wrong entry of known deviations**: {_cell(entry)}" for entry in run["wrong_entries"])
    sides = [result for result in run["results"] if result["case"] in contested and result["side"]]
    if sides:
        yield ""
        yield "Where implementations disagree: " + "; ".join(
            f"`{result['case']}`: {_cell(result['side'])}" for result in sides
        )


def deviations(run: RunEntry) -> Iterator[list[ResultEntry]]:
    """Yields the results that are neither a pass nor plainly unsupported, those of one cause together.

    Results have one cause where one Semantics explains them, or where status and text (up to the numbers' places) are
    the same.
    """
    causes: dict[tuple[str, str], list[ResultEntry]] = {}
    for result in run["results"]:
        if result["status"] != Status.PASS.value:
            text = result["instead"] or without_numbers(result["text"].split(", got")[0]) or result["case"]
            causes.setdefault((result["status"], result["known"] or text), []).append(result)
    yield from causes.values()


def _deviation(results: list[ResultEntry]) -> str:
    first = results[0]
    others = f" and {len(results) - 1} more" if len(results) > 1 else ""
    known = f" (known: {_cell(first['known'])})" if first["known"] else ""
    cause = f": RoiAlign with {_cell(first['instead'])}" if first["instead"] else ""
    text = f": {_cell(first['text'])}" if first["text"] else ""
    return f"**{first['status']}**{known} `{first['case']}`{others}{cause}{text}"


def _cell(text: str) -> str:
    """Markdown's own characters and line ends of foreign texts, so that no table breaks."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
