"""The cases as data: a model, its inputs and the outputs that ONNX published for them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from onnx_roialign.arrays import FLOAT32, Array

__all__ = ["Case", "literal_tolerance", "onnx_cases"]

# 12 of the 75 literals of aligned_false differ by 5.0e-5 to 8.4e-5 from every evaluator, ONNX's own included. The
# rounding of a 4-digit literal explains only 5e-5: they were computed from an X with more digits than the published X.
# aligned_true is within 5.0e-5, and mode_max (8 digits) is exact: they were computed from the published X.
X_WAS_ROUNDED_TOO = frozenset({"aligned_false"})

RELABELLED_OPSET = 16  # the first opset with these attributes; opset 22 added only types


@dataclass(frozen=True, slots=True)
class Case:
    """One model with inputs and published outputs.

    Attributes:
        id: unique name of the source, the case in it and the opset.
        clause: the part of the operator that the case tests, in words.
        model: the model to run.
        inputs: one array per graph input.
        expected: one array per graph output.
        tolerance: largest absolute difference that counts as right.
    """

    id: str
    clause: str
    model: onnx.ModelProto
    inputs: Mapping[str, Array]
    expected: Mapping[str, Array]
    tolerance: float


def onnx_cases() -> tuple[Case, ...]:
    """Returns the vectors that ONNX publishes for RoiAlign, each at its own opset and, if that is newer, at opset 16.

    RoiAlign 22 differs from 16 only in its types, so the opset 16 copies test runtimes without the newer operator.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx builds every operator's vectors here; casts of other operators overflow
        from onnx.backend.test.case.node import collect_testcases

        published = collect_testcases("RoiAlign")
    return tuple(case for test in published for case in _with_twin(test))


def _with_twin(test: Any) -> Iterator[Case]:
    opset = next(o.version for o in test.model.opset_import if o.domain == "")
    name = test.name.removeprefix("test_roialign_")
    (arrays, outputs), *rest = test.data_sets
    if rest:
        raise ValueError(f"{test.name} must have one data set, got {1 + len(rest)}")
    inputs = dict(zip([i.name for i in test.model.graph.input], arrays, strict=True))
    expected = dict(zip([o.name for o in test.model.graph.output], outputs, strict=True))
    tolerance = literal_tolerance(outputs[0], inputs["X"], X_was_rounded_too=name in X_WAS_ROUNDED_TOO)
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


def literal_tolerance(expected: Array, X: Array, *, X_was_rounded_too: bool) -> float:
    """Returns the tightest absolute tolerance that decimal literals allow.

    A correct float32 result differs from a literal with d decimals by at most half a unit of the d-th decimal (the
    literal's rounding) plus float32's rounding relative to the features. Where the outputs were computed before X was
    rounded to literals, half a unit of X's last decimal is added: the weights of an average sum to 1 or less.

    Args:
        expected: the literals as float32 numbers.
        X: the features that they were computed from.
        X_was_rounded_too: whether `expected` was computed from more digits of X than were published.
    """
    tolerance = _half_unit(expected) + FLOAT32 * float(np.max(np.abs(X), initial=0.0))
    return tolerance + _half_unit(X) if X_was_rounded_too else tolerance


def _half_unit(literals: Array) -> float:
    # The number of decimals is not stored: it is the smallest that represents every number exactly.
    exact = literals.astype(np.float64)
    for decimals in range(1, 9):
        if np.array_equal(np.round(exact, decimals).astype(literals.dtype), literals):
            return 0.5 * 10.0**-decimals
    return 0.0
