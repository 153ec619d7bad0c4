"""convert_opset: a model at another opset, in which every RoiAlign means what it meant."""

from __future__ import annotations

import re

import onnx
import onnx.inliner
import onnx_ir as ir
from onnx import version_converter

from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.known import known
from onnx_roialign.graph.passes.hide_nodes import HIDDEN, HideNodes
from onnx_roialign.graph.passes.lower_inputs import LowerInputs
from onnx_roialign.graph.sites import resolved
from onnx_roialign.model import Model, parse
from onnx_roialign.semantics import FIRST_OPSET, HALF_PIXEL_OPSET

__all__ = ["convert_opset"]

# onnx's converter copies tensors, and does not know those that lie in other files: larger ones go around it.
_SMALL = 1024


def convert_opset(model: Model, target: int, *, private_op: bool = False) -> onnx.ModelProto:
    """The model at another opset, up or down; every RoiAlign answers what it answered.

    The default of coordinate_transformation_mode is output_half_pixel below opset 16 and half_pixel from there on, so
    it is written wherever the target has the attribute. The rest of the model is onnx's version converter's to
    convert; on the way down, operators that are the same in the older opset stay as they are, for which that converter
    has no rule. The model's functions are inlined.

    Args:
        model: path, bytes or ModelProto; it is not changed. External data stays where it is.
        target: version of ONNX's own operators, from 10 to the newest that the installed onnx knows.
        private_op: whether a RoiAlign that the target cannot say becomes ``onnx_roialign::AnyRoiAlign``.

    Raises:
        RoiAlignError: no model, no such opset, a RoiAlign that the target cannot say (the text says what would change
            and by how much), or another operator that cannot be converted.
    """
    newest = onnx.defs.onnx_opset_version()
    if isinstance(target, bool) or not isinstance(target, int) or not FIRST_OPSET <= target <= newest:
        raise RoiAlignError(f"target must be an opset from {FIRST_OPSET} to {newest}, got {target!r}")
    proto = parse(model)
    current = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), None)
    if current is None:
        raise RoiAlignError("model must import ONNX's own operators, got a model without them")
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    if current == target:
        return copy
    if proto.graph.sparse_initializer:
        raise RoiAlignError("model must have no sparse initializers for another opset, got some")
    graph = ir.from_proto(resolved(copy))
    LowerInputs(target)(graph)
    HideNodes(target, known(proto, graph).types, private=private_op)(graph)
    hidden = ir.to_proto(graph)
    if hidden.functions:
        hidden = _inlined(hidden)
    converted = _converted(hidden, target)
    _show(converted.graph, target)
    imports = [entry for entry in converted.opset_import if entry.domain != HIDDEN]
    del converted.opset_import[:]
    converted.opset_import.extend(imports)
    if target > current:
        converted.ir_version = max(converted.ir_version, onnx.helper.find_min_ir_version_for(imports, True))
    for field in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        setattr(converted, field, getattr(proto, field))
    del converted.metadata_props[:]
    converted.metadata_props.extend(proto.metadata_props)
    return converted


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions; the inliner does not import the domains of what was in them."""
    imported = {entry.domain for entry in model.opset_import}
    for function in model.functions:
        for entry in function.opset_import:
            if entry.domain not in imported:
                model.opset_import.append(entry)
                imported.add(entry.domain)
    return onnx.inliner.inline_local_functions(model, convert_version=True)


def _converted(model: onnx.ModelProto, target: int) -> onnx.ModelProto:
    """The model by onnx's converter, its larger initializers as inputs meanwhile."""
    large = [tensor for tensor in model.graph.initializer if tensor.ByteSize() > _SMALL or tensor.external_data]
    small = [tensor for tensor in model.graph.initializer if tensor.ByteSize() <= _SMALL and not tensor.external_data]
    declared = {value.name for value in model.graph.input}
    del model.graph.initializer[:]
    model.graph.initializer.extend(small)
    added = [tensor for tensor in large if tensor.name not in declared]
    model.graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in added
    )
    try:
        converted = version_converter.convert_version(model, target)
    except Exception as error:  # the converter's own exceptions are RuntimeError and worse
        raise RoiAlignError(f"model must be convertible to opset {target}, got {_reason(error)}") from error
    names = {tensor.name for tensor in added}
    inputs = [value for value in converted.graph.input if value.name not in names]
    del converted.graph.input[:]
    converted.graph.input.extend(inputs)
    converted.graph.initializer.extend(large)
    return converted


def _reason(error: Exception) -> str:
    """The converter's text without the line of its source that it starts with."""
    text = " ".join(str(error).split())
    match = re.search(r"No (Adapter|Previous).*|Unsupported.*", text) or re.search(r"Assertion.*", text)
    return match.group() if match else text


def _show(graph: onnx.GraphProto, target: int) -> None:
    for node in graph.node:
        if node.domain == HIDDEN:
            node.domain = ""
            if node.op_type == "RoiAlign" and target < HALF_PIXEL_OPSET:
                kept = [one for one in node.attribute if one.name != "coordinate_transformation_mode"]
                del node.attribute[:]
                node.attribute.extend(kept)
        for attribute in node.attribute:
            for body in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                _show(body, target)
