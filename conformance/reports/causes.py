"""What a runtime computes instead of the right result: other values of fields of Semantics, or a known error."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import onnx

from onnx_roialign.arrays import Array, close
from onnx_roialign.conformance.case import Case, Outcome, Tier
from onnx_roialign.conformance.comparing import unit
from onnx_roialign.conformance.kills import fails, takes_mutants_long
from onnx_roialign.conformance.mutants import mutants
from onnx_roialign.conformance.plain import Node
from onnx_roialign.conformance.plain import PlainRoiAlign as Plain
from onnx_roialign.definition.call import Call
from onnx_roialign.definition.onnx_form import relevant
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.identification.result import FIELDS
from onnx_roialign.ops.nodes import is_roi_align, read_attributes

__all__ = ["Wrong", "call_of", "causes"]

# Cases, and what a runtime returned for them that is no accepted outcome; all of one cause.
Wrong = Sequence[tuple[Case, Mapping[str, Array]]]

_ERROR = "the error "
_MOST_PASSED = 40  # of the cases that a runtime passes, to choose between explanations


class _Explanation(NamedTuple):
    """A RoiAlign that may be the runtime's: as a text, whether an output is its, and the RoiAlign itself."""

    text: str
    explains: Callable[[_Output], bool]
    make: Callable[[], Plain]


