"""The document as one self-contained HTML page: the matrix runtime x clause, every deviation opening to its numbers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.conformance.case import Case, Tier, attributes_of
from onnx_roialign.conformance.reports.causes import call_of
from onnx_roialign.conformance.reports.document import CaseEntry, Document, ResultEntry, RunEntry, name_of
from onnx_roialign.conformance.reports.markdown import deviations
from onnx_roialign.conformance.reports.picture import picture
from onnx_roialign.conformance.result import Status
from onnx_roialign.extras import imported_for

__all__ = ["html"]

_MOST_NUMBERS = 96  # of an input that is written out; of a larger one the first
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
    source = files(__package__).joinpath("page.html.jinja").read_text(encoding="utf-8")
    by_id = {case.id: case for case in cases}
    results = [{result["case"]: result for result in run["results"]} for run in document["runs"]]
    rows = [_row(entry, document["runs"], results, by_id.get(entry["id"])) for entry in document["cases"]]
    groups: dict[str, list[Any]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    runs = [_run(run, document) for run in document["runs"]]
    return environment.from_string(source).render(
        document=document,
        groups=groups,
        runs=runs,
        tiers=[tier.value for tier in Tier],
        statuses=[status.value for status in Status],
        signs=_SIGNS,
    )


def _run(run: RunEntry, document: Document) -> dict[str, Any]:
    tiers = []
    for tier in Tier:
        counts = run["summary"].get(tier.value, {})
        total = sum(counts.values())
        parts = (
            [(name, count, 100 * count / total) for name, count in sorted(counts.items(), key=_order)] if total else []
        )
        tiers.append({"name": tier.value, "passed": counts.get(Status.PASS.value, 0), "total": total, "parts": parts})
    known = {case["id"] for case in document["cases"]}
    found = [results for results in deviations(run) if results[0]["case"] in known]
    return {"entry": run, "tiers": tiers, "deviations": [each for each in found if each[0]["status"] != "unsupported"]}


def _order(entry: tuple[str, int]) -> int:
    return list(_SIGNS).index(entry[0])


def _row(
    entry: CaseEntry, runs: Sequence[RunEntry], results: Sequence[Mapping[str, ResultEntry]], case: Case | None
) -> dict[str, Any]:
    group, _, statement = entry["id"].partition("/")
    cells = [_cell(entry, run, found.get(entry["id"])) for run, found in zip(runs, results, strict=True)]
    looked_at = next((cell["differences"][0]["at"] for cell in cells if cell["differences"]), None)
    shown = case if any(cell["status"] not in ("", Status.PASS.value) for cell in cells) else None
    call = call_of(shown) if shown is not None else None
    return {
        "entry": entry,
        "group": group,
        "statement": (statement or group).replace("-", " "),
        "cells": cells,
        "statuses": sorted({cell["status"] for cell in cells if cell["status"]}),
        "inputs": _inputs(shown) if shown is not None else [],
        "attributes": _attributes(shown) if shown is not None else "",
        "picture": picture(call, tuple(looked_at) if looked_at else None) if call is not None else None,
    }


def _cell(entry: CaseEntry, run: RunEntry, result: ResultEntry | None) -> dict[str, Any]:
    name = name_of(run)
    if result is None:
        return {"name": name, "status": "", "sign": "", "side": "", "result": None, "differences": [], "command": ""}
    sides = entry["outcomes"]
    side = chr(ord("A") + sides.index(result["side"])) if result["side"] in sides else ""
    return {
        "name": name,
        "status": result["status"],
        "sign": _SIGNS[result["status"]],
        "side": side,
        "result": result,
        "differences": result["differences"],
        "command": f"onnx-roialign conform --backend {shlex.quote(run['backend'])} --case {shlex.quote(entry['id'])}",
    }


def _inputs(case: Case) -> list[dict[str, str]]:
    return [_array(name, array) for name, array in case.inputs.items()]


def _array(name: str, array: Array) -> dict[str, str]:
    flat = array.ravel()[:_MOST_NUMBERS]
    kept = flat.reshape(array.shape) if flat.size == array.size else flat
    if kept.dtype.kind == "V":  # bfloat16
        kept = kept.astype(np.float32)
    text = np.array2string(kept, separator=", ", threshold=_MOST_NUMBERS + 1, max_line_width=100, precision=9)
    more = f" (the first {_MOST_NUMBERS})" if array.size > flat.size else ""
    return {"name": name, "type": f"{array.dtype} {array.shape}{more}", "text": text}


def _attributes(case: Case) -> str:
    nodes = [node for node in case.model.graph.node if node.op_type == "RoiAlign"]
    return "; ".join(", ".join(f"{name}={value}" for name, value in attributes_of(node).items()) for node in nodes)
