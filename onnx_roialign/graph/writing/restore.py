"""Restores the fields that onnx-ir drops: documentation, metadata, annotations, unknown fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

import onnx
import onnx_ir as ir
from google.protobuf.message import Message  # type: ignore[import-untyped]

from onnx_roialign.graph.reading.values import LARGEST
from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.ops.nodes import plain_domain

__all__ = ["read", "restored"]

_GRAPH, _GRAPHS = onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS
_SPARSE = (onnx.AttributeProto.SPARSE_TENSOR, onnx.AttributeProto.SPARSE_TENSORS)


def read(model: onnx.ModelProto, *, weights: bool = False) -> ir.Model:
    """Returns the model in onnx-ir, for passes; `restored` brings their changes back into the original.

    It is a copy, because onnx-ir writes names into the tensors that it reads. The copy lacks the data of large
    initializers, unless ``weights``; sparse initializers, which onnx-ir does not read; and the devices of nodes, for
    which onnx-ir prints to stderr. Sparse attributes, which it does not read either, are empty texts with the same
    name. ONNX's own domain is imported as "".
    """
    if weights:
        copy = deepcopy(model)
    else:
        copy = onnx.ModelProto()
        _merge(copy, model, but="graph")
        _merge(copy.graph, model.graph, but="initializer")
        copy.graph.initializer.extend(map(_light, model.graph.initializer))
    copy.ClearField("configuration")
    for scope in scopes(copy):
        if scope.graph is not None:
            del scope.graph.sparse_initializer[:]
        for node in scope.nodes:
            node.ClearField("device_configurations")
            for attribute in node.attribute:
                if attribute.type in _SPARSE:
                    attribute.CopyFrom(onnx.helper.make_attribute(attribute.name, ""))
    graph = ir.from_proto(copy)
    owners: list[ir.Graph | ir.Function] = [graph.graph, *graph.functions.values()]
    for owner in owners:
        for domain in [entry for entry in owner.opset_imports if entry != plain_domain(entry)]:
            owner.opset_imports[plain_domain(domain)] = owner.opset_imports.pop(domain)
    return graph


def _merge(copy: Message, message: Message, *, but: str) -> None:
    """Copies every field of a message except one."""
    for descriptor, value in message.ListFields():
        if descriptor.name == but:
            continue
        if hasattr(value, "MergeFrom"):  # a message, or several of anything
            getattr(copy, descriptor.name).MergeFrom(value)
        else:
            setattr(copy, descriptor.name, value)


def _light(tensor: onnx.TensorProto) -> onnx.TensorProto:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or math.prod(tensor.dims) <= LARGEST:
        return tensor
    return onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)


def restored(original: onnx.ModelProto, changed: onnx.ModelProto) -> onnx.ModelProto:
    """Returns the original with the changes that were made to a copy without some of its fields.

    The nodes (operator, inputs, outputs, attributes), new initializers, the types of new values, and the opsets are
    taken from the copy; initializers that the copy no longer has are removed. Everything else is kept from the
    original, also fields that a later ONNX adds. Nodes are matched by their outputs, everything else by name; a new
    graph is taken from the copy unchanged.

    Args:
        original: the model before; it is not changed.
        changed: the model after.
    """
    result = deepcopy(original)
    result.ir_version = changed.ir_version
    _imports(result.opset_import, changed.opset_import)
    _graph(result.graph, changed.graph)
    functions = {_function_key(function): function for function in changed.functions}
    for function in result.functions:
        after = functions.pop(_function_key(function), None)
        if after is not None:
            before = _outputs(function)
            _imports(function.opset_import, after.opset_import)
            _nodes(function, after)
            _value_info(function, after, before - _outputs(function))
    result.functions.extend(functions.values())
    return result


def _function_key(function: onnx.FunctionProto) -> tuple[str, str, str]:
    return function.domain, function.name, function.overload


def _imports(entries: Any, changed: Iterable[onnx.OperatorSetIdProto]) -> None:
    """Sets the versions and adds new domains; the spelling of ONNX's own domain ("" or "ai.onnx") is kept."""
    versions = {plain_domain(entry.domain): entry for entry in changed}
    for entry in entries:
        if plain_domain(entry.domain) in versions:
            entry.version = versions[plain_domain(entry.domain)].version
    known = {plain_domain(entry.domain) for entry in entries}
    entries.extend(entry for domain, entry in versions.items() if domain not in known)