def causes(wrong: Sequence[Wrong], passed: Sequence[Case] = ()) -> list[str]:
    """Returns a cause for each, as a text; empty where nothing explains it.

    A cause is a value of one field of Semantics (the two about the start and the rule of a maximum count as one), an
    error of `mutants`, or values of two fields, whichever explains the most outputs: a single output often has several
    explanations. Of those that explain as many, it is that of fields, or else the error that fails the fewest of the
    cases that the runtime passes. Unlike `identify_recorded`, this lets ill-conditioned bins count, for most cases have
    coordinates that no order of operations rounds, and lie on a border or at a whole number of samples on purpose.

    Args:
        wrong: the cases of each, with what the runtime returned.
        passed: cases that the runtime passes.
    """
    outputs = [[_Output(case, got) for case, got in pairs] for pairs in wrong]
    texts = [""] * len(wrong)
    left = list(range(len(wrong)))
    few = passed[:: -(-len(passed) // _MOST_PASSED) or 1]
    for explanations in (_fields_and_errors(), _pairs_of_fields()):
        unexplained = []
        while left:
            fitting = [entry for entry in explanations if _explains(entry, outputs[left[0]])]
            if not fitting:
                unexplained.append(left.pop(0))
                continue
            groups = [(entry, [i for i in left if _explains(entry, outputs[i])]) for entry in fitting]
            most = max(len(group) for _, group in groups)
            best = [(entry, group) for entry, group in groups if len(group) == most]
            entry, group = best[0]
            if len(best) > 1 and entry.text.startswith(_ERROR):
                entry, group = min(best, key=lambda found: _failures(found[0], few))
            for i in group:
                texts[i] = entry.text
            left = [i for i in left if i not in group]
        left = unexplained
    return texts


def _explains(explanation: _Explanation, outputs: Sequence[_Output]) -> bool:
    return all(explanation.explains(output) for output in outputs)


def _failures(explanation: _Explanation, passed: Sequence[Case]) -> int:
    return sum(fails(explanation.make(), case) for case in passed)


def _fields_and_errors() -> list[_Explanation]:
    fields = [_of_fields(one) for one in (*_single_fields(), *_maxima())]
    # The mutants of the group semantics/ are the fields once more.
    errors = [mutant for mutant in mutants() if not mutant.name.startswith("semantics/")]
    return [
        *fields,
        *(_Explanation(_ERROR + error.name, partial(_with_error, error.make), error.make) for error in errors),
    ]


def _pairs_of_fields() -> list[_Explanation]:
    pairs = itertools.combinations(_single_fields(), 2)
    return [_of_fields(one | other) for one, other in pairs if one.keys() != other.keys()]


def _of_fields(fields: Mapping[str, Any]) -> _Explanation:
    def node(self: Plain, *arguments: Any) -> Node:
        made = Plain.node(self, *arguments)
        made.meaning.update(fields)
        return made

    return _Explanation(
        _assignments(fields), partial(_with_fields, fields), type("WithFields", (Plain,), {"node": node})
    )


def _single_fields() -> list[dict[str, Any]]:
    return [{field: value} for field, values in FIELDS.items() for value in values]


def _maxima() -> list[dict[str, Any]]:
    return [{"max_rule": rule, "max_start": start} for rule in FIELDS["max_rule"] for start in FIELDS["max_start"]]


def _assignments(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{field}={shown(value)}" for field, value in fields.items())


def _with_fields(fields: Mapping[str, Any], output: _Output) -> bool:
    return output.is_of(fields)


def _with_error(make: Callable[[], Any], output: _Output) -> bool:
    return output.is_of_bounded_size and not fails(make(), output.case_of_it)


class _Output:
    """A wrong output of a case; each effective Semantics is computed once."""

    def __init__(self, case: Case, got: Mapping[str, Array]) -> None:
        expected = next((outcome.outputs for outcome in case.outcomes if outcome.outputs is not None), None) or {}
        alike = expected.keys() == got.keys() and all(
            (got[name].shape, got[name].dtype) == (value.shape, value.dtype) for name, value in expected.items()
        )
        # Mutants take memory in proportion to a box's size, which robust cases make huge.
        bounded = case.tier is not Tier.ROBUST and not takes_mutants_long(case)
        self.is_of_bounded_size = bool(expected and got) and bounded
        tolerance = replace(case.tolerance, ulps=case.tolerance.ulps * _times_as_fine(case, got))
        self.case_of_it = replace(case, outcomes=(Outcome(got),), tolerance=tolerance)
        self._call = call_of(case) if self.is_of_bounded_size and alike and len(got) == 1 else None
        self._Y = next(iter(got.values()), None)
        # Twice the case's: the reference rounds too, where the expected values do not.
        self._tolerance = 2 * case.tolerance.ulps * unit(np.dtype(case.dtype), case.scale)
        self._is_of: dict[Semantics, bool] = {}
        if self._call is not None:
            self._is_of[relevant(self._call.attributes)] = False  # it is wrong

    def is_of(self, fields: Mapping[str, Any]) -> bool:
        """Returns whether the output is that of the call's Semantics with these fields."""
        if self._call is None or self._Y is None:
            return False
        attributes = self._call.attributes
        effective = relevant(replace(attributes, semantics=replace(attributes.semantics, **fields)))
        if effective not in self._is_of:
            self._is_of[effective] = self._returns(self._call, self._Y, effective)
        return self._is_of[effective]

    def _returns(self, call: Call, Y: Array, semantics: Semantics) -> bool:
        try:
            expected = call.expected(semantics)
        except RoiAlignError:  # inputs that have no result
            return False
        return bool(np.all(close(expected, Y, self._tolerance)))


def _times_as_fine(case: Case, got: Mapping[str, Array]) -> float:
    """How many times the type of outputs is as fine as the case's: the tolerance is in units of the outputs' type."""
    with np.errstate(all="ignore"):  # a feature may be infinite in the other type
        fineness = unit(np.dtype(case.dtype), case.scale) / max(
            (unit(array.dtype, case.scale) for array in got.values() if array.dtype.kind in "fV"), default=np.inf
        )
    return max(1.0, float(np.nan_to_num(fineness, posinf=1.0)))


def call_of(case: Case) -> Call | None:
    """Returns the case's call, where its model is one RoiAlign of the model's inputs and constants; else None."""
    graph = case.model.graph
    if len(graph.node) != 1 or not is_roi_align(graph.node[0]) or len(graph.node[0].input) != 3:
        return None
    given = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer} | dict(case.inputs)
    arrays = [given.get(name) for name in graph.node[0].input]
    try:
        attributes = read_attributes(graph.node[0], case.opset)
    except RoiAlignError:
        return None
    X, rois, batch_indices = arrays
    if X is None or rois is None or batch_indices is None:
        return None
    return Call(X, rois, batch_indices, attributes)
