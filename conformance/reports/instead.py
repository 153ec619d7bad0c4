"""What a runtime computes instead of the right result: the Semantics that explains its output."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from onnx_roialign.arrays import RECORDED, Array, close, largest_finite
from onnx_roialign.conformance.case import Case
from onnx_roialign.definition.call import Call
from onnx_roialign.definition.onnx_form import relevant
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.identification.recorded import RecordedCall, identify_recorded
from onnx_roialign.identification.result import FIELDS, Value
from onnx_roialign.ops.nodes import is_roi_align, read_attributes

__all__ = ["Explanations", "call_of", "few_changes", "instead", "recorded_call", "told"]


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


def instead(wrong: Iterable[tuple[Case, Mapping[str, Array]]]) -> str:
    """Returns which fields of Semantics, set to which values, explain all of these outputs; empty where none do.

    The fewest fields that do, one or two; if more are needed, the Semantics that `identify_recorded` finds. The first
    step lets ill-conditioned bins count, unlike `identify_recorded`: most cases have coordinates that no order of
    operations rounds, and lie on a border or at a whole number of samples on purpose.

    Args:
        wrong: cases, and what a runtime returned for them that is no accepted outcome.
    """
    calls = [call for case, got in wrong if (call := recorded_call(case, got)) is not None]
    if not calls:
        return ""
    explanations = [Explanations(call) for call in calls]
    for fields in few_changes():
        if all(one.explained_by(fields) for one in explanations):
            return told(fields)
    if len(calls) == 1:  # identify_recorded takes seconds: not for every single case
        return ""
    try:
        found = identify_recorded(calls)
    except RoiAlignError:  # inputs that have no result
        return ""
    return str(found.semantics) if found.fits else ""


def told(fields: Mapping[str, Value]) -> str:
    """Returns fields of Semantics with their values as reports show them: "offset=0, end_shift=1"."""
    return ", ".join(f"{field}={shown(value)}" for field, value in fields.items())


def recorded_call(case: Case, got: Mapping[str, Array]) -> RecordedCall | None:
    """Returns the call of a case with one RoiAlign and what a runtime returned; None where it is no such case."""
    call = call_of(case)
    if call is None or len(got) != 1:
        return None
    Y = next(iter(got.values()))
    if Y.shape != call.output_shape or Y.dtype != call.X.dtype:
        return None
    return RecordedCall(call.X, call.rois, call.batch_indices, call.attributes, Y, name=case.id)


def few_changes() -> Iterator[dict[str, Value]]:
    """Every value of one field, then of two: more fields at once explain anything."""
    single = [{field: value} for field, values in FIELDS.items() for value in values]
    yield from single
    for one, other in itertools.combinations(single, 2):
        if one.keys() != other.keys():
            yield one | other


class Explanations:
    """Which changes of a call's Semantics return its wrong output; each effective Semantics is computed once."""

    def __init__(self, call: RecordedCall) -> None:
        self._call = call
        self._tolerance = RECORDED * (largest_finite(call.X) or 1.0)
        self._explains = {relevant(call.attributes): False}

    def explained_by(self, fields: Mapping[str, Any]) -> bool:
        """Returns whether the output is that of the call's Semantics with these fields."""
        attributes = self._call.attributes
        effective = relevant(replace(attributes, semantics=replace(attributes.semantics, **fields)))
        if effective not in self._explains:
            self._explains[effective] = self._returns(effective)
        return self._explains[effective]

    def _returns(self, semantics: Semantics) -> bool:
        try:
            expected = self._call.expected(semantics)
        except RoiAlignError:  # inputs that have no result
            return False
        return bool(np.all(close(expected, self._call.Y, self._tolerance)))