def _graph(graph: onnx.GraphProto, changed: onnx.GraphProto) -> None:
    """Brings the changes into a graph of the original."""
    before = _values(graph)
    _nodes(graph, changed)
    left = {tensor.name for tensor in changed.initializer}
    _keep(graph.initializer, lambda tensor: tensor.name in left)
    known = {tensor.name for tensor in graph.initializer}
    graph.initializer.extend(tensor for tensor in changed.initializer if tensor.name not in known)
    gone = before - _values(graph)
    _value_info(graph, changed, gone)
    _keep(graph.quantization_annotation, lambda annotation: annotation.tensor_name not in gone)


def _values(graph: onnx.GraphProto) -> set[str]:
    return _outputs(graph) | {tensor.name for tensor in graph.initializer}


def _outputs(owner: Any) -> set[str]:
    return {name for node in owner.node for name in node.output}


def _value_info(owner: Any, changed: Any, gone: set[str]) -> None:
    """Removes the types of removed values, and adds those of new ones."""
    _keep(owner.value_info, lambda value: value.name not in gone)
    after = {value.name: value for value in changed.value_info}
    for value in owner.value_info:
        new = after.pop(value.name, None)
        if new is not None and new.type.tensor_type.elem_type != value.type.tensor_type.elem_type:
            value.type.CopyFrom(new.type)
    made = _outputs(owner)
    owner.value_info.extend(value for name, value in after.items() if name in made)


def _keep(entries: Any, wanted: Callable[[Any], bool]) -> None:
    """Deletes the other entries in place, so that weights are not copied."""
    for index in reversed(range(len(entries))):
        if not wanted(entries[index]):
            del entries[index]


def _nodes(owner: Any, changed: Any) -> None:
    """Takes the nodes of the copy, each with the other fields of the original's node with the same output."""
    before = {_node_key(node): node for node in owner.node}
    nodes = [_node(before.get(_node_key(node)), node) for node in changed.node]
    del owner.node[:]
    owner.node.extend(nodes)


def _node_key(node: onnx.NodeProto) -> tuple[str, ...]:
    output = next((name for name in node.output if name), None)
    return (output,) if output is not None else (node.name, node.op_type, *node.input)


def _node(before: onnx.NodeProto | None, after: onnx.NodeProto) -> onnx.NodeProto:
    if before is None:
        return after
    if before == after:
        return before
    node = deepcopy(before)
    node.op_type = after.op_type
    if plain_domain(before.domain) != plain_domain(after.domain):
        node.domain = after.domain
    for names, new in ((node.input, after.input), (node.output, after.output)):
        if names != new:
            del names[:]
            names.extend(new)
    attributes = _attributes(before.attribute, {attribute.name: attribute for attribute in after.attribute})
    del node.attribute[:]
    node.attribute.extend(attributes)
    return node


def _attributes(
    before: Iterable[onnx.AttributeProto], after: Mapping[str, onnx.AttributeProto]
) -> list[onnx.AttributeProto]:
    kept = {value.name: _attribute(value, after[value.name]) for value in before if value.name in after}
    return [*kept.values(), *(attribute for name, attribute in after.items() if name not in kept)]


def _attribute(before: onnx.AttributeProto, after: onnx.AttributeProto) -> onnx.AttributeProto:
    if before.type == after.type and after.type in (_GRAPH, _GRAPHS):
        attribute = deepcopy(before)
        if after.type == _GRAPH:
            _graph(attribute.g, after.g)
        else:
            for graph, changed in zip(attribute.graphs, after.graphs, strict=True):
                _graph(graph, changed)
        return attribute
    if before.type in _SPARSE or before == after or _bare(ir.to_proto(ir.from_proto(before))) == _bare(after):
        return before
    return after


def _bare(attribute: onnx.AttributeProto) -> onnx.AttributeProto:
    """Returns the attribute without what onnx-ir 1.1 adds to tensors: names and a second copy of the metadata."""
    bare = deepcopy(attribute)
    for tensor in (*((bare.t,) if bare.HasField("t") else ()), *bare.tensors):
        tensor.ClearField("name")
        tensor.ClearField("metadata_props")
    return bare
