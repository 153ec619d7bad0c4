"""What a runtime computes instead of the right result: other values of fields of Semantics, or a known error."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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
_MOST_TOGETHER = 3  # causes of one output
_COMMON = 4  # outputs of a cause that is not likely to fit by chance
_MOST_ROIS = 100  # of an output that are looked at, for a mutant takes long
_MOST_PASSED = 40  # of the cases that a runtime passes, to choose between explanations


class _Explanation(NamedTuple):
    """A RoiAlign that may be the runtime's: as a text, whether an output is its, and the RoiAlign itself."""

    text: str
    explains: Callable[[_Output], bool]
    make: type[Plain]


_Group = tuple[_Explanation, list[int]]  # with the numbers of the outputs that it explains


def causes(wrong: Sequence[Wrong], passed: Sequence[Case] = ()) -> list[str]:
    """Returns a cause for each, as a text; empty where nothing explains it.

    A cause is a value of one field of Semantics (the two about the start and the rule of a maximum count as one) or an
    error of `mutants`, whichever explains the most outputs; the passed cases that an error fails count against it. A
    single output often has several explanations: of those that explain as many, it is that of fields. What none
    explains, or only one that explains few others, may have two or three common causes together; else it may have
    values of two fields. Unlike `identify_recorded`, this lets ill-conditioned bins count, for most cases have
    coordinates that no order of operations rounds, and lie on a border or at a whole number of samples on purpose.

    Args:
        wrong: the cases of each, with what the runtime returned.
        passed: cases that the runtime passes.
    """
    outputs = [[_Output(case, got) for case, got in pairs] for pairs in wrong]
    few = passed[:: -(-len(passed) // _MOST_PASSED) or 1]
    everything = range(len(wrong))
    found = _explained(everything, outputs, _fields_and_errors(), few)
    # What explains few outputs may fit them by chance: causes that are common, together, come before it.
    counts = Counter(entry.text for entry in found.values())
    common = {entry.text: entry for entry in found.values() if counts[entry.text] >= _COMMON}
    rare = [i for i in everything if i not in found or found[i].text not in common]
    for count in range(2, _MOST_TOGETHER + 1):
        more = _explained(rare, outputs, _together(list(common.values()), count), few)
        found |= more
        rare = [i for i in rare if i not in more]
    found |= _explained([i for i in rare if i not in found], outputs, _pairs_of_fields(), few)
    return [found[i].text if i in found else "" for i in everything]


def _explained(
    these: Iterable[int],
    outputs: Sequence[Sequence[_Output]],
    explanations: Sequence[_Explanation],
    passed: Sequence[Case],
) -> dict[int, _Explanation]:
    """Returns the best explanation of each of these outputs that has one."""
    made: dict[int, _Explanation] = {}
    left = list(these)
    while left:
        fitting = [entry for entry in explanations if _explains(entry, outputs[left[0]])]
        if not fitting:
            left.pop(0)
            continue
        groups = [(entry, [i for i in left if _explains(entry, outputs[i])]) for entry in fitting]
        entry, group = _best(groups, passed)
        made |= dict.fromkeys(group, entry)
        left = [i for i in left if i not in group]
    return made


def _best(groups: Sequence[_Group], passed: Sequence[Case]) -> _Group:
    """Returns the explanation of the most outputs; each passed case that an error fails counts against it."""
    best, highest = groups[0], -math.inf
    for entry, group in sorted(groups, key=lambda found: -len(found[1])):
        if len(group) <= highest:
            break  # none of the others explains more
        against = passed if entry.text.startswith(_ERROR) else ()
        score = len(group) - sum(fails(entry.make(), case) for case in against)
        if score > highest:
            best, highest = (entry, group), score
    return best


def _explains(explanation: _Explanation, outputs: Sequence[_Output]) -> bool:
    return all(explanation.explains(output) for output in outputs)


def _fields_and_errors() -> list[_Explanation]:
    fields = [_of_fields(one) for one in (*_single_fields(), *_maxima())]
    # The mutants of the group semantics/ are the fields once more.
    errors = [mutant for mutant in mutants() if not mutant.name.startswith("semantics/")]
    return [*fields, *(_of_class(_ERROR + error.name, type(error.make())) for error in errors)]


def _together(common: Sequence[_Explanation], count: int) -> list[_Explanation]:
    """Several causes in one RoiAlign: the steps of each on those of the next."""
    made = []
    for group in itertools.combinations(common, count):
        together = type("Together", tuple(one.make for one in group), {})
        made.append(_of_class(" and ".join(one.text for one in group), together))
    return made


def _pairs_of_fields() -> list[_Explanation]:
    pairs = itertools.combinations(_single_fields(), 2)
    return [_of_fields(one | other) for one, other in pairs if one.keys() != other.keys()]


def _of_fields(fields: Mapping[str, Any]) -> _Explanation:
    class WithFields(Plain):
        def node(self, *arguments: Any) -> Node:
            made = super().node(*arguments)
            made.meaning.update(fields)
            return made

    return _Explanation(_assignments(fields), partial(_with_fields, fields, WithFields), WithFields)


def _of_class(text: str, made: type[Plain]) -> _Explanation:
    return _Explanation(text, partial(_with_error, made), made)


def _single_fields() -> list[dict[str, Any]]:
    return [{field: value} for field, values in FIELDS.items() for value in values]


def _maxima() -> list[dict[str, Any]]:
    return [{"max_rule": rule, "max_start": start} for rule in FIELDS["max_rule"] for start in FIELDS["max_start"]]


def _assignments(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{field}={shown(value)}" for field, value in fields.items())


def _with_fields(fields: Mapping[str, Any], make: type[Plain], output: _Output) -> bool:
    return output.is_of(fields) if output.is_of_a_call else _with_error(make, output)


def _with_error(make: type[Plain], output: _Output) -> bool:
    return output.is_of_bounded_size and not fails(make(), output.case_for(make()))


class _Output:
    """A wrong output of a case; each effective Semantics is computed once."""

    def __init__(self, case: Case, got: Mapping[str, Array]) -> None:
        # Mutants take memory in proportion to a box's size, which robust cases make huge.
        self.is_of_bounded_size = bool(got) and case.tier is not Tier.ROBUST and _outputs(case) is not None
        if self.is_of_bounded_size and takes_mutants_long(case):
            case, got = _of_the_first_rois(case, got)
        expected = _outputs(case) or {}
        alike = expected.keys() == got.keys() and all(
            (got[name].shape, got[name].dtype) == (value.shape, value.dtype) for name, value in expected.items()
        )
        tolerance = replace(case.tolerance, ulps=case.tolerance.ulps * _times_as_fine(case, got))
        self._case = replace(case, outcomes=(Outcome(got),), tolerance=tolerance)
        self._call = call_of(case) if self.is_of_bounded_size and len(got) == 1 else None
        self.is_of_a_call = self._call is not None
        self._Y = next(iter(got.values()), None) if alike else None
        # Twice the case's: the reference rounds too, where the expected values do not.
        self._tolerance = 2 * case.tolerance.ulps * unit(np.dtype(case.dtype), case.scale)
        self._is_of: dict[Semantics, bool] = {}
        if self._call is not None:
            self._is_of[relevant(self._call.attributes)] = False  # it is wrong

    def case_for(self, other: Plain) -> Case:
        """Returns the case with what it got as the right result, within the type that the other one computes in."""
        if self._case.dtype != "float64" or other.real(np.dtype(np.float64)) is np.float64:
            return self._case
        coarser = float(np.finfo(np.float32).eps / np.finfo(np.float64).eps)
        tolerance = replace(self._case.tolerance, ulps=self._case.tolerance.ulps * coarser)
        return replace(self._case, tolerance=tolerance)

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


def _outputs(case: Case) -> Mapping[str, Array] | None:
    return next((outcome.outputs for outcome in case.outcomes if outcome.outputs is not None), None)


def _of_the_first_rois(case: Case, got: Mapping[str, Array]) -> tuple[Case, Mapping[str, Array]]:
    """A case of one RoiAlign with only its first RoIs, and what it got for them."""

    def first(arrays: Mapping[str, Array], names: Sequence[str]) -> Mapping[str, Array]:
        return {name: array[:_MOST_ROIS] if name in names else array for name, array in arrays.items()}

    node = case.model.graph.node[0]
    outcomes = tuple(Outcome(first(_outputs(case) or {}, node.output), outcome.name) for outcome in case.outcomes)
    short = replace(case, inputs=first(case.inputs, node.input[1:]), outcomes=outcomes)
    return short, first(got, node.output)


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
