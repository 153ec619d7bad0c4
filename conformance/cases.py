"""The cases: a model, its inputs and the answer that somebody else published, as data."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from onnx_roialign.arrays import FLOAT32, Array

__all__ = ["Case", "literal_tolerance", "onnx_cases"]

# 12 of the 75 literals of aligned_false differ by 5.0e-5 to 8.4e-5 from every evaluator's answer, ONNX's own included,
# where the rounding of a 4-digit literal explains 5e-5: its answer was computed from an X that had more digits.
# aligned_true is within 5.0e-5 and mode_max, of 8 digits, is exact: those were computed from the X that is published.
X_WAS_ROUNDED_TOO = frozenset({"aligned_false"})

RELABELLED_OPSET = 16  # the oldest RoiAlign with these attributes; 22 added types only


@dataclass(frozen=True, slots=True)
class Case:
    """One question with its published answer.

    Attributes:
        id: unique; names the source, the case in it, and the opset.
        clause: what part of the operator the case is about, in words.
        model: the whole model that asks.
        inputs: array per graph input.
        expected: array per graph output.
        tolerance: largest absolute difference that still is right.
    """

    id: str
    clause: str
    model: onnx.ModelProto
    inputs: Mapping[str, Array]
    expected: Mapping[str, Array]
    tolerance: float


def onnx_cases() -> tuple[Case, ...]:
    """Returns the vectors that ONNX publishes for RoiAlign, each at its own opset and, if newer, at opset 16 too.

    The opset 16 twins ask the same question of runtimes without the newer one: RoiAlign 22 differs in types alone.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # collecting builds every operator's vectors; other operators' casts overflow
        from onnx.backend.test.case.node import collect_testcases

        published = collect_testcases("RoiAlign")
    return tuple(case for test in published for case in _with_twin(test))


def _with_twin(test: Any) -> Iterator[Case]:
    opset = next(o.version for o in test.model.opset_import if o.domain == "")
    name = test.name.removeprefix("test_roialign_")
    (arrays, answers), *rest = test.data_sets
    if rest:
        raise ValueError(f"{test.name} must have one data set, got {1 + len(rest)}")
    inputs = dict(zip([i.name for i in test.model.graph.input], arrays, strict=True))
    expected = dict(zip([o.name for o in test.model.graph.output], answers, strict=True))
    tolerance = literal_tolerance(answers[0], inputs["X"], X_was_rounded_too=name in X_WAS_ROUNDED_TOO)
    clause = f"ONNX's own vector {name}: {_attributes(test.model.graph.node[0])}"
    for version in dict.fromkeys((opset, min(opset, RELABELLED_OPSET))):
        model = onnx.ModelProto()
        model.CopyFrom(test.model)
        del model.opset_import[:]
        model.opset_import.append(onnx.helper.make_opsetid("", version))
        yield Case(f"onnx/{name}@{version}", clause, model, inputs, expected, tolerance)


def _attributes(node: onnx.NodeProto) -> str:
    values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return ", ".join(f"{k}={v.decode() if isinstance(v, bytes) else v}" for k, v in values.items())


def literal_tolerance(answer: Array, X: Array, *, X_was_rounded_too: bool) -> float:
    """Returns the tightest absolute tolerance that decimal literals allow.

    A right float32 result differs from a literal of d decimals by half a unit of the d-th at most, which is the
    literal's own rounding, plus its own rounding relative to the features. Where the answer was computed before X was
    rounded to literals, half a unit of X's last decimal comes on top: the weights of an average sum to 1 or less.

    Args:
        answer: the literals as float32 numbers.
        X: the features that they were computed from.
        X_was_rounded_too: whether the answer was computed from more digits of X than were published.
    """
    tolerance = _half_unit(answer) + FLOAT32 * float(np.max(np.abs(X), initial=0.0))
    return tolerance + _half_unit(X) if X_was_rounded_too else tolerance


def _half_unit(literals: Array) -> float:
    # The decimals of a literal are not stored: they are the fewest that give every number back.
    exact = literals.astype(np.float64)
    for decimals in range(1, 9):
        if np.array_equal(np.round(exact, decimals).astype(literals.dtype), literals):
            return 0.5 * 10.0**-decimals
    return 0.0
