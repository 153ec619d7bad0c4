"""Builds cases: feature maps, a RoiAlign node with its attributes, and the oracle's result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper

from onnx_roialign.arrays import Array, largest_finite
from onnx_roialign.conformance import oracle
from onnx_roialign.conformance.case import Case, Outcome, Tier, Tolerance
from onnx_roialign.conformance.oracle import HALF_PIXEL, OUTPUT_HALF_PIXEL, Conditioning, Rules

__all__ = [
    "FUNCTIONS_IR_VERSION",
    "IR_VERSIONS",
    "NOTHING_TO_COMPARE",
    "Call",
    "Side",
    "features",
    "full",
    "node_model",
    "numpy_type",
    "positive",
    "refused_case",
    "roi_case",
]

# The version of ONNX's file format that was released with each opset.
IR_VERSIONS: Mapping[int, int] = {10: 5, 11: 6, 16: 8, 22: 10}
FUNCTIONS_IR_VERSION = 8  # the first with model-local functions

# The result of a side of a case: fields of `Rules` that differ from ONNX's; an array; None: an error.
Side = Mapping[str, Any] | Array | None


def features(N: int, C: int, H: int, W: int, *, dtype: str = "float32", seed: int = 0) -> Array:
    """Returns (N, C, H, W) varied numbers of both signs, n / 32 with |n| <= 125: exact in every type."""
    index = np.arange(N * C * H * W, dtype=np.int64) + 1000 * seed
    return _over_32((31 * index * index + 17 * index + index // 7) % 251 - 125, (N, C, H, W), dtype)


def positive(N: int, C: int, H: int, W: int, *, dtype: str = "float32", seed: int = 0) -> Array:
    """Returns (N, C, H, W) varied numbers n / 32 with 0 < n <= 127: exact in every type."""
    index = np.arange(N * C * H * W, dtype=np.int64) + 1000 * seed
    return _over_32((29 * index * index + 19 * index + index // 5) % 127 + 1, (N, C, H, W), dtype)


def full(value: float, N: int = 1, C: int = 1, H: int = 8, W: int = 8, *, dtype: str = "float32") -> Array:
    """Returns (N, C, H, W) equal numbers."""
    return np.full((N, C, H, W), value, numpy_type(dtype))


def _over_32(integers: Array, shape: tuple[int, ...], dtype: str) -> Array:
    made: Array = (integers.reshape(shape) / 32).astype(numpy_type(dtype))
    return made


def _onnx_type(dtype: str) -> int:
    return int(onnx.TensorProto.DataType.Value({"float32": "FLOAT", "float64": "DOUBLE"}.get(dtype, dtype.upper())))


def numpy_type(dtype: str) -> np.dtype[Any]:
    """Returns the NumPy type with this name; bfloat16 is from ml_dtypes."""
    return np.dtype(helper.tensor_dtype_to_np_dtype(_onnx_type(dtype)))


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One RoiAlign on arrays.

    Attributes:
        X: (N, C, H, W) features.
        rois: (num_rois, 4), of X's type.
        batch_indices: (num_rois,) int64.
        opset: the model's opset.
        attributes: the node's attributes; others are omitted.
    """

    X: Array
    rois: Array
    batch_indices: Array
    opset: int
    attributes: Mapping[str, Any]

    @property
    def rules(self) -> Rules:
        """The rules of the node's coordinate_transformation_mode; opset 16 added it with the default half_pixel."""
        default = "half_pixel" if self.opset >= 16 else "output_half_pixel"
        mode = self.attributes.get("coordinate_transformation_mode", default)
        return {"half_pixel": HALF_PIXEL, "output_half_pixel": OUTPUT_HALF_PIXEL}[mode]

    @property
    def _numbers(self) -> dict[str, Any]:
        return {name: value for name, value in self.attributes.items() if name != "coordinate_transformation_mode"}

    @property
    def shape(self) -> tuple[int, ...]:
        """Y's shape."""
        bins = (self.attributes.get(name, 1) for name in ("output_height", "output_width"))
        return (len(self.rois), self.X.shape[1], *bins)

    def expected(self, **changed_rules: Any) -> Array:
        """Returns the oracle's Y."""
        rules = replace(self.rules, **changed_rules)
        return oracle.roi_align(self.X, self.rois, self.batch_indices, rules=rules, **self._numbers)

    def conditioning(self) -> Conditioning:
        """Returns the conditioning of the call."""
        numbers = {name: value for name, value in self._numbers.items() if name != "mode"}
        return oracle.conditioning(self.rois, self.X.shape, rules=self.rules, **numbers)

    def tolerance(self) -> Tolerance:
        """Returns the largest difference from the exact result by float arithmetic in any order of operations."""
        if self.X.dtype.itemsize == 2:
            return Tolerance(1, "computed in float32 and rounded once: the other neighbour of a number near a tie")
        near = self.conditioning()
        sum_ = 4 + near.samples / 8
        if near.exact:
            return Tolerance(sum_, "positions are exact; weights, their products and the sum of the samples round")
        moved = _POSITION_ROUNDINGS * float(np.spacing(self.X.dtype.type(near.reach))) / 2 * self._steepest()
        unit = float(np.spacing(self.X.dtype.type(largest_finite(self.X) or 1.0)))
        return Tolerance(
            math.ceil(sum_ + moved / unit),
            "weights and sums round as they do at exact positions; and four roundings of a position move a sample, "
            "whose value changes with the steepest slope of the features, and in a maximum of weighted neighbours with "
            "the features themselves",
        )

    def _steepest(self) -> float:
        """Returns the largest change of a value per pixel that a sample moves along both axes."""
        if self.attributes.get("mode") == "max":
            return 2 * largest_finite(self.X)
        wide = self.X.astype(np.float64)
        finite = np.where(np.isfinite(wide), wide, 0.0)
        return sum(float(np.max(np.abs(np.diff(finite, axis=axis)), initial=0.0)) for axis in (2, 3))


