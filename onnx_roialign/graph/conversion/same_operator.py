"""Decides whether a node has the same meaning in another opset, so that it needs no conversion."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx_ir as ir

from onnx_roialign.graph.reading.value_types import Known, Shape, graphs
from onnx_roialign.graph.reading.values import constant, integers
from onnx_roialign.onnx_model.operators import schema_of, tensor_of, type_name

__all__ = ["has_bodies", "is_same", "lacking_type"]

# Between opset 10 and 25 these only gained element types, optional inputs and optional attributes, and, at opset 11,
# negative axes and indices. onnx 1.23's converter has no way down for most of them, not even for Gather from 13 to 12.
_ONLY_GREW = frozenset(
    (
        *("Abs", "Add", "And", "AveragePool", "Cast", "Ceil", "Clip", "Concat", "Constant", "ConstantOfShape"),
        *("Conv", "ConvTranspose", "CumSum", "Div", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor"),
        *("Gather", "GatherElements", "GatherND", "Gemm", "GlobalAveragePool", "Greater", "Identity", "If"),
        *("InstanceNormalization", "LeakyRelu", "Less", "Log", "Loop", "MatMul", "Max", "MaxPool", "Min"),
        *("Mul", "Neg", "NonMaxSuppression", "NonZero", "Not", "Or", "Pad", "Pow", "Range", "Reciprocal"),
        *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
        *("ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Resize"),
        *("Round", "Scan", "ScatterElements", "ScatterND", "Shape", "Sigmoid", "Sign", "Size", "Slice"),
        *("Softplus", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "Tile", "TopK", "Transpose"),
        *("Unsqueeze", "Where"),
    )
)
# Values of attributes that came later: (operator, attribute, value, opset).
_LATER_VALUES = (("Pad", "mode", "wrap", 19), ("Resize", "coordinate_transformation_mode", "half_pixel_symmetric", 19))
# Inputs that may be left out only from an opset on: (operator, position, opset).
_ONCE_REQUIRED = (("Resize", 1, 13), ("Resize", 2, 13))
# Of these a later opset asks what an earlier one had a default for, bounds, or the number of outputs, or means another.
_CHANGES_UP = frozenset(("Clip", "Resize", "Split"))
_NEGATIVE_OPSET = 11  # from which on the branches of an If may have results of other shapes, too


def is_same(node: ir.Node, current: int, target: int, known: Known) -> bool:
    """Returns whether a node of ONNX's own domain has the same meaning in another opset, if that has its types.

    What lies in its bodies is not looked at, and of types only the shapes of branches: see `lacking_type`.

    Args:
        node: of ONNX's own domain, as it stands.
        current: the opset it is in.
        target: the other opset.
        known: shapes, where known.
    """
    here, there = schema_of(node.op_type, current), schema_of(node.op_type, target)
    if here is None or there is None or not there.min_input <= len(node.inputs) <= there.max_input:
        return False
    if here.since_version == there.since_version:
        return True
    if node.op_type not in (_ONLY_GREW if target < current else _ONLY_GREW - _CHANGES_UP):
        return False
    if not _fits(node, here, there) or _later(node, target):
        return False
    return target >= _NEGATIVE_OPSET or not (_negative(node) or _branches_differ(node, known))


def has_bodies(node: ir.Node) -> bool:
    """Returns whether the node has graphs as attributes."""
    kinds = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
    return any(attribute.type in kinds for attribute in node.attributes.values())


def lacking_type(node: ir.Node, opset: int, known: Known) -> str | None:
    """Returns a type of a node that its operator does not have in an opset: "Cast to bfloat16", "Relu of int32".

    In functions no types are known but those that a node's own attribute gives its output.

    Args:
        node: of ONNX's own domain.
        opset: the opset.
        known: types, where known.
    """
    schema = schema_of(node.op_type, opset)
    if schema is None:
        return None
    stated = _stated_type(node)
    stated_types = {tensor_of(stated), f"seq({tensor_of(stated)})"}  # SequenceEmpty's is that of what it holds
    if stated and schema.outputs and stated_types.isdisjoint(schema.outputs[0].types):
        return f"{node.op_type} to {type_name(stated)}"
    for values, parameters in ((node.inputs, schema.inputs), (node.outputs, schema.outputs)):
        for position, value in enumerate(values):
            kind, parameter = known.text(value), _parameter(parameters, position)
            if kind and parameter is not None and kind not in parameter.types:
                return f"{node.op_type} of {type_name(known.type(value)) if known.type(value) else kind}"
    return None


def _parameter(
    parameters: Sequence[onnx.defs.OpSchema.FormalParameter], position: int
) -> onnx.defs.OpSchema.FormalParameter | None:
    """The input or output at a position, of which the last may stand for many; None for one that came later."""
    if position < len(parameters):
        return parameters[position]
    if parameters and parameters[-1].option == onnx.defs.OpSchema.FormalParameterOption.Variadic:
        return parameters[-1]
    return None


def _stated_type(node: ir.Node) -> int:
    """Cast's `to`, the `dtype` of what draws or fills, the tensor of Constant and ConstantOfShape; 0 where none is."""
    for name in ("to", "dtype"):
        attribute = node.attributes.get(name)
        if attribute is not None and not attribute.is_ref() and attribute.type == ir.AttributeType.INT:
            return attribute.as_int()
    attribute = node.attributes.get("value")
    if attribute is not None and not attribute.is_ref() and attribute.type == ir.AttributeType.TENSOR:
        return attribute.as_tensor().dtype.value
    return 0


def _later(node: ir.Node, target: int) -> bool:
    """Returns whether the node uses a feature newer than the target that the schema does not show."""
    for op_type, name, value, opset in _LATER_VALUES:
        attribute = node.attributes.get(name)
        if node.op_type == op_type and attribute is not None and attribute.value == value and target < opset:
            return True
    return any(
        node.op_type == op_type and target < opset and (len(node.inputs) <= position or node.inputs[position] is None)
        for op_type, position, opset in _ONCE_REQUIRED
    )


def _fits(node: ir.Node, new: onnx.defs.OpSchema, old: onnx.defs.OpSchema) -> bool:
    """Whether the older schema has the node's attributes, and the same defaults for the others."""
    if any(name not in old.attributes for name in node.attributes):
        return False
    shared = set(new.attributes) & set(old.attributes) - set(node.attributes)
    return all(
        new.attributes[name].default_value.SerializeToString() == old.attributes[name].default_value.SerializeToString()
        for name in shared
    )


def _negative(node: ir.Node) -> bool:
    """Whether an axis or an index is negative, or may be."""
    for name in ("axis", "axes"):
        if name in node.attributes:
            numbers = integers(node, name)
            if numbers is None or any(number < 0 for number in numbers):
                return True
    if node.op_type not in ("Gather", "Slice"):
        return False
    # Gather: the indices. Slice: its axes and steps; starts and ends could be negative in opset 10 too.
    for one in node.inputs[1:2] if node.op_type == "Gather" else node.inputs[3:]:
        given = constant(one)
        if one is not None and (given is None or bool((given < 0).any())):
            return True
    return False


def _branches_differ(node: ir.Node, known: Known) -> bool:
    """Whether the branches of an If are known to have results of different shapes."""
    if node.op_type != "If":
        return False
    branches = [[known.shape(value) for value in graph.outputs] for graph in graphs(node)]
    return any(_differ(one, other) for one, other in zip(*branches, strict=True)) if len(branches) == 2 else True


def _differ(one: Shape | None, other: Shape | None) -> bool:
    if one is None or other is None:
        return False
    pairs = list(zip(one, other, strict=False))
    return len(one) != len(other) or any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs)
