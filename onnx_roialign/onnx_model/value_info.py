"""Writes the types and shapes of private operators' outputs into a model, for tools without these operators."""

from __future__ import annotations

import onnx

from onnx_roialign.onnx_model.scopes import infer, name_domain_once, private_types, scopes
from onnx_roialign.onnx_model.tensor_data import without_weights
from onnx_roialign.ops.table import op_of

__all__ = ["add_value_info"]


def add_value_info(model: onnx.ModelProto) -> None:
    """Adds the element type and shape of every private operator's output that the model does not declare.

    Float16 converters, quantizers and shape inference stop at unknown operators unless the model declares their
    outputs. Functions are not changed, because the types of their values depend on the call.

    Args:
        model: the model, which is changed.
    """
    if not private_types(model):
        return
    light = without_weights(model)
    name_domain_once(light)
    for scope, typed in zip(tuple(scopes(model)), scopes(infer(light, data_prop=True)), strict=True):
        if scope.graph is not None and typed.graph is not None:
            _describe(scope.graph, typed.graph)


def _private_outputs(graph: onnx.GraphProto) -> list[str]:
    return [name for node in graph.node if op_of(node) for name in node.output if name]


def _describe(graph: onnx.GraphProto, typed: onnx.GraphProto) -> None:
    names = _private_outputs(graph)
    if not names:
        return
    types = {value.name: value.type for value in (*typed.value_info, *typed.output) if _has_type(value)}
    entries = {value.name: value for value in (*graph.value_info, *graph.output)}
    for name in names:
        if name not in types or (name in entries and _has_type(entries[name])):
            continue
        entry = entries[name] if name in entries else graph.value_info.add(name=name)
        entry.type.CopyFrom(types[name])


def _has_type(value: onnx.ValueInfoProto) -> bool:
    return bool(value.type.tensor_type.elem_type)
