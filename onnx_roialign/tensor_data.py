"""How much data a tensor of a model has, and how much its shape and type ask for."""

from __future__ import annotations

import math

import onnx

__all__ = ["sizes", "weightless"]

_Tensor = onnx.TensorProto

# The field that holds a tensor's numbers where raw_data does not, and how many of its items make one number.
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
    """How many bytes or items a tensor has, and must have."""
    kind, numbers = tensor.data_type, math.prod(tensor.dims)
    bits = _bits(kind)
    if tensor.HasField("raw_data") and kind != _Tensor.STRING:
        return len(tensor.raw_data), (numbers * bits + 7) // 8
    data_field, items = _DATA_FIELDS.get(kind, ("int32_data", 1))
    packed = 8 // bits if bits < 8 and kind != _Tensor.STRING else 1
    return len(getattr(tensor, data_field)), -(-numbers // packed) * items


def _bits(kind: int) -> int:
    """The size of one number; 8 for text, which has none."""
    if kind == _Tensor.STRING:
        return 8
    name = _Tensor.DataType.Name(kind)
    if name.endswith(("INT4", "FLOAT4E2M1")):
        return 4
    return 2 if name.endswith("INT2") else 8 * onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize


def weightless(model: onnx.ModelProto) -> list[str]:
    """The initializers of the model's graph that have no data: a skeleton, which is passed on for its structure."""
    names = []
    for tensor in model.graph.initializer:
        got, wanted = sizes(tensor)
        if not got and wanted and tensor.data_location != _Tensor.EXTERNAL:
            names.append(tensor.name)
    return names
