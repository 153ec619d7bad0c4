"""The vectors that ONNX publishes for RoiAlign, read from the installed onnx package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx

from onnx_roialign.arrays import Array, largest_finite
from onnx_roialign.conformance.case import Case, Outcome, Tier, Tolerance

from .building import IR_VERSIONS

__all__ = ["cases", "literal_tolerance"]

# 12 of the 75 literals of aligned_false differ by 5.0e-5 to 8.4e-5 from every evaluator, ONNX's own included. The
# rounding of a 4-digit literal explains only 5e-5: they were computed from an X with more digits than the published X.
# aligned_true is within 5.0e-5, and mode_max (8 digits) is exact: they were computed from the published X.
X_WAS_ROUNDED_TOO = frozenset({"aligned_false"})

RELABELLED_OPSET = 16  # the first opset with these attributes; opset 22 added only types


def cases() -> Iterator[Case]:
    """Yields each vector at its own opset and, if that is newer, at opset 16."""
    # The import of its module creates RoiAlign's vectors; collect_testcases creates those of all operators, in 5
    # seconds.
    from onnx.backend.test.case import node
    from onnx.backend.test.case.node import roialign  # noqa: F401

    published = [test for test in node._NodeTestCases if test.model.graph.node[0].op_type == "RoiAlign"]
    for test in published:
        yield from _at_opsets(test)


def _at_opsets(test: Any) -> Iterator[Case]:
    opset = next(o.version for o in test.model.opset_import if o.domain == "")
    name = test.name.removeprefix("test_roialign_")
    (arrays, outputs), *rest = test.data_sets
    if rest:
        raise ValueError(f"{test.name} must have one data set, got {1 + len(rest)}")
    inputs = dict(zip([i.name for i in test.model.graph.input], arrays, strict=True))
    expected = dict(zip([o.name for o in test.model.graph.output], outputs, strict=True))
    tolerance = literal_tolerance(outputs[0], inputs["X"], X_was_rounded_too=name in X_WAS_ROUNDED_TOO)
    clause = f"The result is that of ONNX's vector {name}: {_attributes(test.model.graph.node[0])}."
    for version in dict.fromkeys((opset, min(opset, RELABELLED_OPSET))):
        model = onnx.ModelProto()
        model.CopyFrom(test.model)
        model.ir_version = IR_VERSIONS[version]
        del model.opset_import[:]
        model.opset_import.append(onnx.helper.make_opsetid("", version))
        identifier = f"onnx/{name.replace('_', '-')}@{version}"
        source = f"onnx.backend.test.case.node.roialign, {test.name}"
        yield Case(identifier, clause, Tier.SPEC, source, model, inputs, (Outcome(expected),), tolerance)


def _attributes(node: onnx.NodeProto) -> str:
    values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return ", ".join(f"{k}={v.decode() if isinstance(v, bytes) else v}" for k, v in values.items())


def literal_tolerance(expected: Array, X: Array, *, X_was_rounded_too: bool) -> Tolerance:
    """Returns the tightest tolerance that decimal literals allow.

    A correct float32 result differs from a literal with d decimals by at most half a unit of the d-th decimal (the
    literal's rounding) plus float32's own roundings. Where the outputs were computed before X was rounded to literals,
    half a unit of X's last decimal is added: the weights of an average sum to 1 or less.

    Args:
        expected: the literals as float32 numbers.
        X: the features that they were computed from.
        X_was_rounded_too: whether `expected` was computed from more digits of X than were published.
    """
    literals = _half_unit(expected) + (_half_unit(X) if X_was_rounded_too else 0.0)
    unit = float(np.spacing(np.float32(largest_finite(X) or 1.0)))
    return Tolerance(literals / unit + _ROUNDINGS, "the published numbers are decimal literals, rounded where they end")


# The largest difference by the order of operations at these coordinates of up to 10 pixels: measured at most 4.
_ROUNDINGS = 32


def _half_unit(literals: Array) -> float:
    # The number of decimals is not stored: it is the smallest that represents every number exactly.
    exact = literals.astype(np.float64)
    for decimals in range(1, 9):
        if np.array_equal(np.round(exact, decimals).astype(literals.dtype), literals):
            return 0.5 * 10.0**-decimals
    return 0.0
