"""Known deviations: a file per backend that declares the cases it does not pass, with reasons and links to reports.

    {"deviations": [{"case": "onnx/*@22", "status": "unsupported", "reason": "no kernel for opset 22", "link": "https://..."}]}

`case` is an id or a pattern with * and ?; all matching cases must have that status. `status` may be a list if the
machine determines which limit is reached first: ["hung", "exhausted"]. An entry with `versions`, a list of prefixes
such as "1.32.", applies only to these versions of the backend.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from onnx_roialign.errors import RoiAlignError, one_line, shown
from onnx_roialign.files import read_file

from .result import Result, Status

__all__ = ["Deviation", "applied", "read_known"]

_REQUIRED = ("case", "status", "reason")
_OPTIONAL = ("link", "versions")
_STATUSES = tuple(status.value for status in Status if status is not Status.PASS)


@dataclass(frozen=True, slots=True)
class Deviation:
    """An entry of a file of known deviations.

    Attributes:
        case: id of a case, or a pattern with * and ?.
        statuses: the possible statuses of the case; several if the machine determines which limit is reached first.
        reason: the reason, in a sentence.
        link: link to a report of it; empty: there is none.
        versions: prefixes of the versions to which it applies; empty: all versions.
    """

    case: str
    statuses: tuple[Status, ...]
    reason: str
    link: str = ""
    versions: tuple[str, ...] = ()

    def holds_for(self, version: str) -> bool:
        """Whether the entry applies to this version of the backend."""
        return not self.versions or version.startswith(self.versions)


def read_known(path: Path) -> tuple[Deviation, ...]:
    """Returns the entries of a file.

    Raises:
        RoiAlignError: the file is missing or not of this form; the message names it and the entry.
    """
    try:
        content = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError) as error:
        raise RoiAlignError(
            "--known", "form", f"must be a file of known deviations, got {str(path)!r} ({one_line(error)})"
        ) from error
    entries = content.get("deviations") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise RoiAlignError(
            "--known", "form", f'must be a file with a list "deviations", got {shown(content)} in {str(path)!r}'
        )
    return tuple(_entry(entry, f"entry {index} of {str(path)!r}") for index, entry in enumerate(entries))


def _entry(entry: Any, where: str) -> Deviation:
    if not isinstance(entry, dict) or not set(_REQUIRED) <= set(entry) <= {*_REQUIRED, *_OPTIONAL}:
        rule = f"must be an object with {', '.join(_REQUIRED)} and at most {', '.join(_OPTIONAL)}"
        raise RoiAlignError("a known deviation", "form", f"{rule}, got {shown(entry)} ({where})")
    versions = entry.get("versions", [])
    statuses = entry["status"] if isinstance(entry["status"], list) else [entry["status"]]
    texts = [*(entry[name] for name in ("case", "reason", "link") if name in entry), *statuses]
    if not isinstance(versions, list) or not all(isinstance(text, str) and text for text in (*texts, *versions)):
        raise RoiAlignError(
            "a known deviation", "form", f"must hold texts that are not empty, got {shown(entry)} ({where})"
        )
    if not statuses or not set(statuses) <= set(_STATUSES):
        raise RoiAlignError(
            "the status of a known deviation",
            "choice",
            f"must be one of {', '.join(_STATUSES)}, got {entry['status']!r} ({where})",
        )
    link = entry.get("link", "")
    return Deviation(entry["case"], tuple(map(Status, statuses)), entry["reason"], link, tuple(versions))


def applied(
    results: Sequence[Result], entries: Sequence[Deviation], version: str, all_ids: Collection[str] | None
) -> tuple[tuple[Result, ...], tuple[str, ...]]:
    """Returns the results, with the reason where an entry declares them, and a line for each entry that is wrong.

    A backend with such a file must also declare unsupported cases in it: each undeclared one gives a line, too.

    Args:
        results: the results of the backend.
        entries: the content of its file.
        version: the version of the backend.
        all_ids: ids of all cases of the suite, at least one of which each entry must match; None: not checked.
    """
    holding = [entry for entry in entries if entry.holds_for(version)]
    marked = tuple(_marked(result, holding) for result in results)
    lines = [line for entry in holding for line in _wrong(entry, results, all_ids)]
    lines += [
        f"{result.case}: unsupported, which no known deviation declares"
        for result in marked
        if result.status is Status.UNSUPPORTED and not result.known
    ]
    return marked, tuple(lines)


def _marked(result: Result, entries: Sequence[Deviation]) -> Result:
    for entry in entries:
        if result.status in entry.statuses and fnmatchcase(result.case, entry.case):
            return replace(result, known=f"{entry.reason} {entry.link}".strip())
    return result


def _wrong(entry: Deviation, results: Sequence[Result], all_ids: Collection[str] | None) -> Iterator[str]:
    declared = " or ".join(status.value for status in entry.statuses)
    if all_ids is not None and not any(fnmatchcase(name, entry.case) for name in all_ids):
        yield f"{entry.case}: declared as {declared}, but no case has this name"
    for result in results:
        if result.status not in entry.statuses and fnmatchcase(result.case, entry.case):
            end = "passes now" if result.status is Status.PASS else f"is {result.status.value}: {result.text}"
            yield f"{entry.case}: declared as {declared}, but {result.case} {end}"
