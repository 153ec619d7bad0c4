"""What ONNX's own operators take at an opset, as onnx's schemas say it."""

from __future__ import annotations

import onnx

__all__ = ["can_be_cast", "schema_of", "tensor_of", "type_name", "type_text"]

_WRITTEN = {"sequence_type": "seq", "optional_type": "optional"}


def schema_of(op_type: str, opset: int) -> onnx.defs.OpSchema | None:
    """The schema of one of ONNX's own operators at an opset; None where there is no such operator."""
    try:
        return onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        return None


def type_name(kind: int) -> str:
    """An element type (TensorProto.DataType) as schemas write it; its number where it is none."""
    known = kind in onnx.TensorProto.DataType.values()
    return str(onnx.TensorProto.DataType.Name(kind)).lower() if known else str(kind)


def tensor_of(kind: int) -> str:
    """The tensors of an element type, as schemas write them."""
    return f"tensor({type_name(kind)})"


def type_text(kind: onnx.TypeProto) -> str:
    """A type as schemas write it, such as seq(tensor(float)); empty where it is not said."""
    which = kind.WhichOneof("value")
    if which == "tensor_type":
        return tensor_of(kind.tensor_type.elem_type) if kind.tensor_type.elem_type else ""
    if which not in _WRITTEN:
        return ""
    inner = type_text(getattr(kind, which).elem_type)
    return f"{_WRITTEN[which]}({inner})" if inner else ""


def can_be_cast(kind: int, opset: int) -> bool:
    """Whether Cast reads and writes an element type at an opset: bfloat16, for one, from 13 on."""
    schema, tensor = schema_of("Cast", opset), tensor_of(kind)
    return schema is not None and tensor in schema.inputs[0].types and tensor in schema.outputs[0].types
