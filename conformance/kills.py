"""The kill table: the cases that each mutant of RoiAlign fails, and the page KILLS.md with the table."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from onnx_roialign.arrays import Array

from .case import Case, Tier
from .cases import all_cases
from .comparing import judge_outputs
from .mutants import mutants
from .plain import PlainRoiAlign
from .result import Status

__all__ = ["fails", "kill_table", "minimal_set", "page", "proving_cases"]

PAGE = Path(__file__).parent / "KILLS.md"


def proving_cases() -> tuple[Case, ...]:
    """Returns the cases that every runtime must pass: those of the tiers spec and settled."""
    return tuple(case for case in all_cases() if case.tier in (Tier.SPEC, Tier.SETTLED))


def kill_table() -> dict[str, tuple[str, ...]]:
    """Returns the ids of the proving cases that each mutant fails, by the mutant's name; runs on all cores."""
    names = [mutant.name for mutant in mutants()]
    with ProcessPoolExecutor() as pool:
        return dict(zip(names, pool.map(_kills, names, chunksize=8), strict=True))


def _kills(name: str) -> tuple[str, ...]:
    make = _by_name()[name]
    return tuple(case.id for case in _cases() if fails(make(), case))


@functools.cache
def _by_name() -> Mapping[str, Callable[[], PlainRoiAlign]]:
    return {mutant.name: mutant.make for mutant in mutants()}


@functools.cache
def _cases() -> tuple[Case, ...]:
    return proving_cases()


def fails(operator: PlainRoiAlign, case: Case) -> bool:
    """Returns whether a RoiAlign fails a case: it returns another result or raises an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mutants overflow and divide by zero
        try:
            got = _run(operator, case)
        except Exception:  # a mutant may raise any exception
            return True
    return judge_outputs(case, got).status is not Status.PASS


def _run(operator: PlainRoiAlign, case: Case) -> Mapping[str, Array]:
    graph = case.model.graph
    if len(graph.node) == 1 and graph.node[0].op_type == "RoiAlign" and not graph.initializer:
        node = graph.node[0]
        X, rois, batch_indices = (case.inputs[name] for name in node.input)
        return {node.output[0]: operator.run(X, rois, batch_indices, case.opset, _given(node, {}))}
    names = [output.name for output in graph.output]
    evaluator = _evaluator(_as_op(operator, case.opset))(case.model)
    return dict(zip(names, evaluator.run(names, dict(case.inputs)), strict=True))


def _evaluator(op: type[Any]) -> type[Any]:
    """Returns an evaluator class with another RoiAlign, which it also passes to the evaluators of functions."""

    def made(self: Any, proto: Any, new_ops: Any = None, **rest: Any) -> None:
        ReferenceEvaluator.__init__(self, proto, new_ops=[op], **rest)

    return type("Evaluator", (ReferenceEvaluator,), {"__init__": made})


def _given(node: onnx.NodeProto, of_the_call: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the attributes of a node; references to a function's attributes are replaced by the call's values."""
    given = {}
    for attribute in node.attribute:
        value = of_the_call[attribute.name] if attribute.ref_attr_name else onnx.helper.get_attribute_value(attribute)
        given[attribute.name] = value.decode() if isinstance(value, bytes) else value
    return given


def _as_op(operator: PlainRoiAlign, opset: int) -> type[Any]:
    def run(self: Any, X: Array, rois: Array, batch_indices: Array, **attributes: Any) -> tuple[Array]:
        return (operator.run(X, rois, batch_indices, opset, _given(self.onnx_node, attributes)),)

    return type("RoiAlign", (OpRun,), {"op_domain": "", "_run": run})


def minimal_set(table: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns few cases that kill every mutant: repeatedly the case that kills most of the remaining mutants."""
    kills: dict[str, set[str]] = {}
    for name, ids in table.items():
        for id_ in ids:
            kills.setdefault(id_, set()).add(name)
    left = {name for name, ids in table.items() if ids}
    chosen = []
    while left:
        best = max(sorted(kills), key=lambda id_: len(kills[id_] & left))
        chosen.append(best)
        left -= kills[best]
    return chosen


def page(table: Mapping[str, Sequence[str]]) -> str:
    """Returns the table as a Markdown page."""
    few = minimal_set(table)
    lines = [
        "# Which cases kill which mutants",
        "",
        "A mutant is a RoiAlign with one error (`mutants/`); a case kills it if the mutant fails the case. Only cases",
        "of the tiers spec and settled count; the RoiAlign without an error (`plain.py`) fails none. This page is",
        "written by",
        "",
        "    python -m onnx_roialign.conformance.kills",
        "",
        f"{len(table)} mutants, {len(proving_cases())} cases. {len(few)} cases are enough to kill all:",
        "",
        *(f"- `{id_}`" for id_ in few),
        "",
        "| mutant | killed by | for example |",
        "|---|---|---|",
        *(f"| {name} | {len(ids)} | {', '.join(f'`{id_}`' for id_ in ids[:2])} |" for name, ids in table.items()),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Writes the page; returns 1 if a mutant survives."""
    table = kill_table()
    PAGE.write_text(page(table), encoding="utf-8")
    survivors = [name for name, ids in table.items() if not ids]
    for name in survivors:
        sys.stderr.write(f"{name} survives\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
