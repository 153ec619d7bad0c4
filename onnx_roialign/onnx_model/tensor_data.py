"""The data of a model's tensors: its actual and required size, and copies of a model without it."""

from __future__ import annotations

import math
import os

import onnx

__all__ = ["sizes", "weightless", "without_weights"]

_Tensor = onnx.TensorProto

# Tensors with more elements are weights; no shape depends on their values.
_SMALL = 1024

# The field with a tensor's numbers if raw_data has none, and the number of its items per number.
_DATA_FIELDS: dict[int, tuple[str, int]] = {
    _Tensor.FLOAT: ("float_data", 1),
    _Tensor.COMPLEX64: ("float_data", 2),
    _Tensor.DOUBLE: ("double_data", 1),
    _Tensor.COMPLEX128: ("double_data", 2),
    _Tensor.INT64: ("int64_data", 1),
    _Tensor.UINT32: ("uint64_data", 1),
    _Tensor.UINT64: ("uint64_data", 1),
    _Tensor.STRING: ("string_data", 1),
}


def sizes(tensor: onnx.TensorProto) -> tuple[int, int]:
    """Returns the number of bytes or items that a tensor has and the number that it must have."""
    kind, numbers = tensor.data_type, math.prod(tensor.dims)
    bits = _bits(kind)
    if tensor.HasField("raw_data") and kind != _Tensor.STRING:
        return len(tensor.raw_data), (numbers * bits + 7) // 8
    data_field, items = _DATA_FIELDS.get(kind, ("int32_data", 1))
    packed = 8 // bits if bits < 8 and kind != _Tensor.STRING else 1
    return len(getattr(tensor, data_field)), -(-numbers // packed) * items


def _bits(kind: int) -> int:
    """Returns the number of bits of an element; 8 for text."""
    if kind == _Tensor.STRING:
        return 8
    name = _Tensor.DataType.Name(kind)
    if name.endswith(("INT4", "FLOAT4E2M1")):
        return 4
    return 2 if name.endswith("INT2") else 8 * onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize


def weightless(model: onnx.ModelProto, folder: str | None) -> list[str]:
    """Returns the names of the initializers of the model's graph whose data was removed or is not there.

    Args:
        model: a model without defects.
        folder: of the model's file, beside which its external data lies; None: it is not known.
    """
    return [tensor.name for tensor in model.graph.initializer if not _has_data(tensor, folder)]


def _has_data(tensor: onnx.TensorProto, folder: str | None) -> bool:
    if tensor.data_location != _Tensor.EXTERNAL:
        got, wanted = sizes(tensor)
        return bool(got or not wanted)
    if folder is None:
        return True
    told = {entry.key: entry.value for entry in tensor.external_data}
    path = os.path.join(folder, told["location"])
    needed = (math.prod(tensor.dims) * _bits(tensor.data_type) + 7) // 8
    if not os.path.isfile(path) or int(told.get("length", needed)) < needed:
        return False
    return bool(os.path.getsize(path) >= int(told.get("offset", 0)) + needed)


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy without weights, to infer types and shapes: two copies of the weights may not fit in memory."""
    light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    graph = light.graph
    graph.name = model.graph.name
    for field in ("input", "output", "value_info"):
        getattr(graph, field).extend(getattr(model.graph, field))
    graph.initializer.extend(map(_light, model.graph.initializer))
    for node in model.graph.node:
        if any(a.HasField("t") and _is_large(a.t) for a in node.attribute):  # a Constant
            copy = graph.node.add(op_type=node.op_type, domain=node.domain, name=node.name)
            copy.input.extend(node.input)
            copy.output.extend(node.output)
            for a in node.attribute:
                large = a.HasField("t") and _is_large(a.t)
                copy.attribute.append(onnx.AttributeProto(name=a.name, type=a.type, t=_light(a.t)) if large else a)
        else:
            graph.node.append(node)
    return light


def _is_large(tensor: onnx.TensorProto) -> bool:
    return bool(math.prod(tensor.dims) > _SMALL or tensor.ByteSize() > 64 * _SMALL)


def _light(tensor: onnx.TensorProto) -> onnx.TensorProto:
    return _Tensor(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims) if _is_large(tensor) else tensor
