"""The document as Markdown: a table of runs, and for each run its deviations, one line for those of one cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from onnx_roialign.conformance.case import Tier
from onnx_roialign.conformance.reports.document import CaseEntry, Document, ResultEntry, RunEntry, name_of
from onnx_roialign.conformance.result import Status, without_numbers

__all__ = ["deviations", "markdown"]

_LONGEST_TEXT = 240  # of a runtime's error, which may be a page

_MIXED = "mixtures/"  # cases of many clauses at once: one of a single clause shows more

# Of each contested case: the sides, and the names of the runs that take each with the text of their result: an error's.
_Takers = dict[str, dict[str, dict[str, str]]]


def markdown(document: Document) -> str:
    """Returns the text: passed and ran per tier of each run, every result that is not a pass, and the sides taken."""
    cases = {case["id"]: case for case in document["cases"]}
    takers = _takers(document)
    lines = [
        *_table(document),
        *(line for run in document["runs"] for line in _run(cases, run, takers)),
        *_sides(takers),
    ]
    return "\n".join(lines) + "\n"


def _table(document: Document) -> Iterator[str]:
    tiers = [tier.value for tier in Tier]
    yield f"| runtime | {' | '.join(tiers)} | unsupported |"
    yield "|" + "---|" * (len(tiers) + 2)
    for run in document["runs"]:
        cells = [_passed(run, tier) for tier in tiers]
        unsupported = sum(counts.get(Status.UNSUPPORTED.value, 0) for counts in run["summary"].values())
        yield f"| {_cell(name_of(run))} | {' | '.join(cells)} | {unsupported} |"


def _passed(run: RunEntry, tier: str) -> str:
    counts = run["summary"].get(tier, {})
    ran = sum(counts.values()) - counts.get(Status.UNSUPPORTED.value, 0)
    return f"{counts.get(Status.PASS.value, 0)} of {ran}"


def _run(cases: Mapping[str, CaseEntry], run: RunEntry, takers: _Takers) -> Iterator[str]:
    yield ""
    yield f"## {_cell(name_of(run))}"
    yield ""
    lines = [*map(_deviation, deviations(cases, run)), *_minorities(name_of(run), takers)]
    yield from (f"- {line}" for line in lines)
    if not lines:
        yield "No deviations."
    yield from (f"- **Wrong entry of known deviations**: {_cell(entry)}" for entry in run["wrong_entries"])


def deviations(cases: Mapping[str, CaseEntry], run: RunEntry) -> Iterator[list[ResultEntry]]:
    """Yields the results that are not a pass, those of one cause together, of each the smallest case first.

    Results have one cause where one Semantics explains them, or where status and text (up to the numbers' places) are
    the same, and for values that nothing explains the group of cases too.
    """
    causes: dict[tuple[str, str], list[ResultEntry]] = {}
    for result in run["results"]:
        if result["status"] != Status.PASS.value:
            text = result["instead"] or without_numbers(_rule(result)) or result["case"]
            causes.setdefault((result["status"], result["known"] or text), []).append(result)

    def complexity(result: ResultEntry) -> tuple[int, bool, int]:
        case = cases[result["case"]]
        return len(case["requires"]), case["id"].startswith(_MIXED), case["size"]

    for results in causes.values():
        yield sorted(results, key=complexity)


def _rule(result: ResultEntry) -> str:
    """The text; of wrong values without the values, and with the group of the case: their causes are not known."""
    if not result["differences"]:
        return result["text"]
    rule = result["text"].split(", got")[0]
    return f"{result['case'].split('/')[0]}: {rule}" if " ULP " in rule else rule


def _deviation(results: list[ResultEntry]) -> str:
    first = results[0]
    others = f" and {len(results) - 1} more" if len(results) > 1 else ""
    known = f" (known: {_cell(first['known'])})" if first["known"] else ""
    cause = f": RoiAlign with {_cell(first['instead'])}" if first["instead"] else ""
    text = f": {_cell(first['text'])}" if first["text"] else ""
    return f"**{first['status']}**{known} `{first['case']}`{others}{cause}{text}"


def _takers(document: Document) -> _Takers:
    takers: _Takers = {case["id"]: {} for case in document["cases"] if case["tier"] == Tier.CONTESTED.value}
    for run in document["runs"]:
        for result in run["results"]:
            if result["case"] in takers and result["side"]:
                takers[result["case"]].setdefault(result["side"], {})[name_of(run)] = result["text"]
    return {id_: sides for id_, sides in takers.items() if sides}


def _minorities(name: str, takers: _Takers) -> Iterator[str]:
    """A line for each side that a run takes with less than half of the runs, or that is an error."""
    found: dict[str, list[str]] = {}
    for id_, sides in takers.items():
        total = sum(map(len, sides.values()))
        for side, texts in sides.items():
            if error := texts.get(name):
                computed = total - sum(1 for others in sides.values() for text in others.values() if text)
                line = f"{_cell(error)} ({computed} of {total} runtimes here return a result)"
                found.setdefault(line, []).append(id_)
            elif name in texts and 2 * len(texts) < total:
                found.setdefault(f"{_cell(side)}, as {len(texts)} of {total} runtimes here", []).append(id_)
    for text, ids in found.items():
        others = f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        yield f"**contested** `{ids[0]}`{others}: {text}"


def _sides(takers: _Takers) -> Iterator[str]:
    """A line for each contested case: which runs are on which side."""
    if takers:
        yield from ("", "## Where implementations disagree", "")
    for id_, sides in takers.items():
        texts = (f"**{_cell(side)}**: {_cell(', '.join(names))}" for side, names in sides.items())
        yield f"- `{id_}`: {'; '.join(texts)}"


def _cell(text: str) -> str:
    """The beginning of a foreign text, without line ends and with Markdown's own characters escaped."""
    words = " ".join(text.split())
    kept = words if len(words) <= _LONGEST_TEXT else words[:_LONGEST_TEXT].rstrip() + "…"
    return kept.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