NOTHING_TO_COMPARE = Tolerance(0, "an error, or zeros and NaN, which are exact")

# start = x * scale - offset, + p * step, + (i + 0.5) * step / g: at most four of these operations round by half a unit
# in the last place of the largest coordinate, and the others by half a unit of a smaller number.
_POSITION_ROUNDINGS = 4


def node_model(
    inputs: Mapping[str, Array], shape: Sequence[int | None], opset: int, shapes: str, attributes: Mapping[str, Any]
) -> onnx.ModelProto:
    """Returns one RoiAlign node as a model.

    Args:
        inputs: the inputs by name.
        shape: shape of Y.
        opset: version of ONNX's operators.
        shapes: how the model declares its inputs and its output: "static", "dynamic" (named dimensions), "unknown"
            (the rank only).
        attributes: the node's attributes.
    """
    symbols = {"X": "NCHW", "rois": ("num_rois", 4), "batch_indices": ("num_rois",), "Y": ("num_rois", "C", *shape[2:])}

    def value(name: str, dtype: str, dims: Sequence[int | None]) -> onnx.ValueInfoProto:
        declared: Sequence[Any] = dims
        if shapes != "static":
            declared = symbols[name] if shapes == "dynamic" else [None] * len(dims)
        return helper.make_tensor_value_info(name, _onnx_type(dtype), declared)

    node = helper.make_node("RoiAlign", list(inputs), ["Y"], name="pool", **attributes)
    graph = helper.make_graph(
        [node],
        "one_roi_align",
        [value(name, str(array.dtype), array.shape) for name, array in inputs.items()],
        [value("Y", str(inputs["X"].dtype), shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSIONS[opset])


def roi_case(
    id: str,
    clause: str,
    X: Array,
    rois: Sequence[Sequence[float]] | Array,
    batch_indices: Sequence[int] | None = None,
    *,
    source: str,
    tier: Tier,
    opset: int = 16,
    shapes: str = "static",
    sides: Mapping[str, Side] | None = None,
    tolerance: Tolerance | None = None,
    **attributes: Any,
) -> Case:
    """Returns the case of one RoiAlign node, whose expected result is the oracle's.

    Args:
        id: group, slash, statement.
        clause: the statement as a sentence.
        X: (N, C, H, W) features; their type is the type of the case.
        rois: (num_rois, 4), rounded to X's type.
        batch_indices: (num_rois,); None: image 0 for every RoI.
        source: the source of the clause.
        tier: the authority of the clause.
        opset: the model's opset.
        shapes: see `node_model`.
        sides: the accepted results by name, if there are several; None: only the oracle's.
        tolerance: the tolerance; None: computed from the conditioning of the call.
        attributes: the node's attributes; others are omitted.
    """
    boxes = np.asarray(rois, np.float64).reshape(-1, 4).astype(X.dtype)
    images = np.zeros(len(boxes), np.int64) if batch_indices is None else np.asarray(batch_indices, np.int64)
    call = Call(X, boxes, images, opset, attributes)
    inputs = {"X": X, "rois": boxes, "batch_indices": images}
    outcomes = tuple(_outcome(call, side, name) for name, side in (sides or {"": {}}).items())
    return Case(
        id,
        clause,
        tier,
        source,
        node_model(inputs, call.shape, opset, shapes, attributes),
        inputs,
        outcomes,
        tolerance or call.tolerance(),
    )


def refused_case(
    id: str,
    clause: str,
    inputs: Mapping[str, Array],
    *,
    source: str,
    opset: int = 16,
    mentions: tuple[str, ...] = (),
    **attributes: Any,
) -> Case:
    """Returns the robust case of one RoiAlign node that must end in an error.

    Args:
        id: group, slash, statement.
        clause: the statement as a sentence.
        inputs: X, rois and batch_indices of any shape and type.
        source: the reason why it is an error.
        opset: the model's opset.
        mentions: words of which the error must contain at least one; empty: any error.
        attributes: the node's attributes.
    """
    model = node_model(inputs, [None] * 4, opset, "static", attributes)
    return Case(
        id, clause, Tier.ROBUST, source, model, inputs, (Outcome(None, "refused", mentions),), NOTHING_TO_COMPARE
    )


def _outcome(call: Call, side: Side, name: str) -> Outcome:
    if side is None:
        return Outcome(None, name)
    return Outcome({"Y": call.expected(**side) if isinstance(side, Mapping) else side}, name)
