"""Decides whether a node has the same meaning in another opset, so that it needs no conversion."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx_ir as ir

from onnx_roialign.graph.reading.value_types import Known, Shape, graphs
from onnx_roialign.graph.reading.values import constant, integers
from onnx_roialign.onnx_model.operators import schema_of, tensor_of, type_name

__all__ = ["has_bodies", "is_same", "lacking_type"]

# Between opset 10 and 25 these operators only gained element types, optional inputs and optional attributes, and, at
# opset 11, negative axes and indices. onnx 1.23 cannot convert most of them down, not even Gather from 13 to 12.
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
# Values of attributes that a later opset added: (operator, attribute, value, opset).
_LATER_VALUES = (("Pad", "mode", "wrap", 19), ("Resize", "coordinate_transformation_mode", "half_pixel_symmetric", 19))
# Inputs that may be omitted from an opset on: (operator, position, opset).
_ONCE_REQUIRED = (("Resize", 1, 13), ("Resize", 2, 13))
# Operators for which a later opset requires something that had a default, or changes the meaning.
_CHANGES_UP = frozenset(("Clip", "Resize", "Split"))
_NEGATIVE_OPSET = 11  # the first with negative axes and with different result shapes in the branches of an If


def is_same(node: ir.Node, current: int, target: int, known: Known) -> bool:
    """Returns whether a node of ONNX's own domain has the same meaning in another opset, if its types exist there.

    Its bodies are not compared; types are compared by `lacking_type`.

    Args:
        node: a node of one of ONNX's own operators.
        current: its opset.
        target: the other opset.
        known: the known shapes.
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

    In functions only the types are known that an attribute of a node gives its output.

    Args:
        node: a node of one of ONNX's own operators.
        opset: the opset.
        known: the known types.
    """
    schema = schema_of(node.op_type, opset)
    if schema is None:
        return None
    stated = _stated_type(node)
    stated_types = {tensor_of(stated), f"seq({tensor_of(stated)})"}  # SequenceEmpty states the type of its elements
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
    """The schema's input or output at a position; the last one may be variadic. None if the schema has none there."""
    if position < len(parameters):
        return parameters[position]
    if parameters and parameters[-1].option == onnx.defs.OpSchema.FormalParameterOption.Variadic:
        return parameters[-1]
    return None


def _stated_type(node: ir.Node) -> int:
    """The element type in a node's attributes: `to`, `dtype`, or the type of the tensor `value`; 0 if there is none."""
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
    """Whether the older schema has all attributes of the node and the same defaults for the others."""
    if any(name not in old.attributes for name in node.attributes):
        return False
    shared = set(new.attributes) & set(old.attributes) - set(node.attributes)
    return all(
        new.attributes[name].default_value.SerializeToString() == old.attributes[name].default_value.SerializeToString()
        for name in shared
    )


def _negative(node: ir.Node) -> bool:
    """Whether an axis or an index is or may be negative."""
    for name in ("axis", "axes"):
        if name in node.attributes:
            numbers = integers(node, name)
            if numbers is None or any(number < 0 for number in numbers):
                return True
    if node.op_type not in ("Gather", "Slice"):
        return False
    # The indices of Gather; the axes and steps of Slice, whose starts and ends may be negative at opset 10, too.
    for value in node.inputs[1:2] if node.op_type == "Gather" else node.inputs[3:]:
        given = constant(value)
        if value is not None and (given is None or bool((given < 0).any())):
            return True
    return False


def _branches_differ(node: ir.Node, known: Known) -> bool:
    """Whether the branches of an If have results of different known shapes."""
    if node.op_type != "If":
        return False
    branches = [[known.shape(value) for value in graph.outputs] for graph in graphs(node)]
    return any(_differ(a, b) for a, b in zip(*branches, strict=True)) if len(branches) == 2 else True


def _differ(a: Shape | None, b: Shape | None) -> bool:
    if a is None or b is None:
        return False
    pairs = list(zip(a, b, strict=False))
    return len(a) != len(b) or any(isinstance(m, int) and isinstance(n, int) and m != n for m, n in pairs)
