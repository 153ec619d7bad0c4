"""Models in which every field of ONNX's messages is filled, found by reflection, so that new fields are filled too."""

from __future__ import annotations

from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor

_DEEPEST = 6  # graphs hold nodes, whose attributes hold graphs

# Fields that cannot have any value: another value makes it a different model, or no model. The models below set them.
MEANING = frozenset(
    (
        *("ModelProto.graph", "ModelProto.functions", "ModelProto.opset_import", "ModelProto.ir_version"),
        *("GraphProto.node", "GraphProto.input", "GraphProto.output", "GraphProto.initializer"),
        "GraphProto.sparse_initializer",
        *("NodeProto.input", "NodeProto.output", "NodeProto.op_type", "NodeProto.domain", "NodeProto.overload"),
        *("NodeProto.attribute", "AttributeProto.type", "AttributeProto.name", "AttributeProto.ref_attr_name"),
        *("FunctionProto.name", "FunctionProto.domain", "FunctionProto.overload", "FunctionProto.node"),
        *("FunctionProto.input", "FunctionProto.output", "FunctionProto.opset_import"),
        *("FunctionProto.attribute", "FunctionProto.attribute_proto"),
        *("TensorProto.dims", "TensorProto.data_type", "TensorProto.name", "TensorProto.segment"),
        *("TensorProto.external_data", "TensorProto.data_location"),
        *(f"TensorProto.{kind}_data" for kind in ("raw", "float", "int32", "int64", "double", "uint64", "string")),
        *("TensorShapeProto.dim", "Dimension.dim_value", "Dimension.dim_param"),
    )
)


def fill(message: Any, depth: int = 0) -> None:
    """Fills every field of a message that is empty and not in MEANING; filled messages are filled further."""
    for field in message.DESCRIPTOR.fields:
        name = f"{message.DESCRIPTOR.name}.{field.name}"
        repeated = field.is_repeated
        present = bool(getattr(message, field.name)) if repeated else message.HasField(field.name)
        one_of = field.containing_oneof
        if present:
            if field.message_type is not None:
                for part in getattr(message, field.name) if repeated else (getattr(message, field.name),):
                    fill(part, depth + 1)
        elif name in MEANING or (one_of is not None and message.WhichOneof(one_of.name) is not None):
            continue
        elif message.DESCRIPTOR.name == "AttributeProto" and field.name != "doc_string":
            continue  # one of its values is set, and no other may be
        elif field.message_type is not None:
            if depth < _DEEPEST:
                fill(getattr(message, field.name).add() if repeated else getattr(message, field.name), depth + 1)
        elif repeated:
            getattr(message, field.name).append(_scalar(field, name))
        else:
            setattr(message, field.name, _scalar(field, name))


def _scalar(field: Any, name: str) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return f"{name} filled"
    if field.type == FieldDescriptor.TYPE_BYTES:
        return f"{name} filled".encode()
    if field.type == FieldDescriptor.TYPE_ENUM:
        return field.enum_type.values[-1].number
    return 1


def paths(message: Any, before: str = "") -> dict[str, Any]:
    """Every scalar of a message by its path; entries of lists by their name or key if they have one."""
    found: dict[str, Any] = {}
    for field, value in message.ListFields():
        path = f"{before}/{field.name}"
        entries = value if field.is_repeated else (value,)
        for index, part in enumerate(entries):
            place = f"{path}[{_label(part, index)}]" if field.is_repeated else path
            if field.message_type is None:
                found[place] = part
            else:
                found |= paths(part, place)
    return found


def _label(entry: Any, index: int) -> str:
    if isinstance(entry, onnx.NodeProto):
        return entry.output[0]
    for name in ("name", "key", "tensor_name", "domain"):
        label = getattr(entry, name, "")
        if isinstance(label, str) and label:
            return label
    return str(index)
