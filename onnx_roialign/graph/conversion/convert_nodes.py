"""A pass that converts every node of ONNX's own operators, except RoiAlign, to another opset, one at a time."""

from __future__ import annotations

import re

import onnx
import onnx.checker
import onnx_ir as ir
from onnx import version_converter

from onnx_roialign.errors import RoiAlignError, one_line
from onnx_roialign.graph.conversion.changed_meaning import attributes_of_old_meaning, misconverted
from onnx_roialign.graph.conversion.lower_inputs import lower_inputs
from onnx_roialign.graph.conversion.same_operator import has_bodies, is_same, lacking_type
from onnx_roialign.graph.reading.value_types import Known, every_node
from onnx_roialign.graph.reading.values import constant
from onnx_roialign.graph.writing.fresh import Names
from onnx_roialign.graph.writing.unread import remove_unread
from onnx_roialign.ops.nodes import is_roi_align

__all__ = ["ConvertNodes", "check_types"]

_IR_VERSION = 8  # of the models of one node that the converter gets
_SMALL = 1024  # constants of up to this many elements are passed to the converter: axes, sizes, bounds


class _ConverterError(Exception):
    """ONNX's converter, or its checker before and after, refuses a node."""


class ConvertNodes(ir.passes.InPlacePass):
    """Converts a model to another opset node by node; nodes that need no change are kept.

    1. A node with the same meaning in both opsets is kept; so are RoiAligns (`MakeExplicit`) and calls of the model's
       functions. For a lower opset, inputs that were attributes there become attributes first: onnx's converter cannot
       convert most operators to a lower opset, even where nothing changes.
    2. A node that onnx's converter would convert wrongly is an error: see `changed_meaning`.
    3. Every other node is converted by onnx's converter in a model of its own, with the known types and constants of
       its inputs, and replaced by the result.
    4. The bodies of If, Loop and Scan are converted in the same way, and so are functions, each from its own opset.

    Args:
        target: the opset to convert to.
        known: types and shapes, where known.
    """

    def __init__(self, target: int, known: Known) -> None:
        self._target = target
        self._known = known

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules; `modified` of the result is whether any node or opset changed."""
        functions = {(function.domain, function.name) for function in model.functions.values()}
        modified = False
        self._names = Names(model)
        owners: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
        for owner in owners:
            current = owner.opset_imports.get("")
            if current is None or current == self._target:
                continue
            # From the last to the first, so that the inputs of a node are still values with known types.
            for node in reversed(list(every_node(owner))):
                if node.graph is None:
                    continue  # removed with its last reader
                if node.domain == "" and (node.domain, node.op_type) not in functions and not is_roi_align(node):
                    self._convert(node, current)
            owner.opset_imports[""] = self._target
            modified = True
        return ir.passes.PassResult(model, modified)

    def _convert(self, node: ir.Node, current: int) -> None:
        if self._target < current:
            lower_inputs(node, current, self._target)
        lacking = lacking_type(node, self._target, self._known)
        if lacking is None and is_same(node, current, self._target, self._known):
            return
        if lacking is not None:
            raise _refused(node, self._target, f"{lacking}, which opset {self._target} does not have")
        if has_bodies(node):
            reason = f"{node.op_type}, which opset {self._target} does not have or has in another form"
            raise _refused(node, self._target, reason)
        changed = misconverted(node, current, self._target, self._known)
        if changed is not None:
            raise _refused(node, self._target, changed)
        try:
            converted = self._converted(node, current)
        except _ConverterError as error:
            raise _refused(node, self._target, str(error)) from error
        self._replace(node, current, converted)

    def _converted(self, node: ir.Node, current: int) -> onnx.GraphProto:
        """Returns the converter's result for the node, with its inputs and the values of constant inputs."""
        graph = onnx.GraphProto(name="node", node=[ir.to_proto(node)])
        _check(graph.node[0], current)
        for value in dict.fromkeys(value for value in node.inputs if value is not None and value.name):
            numbers = constant(value)
            if numbers is not None and numbers.size <= _SMALL:
                graph.initializer.append(onnx.numpy_helper.from_array(numbers, value.name))
            else:
                graph.input.append(self._typed(value))
        graph.output.extend(self._typed(value) for value in node.outputs if value.name)
        model = onnx.ModelProto(ir_version=_IR_VERSION, graph=graph)
        model.opset_import.add(domain="", version=current)
        try:
            converted = version_converter.convert_version(model, self._target).graph
        except Exception as error:  # the converter's exceptions have no common base
            raise _ConverterError(_reason(error)) from error
        for proto in converted.node:  # the converter may keep attributes that the target does not have
            _check(proto, self._target)
        return converted

    def _typed(self, value: ir.Value) -> onnx.ValueInfoProto:
        name, kind, dims = value.name or "", self._known.type(value), self._known.shape(value)
        if not kind:
            return onnx.ValueInfoProto(name=name, type=self._known.compound(value))
        shape = None if dims is None else [dim if dim != "" else None for dim in dims]
        return onnx.helper.make_tensor_value_info(name, kind, shape)

    def _replace(self, node: ir.Node, current: int, converted: onnx.GraphProto) -> None:
        assert node.graph is not None
        inputs = {value.name: value for value in node.inputs if value is not None}
        outputs = {value.name: value for value in node.outputs if value.name}
        before = [value for value in node.inputs if value is not None]
        values: dict[str, ir.Value] = {name: value for name, value in inputs.items() if name}
        nodes = []
        base = f"{node.name or node.outputs[0].name}/opset_{self._target}"
        for tensor in converted.initializer:
            if tensor.name not in values:
                constant_ = ir.node("Constant", [], {"value": ir.from_proto(tensor)})
                nodes.append(constant_)
                values[tensor.name] = constant_.outputs[0]
                self._known.record(constant_.outputs[0], tensor.data_type, tuple(tensor.dims))
        for proto in converted.node:
            attributes = [ir.from_proto(attribute) for attribute in proto.attribute]
            given = [values[name] if name else None for name in proto.input]
            if proto.op_type == node.op_type:
                old_meaning = attributes_of_old_meaning(node, current, self._target)
                attributes += [ir.AttrString(name, value) for name, value in old_meaning.items()]
            new = ir.Node(proto.domain, proto.op_type, given, attributes, num_outputs=len(proto.output))
            values |= dict(zip(proto.output, new.outputs, strict=True))
            nodes.append(new)
        main = next(node for node in nodes if any(values.get(name) in node.outputs for name in outputs))
        for index, new in enumerate(nodes):
            new.name = node.name if new is main else f"{base}/{index}"
            for position, value in enumerate(new.outputs):
                value.name = self._names.fresh(f"{base}/{index}/output_{position}")
        for name, value in outputs.items():
            self._known.replace(value, values[name or ""])
        ir.convenience.replace_nodes_and_values(
            node.graph, node, [node], nodes, list(outputs.values()), [values[name] for name in outputs]
        )
        for value in before:
            remove_unread(value)


