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
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.identification.recorded import RecordedCall, identify_recorded
from onnx_roialign.identification.result import FIELDS, Value
from onnx_roialign.ops.nodes import is_roi_align, read_attributes

__all__ = ["call_of", "instead"]


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
    calls = [call for case, got in wrong if (call := _recorded(case, got)) is not None]
    if not calls:
        return ""
    try:
        explanations = [_Explanations(call) for call in calls]
        for fields in _few_changes():
            if all(one.explained_by(fields) for one in explanations):
                return ", ".join(f"{field}={shown(value)}" for field, value in fields.items())
        found = identify_recorded(calls) if len(calls) > 1 else None  # it takes seconds: not for every single case
    except RoiAlignError:  # inputs that have no result
        return ""
    return str(found.semantics) if found is not None and found.fits else ""


def _recorded(case: Case, got: Mapping[str, Array]) -> RecordedCall | None:
    call = call_of(case)
    if call is None or len(got) != 1:
        return None
    Y = next(iter(got.values()))
    if Y.shape != call.output_shape or Y.dtype != call.X.dtype:
        return None
    return RecordedCall(call.X, call.rois, call.batch_indices, call.attributes, Y, name=case.id)


def _few_changes() -> Iterator[dict[str, Value]]:
    """Every value of one field, then of two: more fields at once explain anything."""
    single = [{field: value} for field, values in FIELDS.items() for value in values]
    yield from single
    for one, other in itertools.combinations(single, 2):
        if one.keys() != other.keys():
            yield one | other


class _Explanations:
    """Which changes of a call's Semantics return its wrong output; each effective Semantics is computed once."""

    def __init__(self, call: RecordedCall) -> None:
        self._call = call
        self._tolerance = RECORDED * (largest_finite(call.X) or 1.0)
        self._explains = {relevant(call.attributes): False}

    def explained_by(self, fields: Mapping[str, Any]) -> bool:
        attributes = self._call.attributes
        effective = relevant(replace(attributes, semantics=replace(attributes.semantics, **fields)))
        if effective not in self._explains:
            right = close(self._call.expected(effective), self._call.Y, self._tolerance)
            self._explains[effective] = bool(np.all(right))
        return self._explains[effective]
