"""What the page shows of each case and result, packed: equal texts and arrays once, as deflated JSON in base64."""

from __future__ import annotations

import base64
import json
import shlex
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.conformance.case import Case, attributes_of
from onnx_roialign.conformance.reports.causes import call_of
from onnx_roialign.conformance.reports.document import CaseEntry, Difference, Document, ResultEntry, RunEntry, name_of
from onnx_roialign.conformance.reports.picture import picture
from onnx_roialign.conformance.result import Status

__all__ = ["packed", "page_data"]

_MOST_NUMBERS = 96  # of an input that is written out; of a larger one the first
_DIGITS = (4, 6, 9, 17)


class _Table:
    """Values that are written once each, and referred to by their index."""

    def __init__(self) -> None:
        self._indices: dict[str, int] = {}
        self.values: list[Any] = []

    def index(self, value: Any) -> int:
        """Returns the index of a value, which is added if it is new."""
        key = json.dumps(value)
        if key not in self._indices:
            self._indices[key] = len(self.values)
            self.values.append(value)
        return self._indices[key]


def packed(data: Mapping[str, Any]) -> str:
    """Returns data as JSON, deflated, in base64."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def page_data(document: Document, cases: Mapping[str, Case]) -> dict[str, Any]:
    """Returns what `page.js` reads: runs, cases with a cell for each run, and the texts and arrays that these refer to.

    Args:
        document: of one or more runs.
        cases: the cases by id, for their inputs and pictures; those of other ids have none.
    """
    texts, arrays = _Table(), _Table()
    results = [{result["case"]: result for result in run["results"]} for run in document["runs"]]
    entries = []
    for entry in document["cases"]:
        found = [by_id.get(entry["id"]) for by_id in results]
        made = _case(entry, found, cases.get(entry["id"]), arrays)
        made["cells"] = [None if result is None else _cell(entry, result, texts) for result in found]
        made["source"], made["reason"] = texts.index(entry["source"]), texts.index(entry["tolerance_reason"])
        entries.append(made)
    runs = [{"name": name_of(run), "command": _command(run)} for run in document["runs"]]
    return {"runs": runs, "cases": entries, "texts": texts.values, "arrays": arrays.values}


def _command(run: RunEntry) -> str:
    return shlex.join(["onnx-roialign", "conform", *run["options"], "--case"])


def _case(entry: CaseEntry, results: Sequence[ResultEntry | None], case: Case | None, arrays: _Table) -> dict[str, Any]:
    made: dict[str, Any] = {
        key: entry[key] for key in ("id", "clause", "tier", "opset", "dtype", "outcomes", "requires")
    }
    made["ulps"] = f"{entry['tolerance_ulps']:g}"
    made["quoted"] = shlex.quote(entry["id"])
    # Nobody looks for the inputs of a case that all pass.
    if case is not None and any(result is not None and result["status"] != Status.PASS.value for result in results):
        made["attributes"] = _attributes(case)
        made["inputs"] = [[name, arrays.index(_array(array))] for name, array in case.inputs.items()]
        made["picture"] = _picture(case, results)
    return made


def _picture(case: Case, results: Sequence[ResultEntry | None]) -> dict[str, Any] | None:
    """The RoI of the largest difference, or the first RoI."""
    call = call_of(case)
    differences = [result["differences"] for result in results if result is not None and result["differences"]]
    at = differences[0][0]["at"] if differences else None
    made = None if call is None else picture(call, at[0] if at else 0)
    if made is None:
        return None
    wrong = at[2:] if at and len(at) == 4 else None
    return {"roi": made.roi, "y": astuple(made.y), "x": astuple(made.x), "wrong": wrong}


def _cell(entry: CaseEntry, result: ResultEntry, texts: _Table) -> dict[str, Any]:
    """The result; what is empty is left out."""
    ulps = result["ulps"]
    cell = {
        "status": result["status"],
        "text": texts.index(result["text"]) if result["text"] else None,
        "instead": texts.index(result["instead"]) if result["instead"] else None,
        "known": texts.index(result["known"]) if result["known"] else None,
        "side": entry["outcomes"].index(result["side"]) if result["side"] in entry["outcomes"] else None,
        "ulps": f"{ulps:.3g}" if ulps and result["differences"] else None,
        "values": [_difference(one) for one in result["differences"]] or None,
    }
    return {key: value for key, value in cell.items() if value is not None}


def _difference(one: Difference) -> list[Any]:
    return [one["output"], one["at"], *_told_apart(one["expected"], one["got"])]


def _told_apart(expected: float | str, got: float | str) -> tuple[str, str]:
    """Two numbers with as few digits as tell them apart."""
    pairs = (tuple(_number(value, digits) for value in (expected, got)) for digits in _DIGITS)
    first = ("", "")
    for a, b in pairs:
        first = (a, b)
        if a != b:
            break
    return first


def _number(value: float | str, digits: int) -> str:
    return value if isinstance(value, str) else f"{value:.{digits}g}"


def _array(array: Array) -> dict[str, Any]:
    flat = array.ravel()[:_MOST_NUMBERS]
    if flat.dtype.kind == "V":  # bfloat16, which NumPy does not print
        flat = flat.astype(np.float32)
    values = " ".join(str(value).removesuffix(".0") for value in flat)  # the shortest text that is read as this number
    return {"type": str(array.dtype), "shape": array.shape, "values": values}


def _attributes(case: Case) -> str:
    nodes = [attributes_of(node) for node in case.model.graph.node if node.op_type == "RoiAlign"]
    return "; ".join(", ".join(f"{name}={_given(value)}" for name, value in given.items()) for given in nodes)


def _given(value: Any) -> str:
    return str(np.float32(value)) if isinstance(value, float) else str(value)