def check_types(model: ir.Model, target: int, known: Known) -> None:
    """Raises an error if an operator of the model has a type that it does not have at the opset.

    `ConvertNodes` cannot check functions, because their values have types only after inlining.

    Args:
        model: at the opset, with its functions inlined.
        target: the opset.
        known: the types of its values.
    """
    for node in every_node(model.graph):
        lacking = lacking_type(node, target, known) if node.domain == "" and not is_roi_align(node) else None
        if lacking is not None:
            raise _refused(node, target, f"{lacking}, which opset {target} does not have")


def _refused(node: ir.Node, target: int, reason: str) -> RoiAlignError:
    where = node.name or next((value.name for value in node.outputs if value.name), None) or ""
    return RoiAlignError("model", "unsupported", f"must be convertible to opset {target}, got {reason}").in_node(where)


def _check(node: onnx.NodeProto, opset: int) -> None:
    """Runs ONNX's checker on a node: the converter crashes on an attribute of a wrong type."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version = _IR_VERSION
    context.opset_imports = {"": opset}
    try:
        onnx.checker.check_node(node, context)
    except Exception as error:  # the checker and protobuf raise exceptions without a common base
        raise _ConverterError(one_line(error)) from error


def _reason(error: Exception) -> str:
    """Returns the converter's message without the line of its source code at the beginning."""
    text = one_line(error)
    match = re.search(r"No (Adapter|Previous).*|Unsupported.*", text) or re.search(r"Assertion.*", text)
    return match.group() if match else text
