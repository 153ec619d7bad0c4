"""Element types and shapes of a model's values, as far as ONNX's shape inference finds them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import onnx
import onnx.shape_inference

__all__ = ["Known", "known"]

# Larger tensors are weights, which shape inference does not read: the copy it works on goes without them.
_SMALL = 1024


@dataclass(frozen=True, slots=True)
class Known:
    """By value name; a dimension that is open has its name (maybe empty) in the place of a number."""

    types: Mapping[str, int]
    shapes: Mapping[str, tuple[int | str, ...]]


def known(model: onnx.ModelProto) -> Known:
    """Infers types and shapes in the model's graph and the bodies in it; where inference fails, what it declares."""
    light = _without_weights(model)
    with contextlib.suppress(Exception):  # what a broken model makes onnx raise has no common base
        light = onnx.shape_inference.infer_shapes(light, data_prop=True)
    types: dict[str, int] = {}
    shapes: dict[str, tuple[int | str, ...]] = {}
    _collect(light.graph, types, shapes)
    return Known(types, shapes)


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = onnx.GraphProto()
    for field in ("node", "input", "output", "value_info"):
        getattr(graph, field).extend(getattr(model.graph, field))
    for tensor in model.graph.initializer:
        if tensor.ByteSize() <= _SMALL:
            graph.initializer.append(tensor)
        else:
            graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
    graph.name = model.graph.name
    return onnx.ModelProto(
        ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions, graph=graph
    )


def _collect(graph: onnx.GraphProto, types: dict[str, int], shapes: dict[str, tuple[int | str, ...]]) -> None:
    for value in (*graph.input, *graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if value.type.HasField("tensor_type") and tensor.elem_type:
            types[value.name] = tensor.elem_type
        if tensor.HasField("shape"):
            shapes[value.name] = tuple(
                dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in tensor.shape.dim
            )
    for tensor in graph.initializer:
        types[tensor.name], shapes[tensor.name] = tensor.data_type, tuple(tensor.dims)
    for node in graph.node:
        for attribute in node.attribute:
            for body in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                _collect(body, types, shapes)
