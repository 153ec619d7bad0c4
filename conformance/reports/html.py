"""The document as one self-contained HTML page: the matrix runtime x clause, every deviation opening to its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from onnx_roialign.conformance.case import Case, Tier
from onnx_roialign.conformance.reports.document import CaseEntry, Document, RunEntry
from onnx_roialign.conformance.reports.markdown import deviations
from onnx_roialign.conformance.reports.page_data import packed, page_data
from onnx_roialign.conformance.result import Status
from onnx_roialign.extras import imported_for

__all__ = ["html"]

# A sign and a word for each status: colour alone tells nothing to one reader in twelve.
_SIGNS: Mapping[str, str] = {
    Status.PASS.value: "✓",
    Status.FAIL.value: "✗",
    Status.UNSUPPORTED.value: "○",
    Status.CRASHED.value: "☠",
    Status.HUNG.value: "∞",
    Status.EXHAUSTED.value: "▲",
}


def html(document: Document, cases: Sequence[Case] = ()) -> str:
    """Returns the page.

    Args:
        document: of one or more runs.
        cases: the cases, for their inputs and pictures; those of other ids are left out.
    """
    with imported_for("the HTML report"):
        import jinja2
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    folder = files(__package__)
    data = {**page_data(document, {case.id: case for case in cases}), "signs": _SIGNS}
    entries = {case["id"]: case for case in document["cases"]}
    return environment.from_string(folder.joinpath("page.html.jinja").read_text(encoding="utf-8")).render(
        document=document,
        runs=[_run(entries, run) for run in document["runs"]],
        tiers=[tier.value for tier in Tier],
        signs=_SIGNS,
        style=folder.joinpath("page.css").read_text(encoding="utf-8"),
        script=folder.joinpath("page.js").read_text(encoding="utf-8"),
        data=packed(data),
    )


def _run(entries: Mapping[str, CaseEntry], run: RunEntry) -> dict[str, Any]:
    tiers = []
    for tier in Tier:
        counts = run["summary"].get(tier.value, {})
        total = sum(counts.values())
        parts = [(name, counts[name], 100 * counts[name] / total) for name in _SIGNS if counts.get(name)]
        tiers.append({"name": tier.value, "passed": counts.get(Status.PASS.value, 0), "total": total, "parts": parts})
    found = [each for each in deviations(entries, run) if each[0]["status"] != Status.UNSUPPORTED.value]
    return {"entry": run, "tiers": tiers, "deviations": found}
