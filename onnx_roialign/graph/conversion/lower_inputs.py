"""Converts inputs to attributes, as an older opset needs."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from onnx_roialign.graph.reading.values import constant
from onnx_roialign.graph.writing.unread import remove_unread

__all__ = ["lower_inputs"]

# The input that replaced an attribute: at opset 13 for Squeeze, Unsqueeze, ReduceSum and Split, at 18 for the others.
_INPUTS = (
    *((op_type, "axes") for op_type in ("Squeeze", "Unsqueeze", "ReduceSum")),
    *(
        (f"Reduce{kind}", "axes")
        for kind in ("Max", "Min", "Mean", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
    ),
    ("Split", "split"),
)


def lower_inputs(node: ir.Node, current: int, target: int) -> None:
    """Writes a node in the form of an older opset, if the meaning is the same.

    1. Axes and split sizes that are a constant input, and an attribute in the older opset, become that attribute.
    2. An attribute that the older opset does not have is removed if it has its default value.

    onnx's converter does the first only from opset 13 to 12, and cannot convert the same operators further down.

    Args:
        node: a node of one of ONNX's own operators.
        current: its opset.
        target: the older opset.
    """
    try:
        new, old = (onnx.defs.get_schema(node.op_type, opset, "") for opset in (current, target))
    except onnx.defs.SchemaError:
        return
    _input_to_attribute(node, new, old)
    _drop_defaults(node, new, old)


def _input_to_attribute(node: ir.Node, new: onnx.defs.OpSchema, old: onnx.defs.OpSchema) -> None:
    name = dict(_INPUTS).get(node.op_type)
    if name is None or name in new.attributes or name not in old.attributes or len(node.inputs) < 2:
        return
    axes_or_sizes = node.inputs[1]
    numbers = constant(axes_or_sizes)
    if numbers is None or axes_or_sizes is None or numbers.ndim != 1 or numbers.size == 0:
        return
    node.resize_inputs(1)
    node.attributes.add(ir.AttrInt64s(name, [int(number) for number in numbers]))
    remove_unread(axes_or_sizes)


def _drop_defaults(node: ir.Node, new: onnx.defs.OpSchema, old: onnx.defs.OpSchema) -> None:
    dropped = [
        name
        for name, attribute in node.attributes.items()
        if name in new.attributes
        and name not in old.attributes
        and attribute.type in (ir.AttributeType.INT, ir.AttributeType.FLOAT, ir.AttributeType.STRING)
        and new.attributes[name].default_value.name
        and attribute.value == ir.serde.deserialize_attribute(new.attributes[name].default_value).value
    ]
    for name in dropped:
        del node.attributes[name]
