"""Two documents side by side: what changed from one to the other, and whether something got worse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from onnx_roialign.conformance.reports.document import Document, ResultEntry, RunEntry, name_of
from onnx_roialign.conformance.result import Status

__all__ = ["Change", "changes"]

_BEST_FIRST = (
    Status.PASS,
    Status.UNSUPPORTED,
    Status.FAIL,
    Status.EXHAUSTED,
    Status.HUNG,
    Status.CRASHED,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One case with another result.

    Attributes:
        case: its id.
        backend: names of both runs, "onnxruntime 1.31.0 -> 1.32.0".
        before: status in the first document; "absent" where the case was not in it.
        after: status in the second.
        text: what the second says.
        worse: whether it is a regression: a pass that is none now, or a status further from it.
    """

    case: str
    backend: str
    before: str
    after: str
    text: str
    worse: bool


def changes(before: Document, after: Document) -> Iterator[Change]:
    """Yields every result that differs, and every case that one document lacks.

    Runs are compared by the backend's name, of several versions in their order; where each document has one run, these
    two, whatever their names.
    """
    for old, new in _pairs(before, after):
        name = f"{name_of(old)} -> {name_of(new)}"
        results = {result["case"]: result for result in old["results"]}
        for result in new["results"]:
            was = results.pop(result["case"], None)
            if was is None:
                yield Change(result["case"], name, "absent", result["status"], result["text"], worse=False)
            elif (was["status"], was["side"]) != (result["status"], result["side"]):
                yield Change(
                    result["case"], name, _shown(was), _shown(result), result["text"], worse=_worse(was, result)
                )
        for case, was in results.items():
            gone = was["status"] == Status.PASS.value
            yield Change(case, name, was["status"], "absent", "the case did not run", worse=gone)


def _pairs(before: Document, after: Document) -> Iterator[tuple[RunEntry, RunEntry]]:
    if len(before["runs"]) == 1 == len(after["runs"]):
        yield before["runs"][0], after["runs"][0]
        return
    left = list(after["runs"])
    for old in before["runs"]:
        new = next((run for run in left if run["backend"] == old["backend"]), None)
        if new is not None:
            left.remove(new)
            yield old, new


def _shown(result: ResultEntry) -> str:
    return result["status"] + (f" ({result['side']})" if result["side"] else "")


def _worse(was: ResultEntry, now: ResultEntry) -> bool:
    order = [status.value for status in _BEST_FIRST]
    return order.index(now["status"]) > order.index(was["status"])
