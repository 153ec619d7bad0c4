"""Types that ONNX's own operators accept at an opset, from onnx's schemas."""

from __future__ import annotations

from functools import cache, lru_cache

import onnx

__all__ = ["can_be_cast", "schema_of", "tensor_of", "type_name", "type_text"]

_WRITTEN = {"sequence_type": "seq", "optional_type": "optional"}


@lru_cache(1024)  # asked for every node: onnx takes 1.5 us, with an exception 4
def schema_of(op_type: str, opset: int) -> onnx.defs.OpSchema | None:
    """Returns the schema of one of ONNX's own operators at an opset; None if there is no such operator."""
    try:
        return onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        return None


def type_name(kind: int) -> str:
    """Returns an element type (TensorProto.DataType) as schemas write it; for an unknown type the number."""
    return _type_names().get(kind) or str(kind)


@cache
def _type_names() -> dict[int, str]:
    return {number: name.lower() for name, number in onnx.TensorProto.DataType.items()}


def tensor_of(kind: int) -> str:
    """Returns the tensor type with an element type, as schemas write it."""
    return f"tensor({type_name(kind)})"


def type_text(kind: onnx.TypeProto) -> str:
    """Returns a type as schemas write it, such as seq(tensor(float)); empty if it is not declared."""
    which = kind.WhichOneof("value")
    if which == "tensor_type":
        return tensor_of(kind.tensor_type.elem_type) if kind.tensor_type.elem_type else ""
    if which not in _WRITTEN:
        return ""
    inner = type_text(getattr(kind, which).elem_type)
    return f"{_WRITTEN[which]}({inner})" if inner else ""


def can_be_cast(kind: int, opset: int) -> bool:
    """Returns whether Cast supports an element type at an opset: for example bfloat16 from 13 on."""
    schema, tensor = schema_of("Cast", opset), tensor_of(kind)
    return schema is not None and tensor in schema.inputs[0].types and tensor in schema.outputs[0].types
