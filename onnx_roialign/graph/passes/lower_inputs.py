"""A pass: operators that took an input in place of an attribute get the attribute back, for an older opset."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from onnx_roialign.graph.passes.dead import remove_unread
from onnx_roialign.graph.values import constant

__all__ = ["LowerInputs"]

# The input that an attribute became: at opset 13 for Squeeze, Unsqueeze, ReduceSum and Split, at 18 for the others.
_INPUTS = (
    *((op_type, "axes") for op_type in ("Squeeze", "Unsqueeze", "ReduceSum")),
    *((f"Reduce{kind}", "axes") for kind in ("Max", "Min", "Mean", "Prod", "L1", "L2", "LogSum", "SumSquare")),
    ("Split", "split"),
)


class LowerInputs(ir.passes.InPlacePass):
    """Writes nodes as an older opset writes them, where that means the same.

    1. Axes and split sizes that are a constant input, and an attribute in the older opset, become that attribute.
    2. An attribute that the older opset does not have is removed where it holds its default: its absence means that.

    onnx's converter does the first from opset 13 to 12 only, and has no way further down for the same operators.

    Args:
        target: the older opset.
    """

    def __init__(self, target: int) -> None:
        self._target = target

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules; modified tells whether any node changed."""
        current = model.graph.opset_imports[""]
        nodes = [node for node in ir.traversal.RecursiveGraphIterator(model.graph) if node.domain == ""]
        modified = [self._lower(node, current) for node in nodes if self._target < current]
        return ir.passes.PassResult(model, any(modified))

    def _lower(self, node: ir.Node, current: int) -> bool:
        if not (onnx.defs.has(node.op_type, "") and node.graph is not None):
            return False
        try:
            new, old = (onnx.defs.get_schema(node.op_type, opset, "") for opset in (current, self._target))
        except onnx.defs.SchemaError:
            return False
        return _input_to_attribute(node, new, old) | _drop_defaults(node, new, old)


def _input_to_attribute(node: ir.Node, new: onnx.defs.OpSchema, old: onnx.defs.OpSchema) -> bool:
    name = dict(_INPUTS).get(node.op_type)
    if name is None or name in new.attributes or name not in old.attributes or len(node.inputs) < 2:
        return False
    given = node.inputs[1]
    numbers = constant(given)
    if numbers is None or given is None or numbers.ndim != 1 or numbers.size == 0:
        return False
    node.resize_inputs(1)
    node.attributes.add(ir.AttrInt64s(name, [int(number) for number in numbers]))
    remove_unread(given)
    return True


def _drop_defaults(node: ir.Node, new: onnx.defs.OpSchema, old: onnx.defs.OpSchema) -> bool:
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
    return bool(dropped)
