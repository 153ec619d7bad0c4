"""Runs ONNX's own checker and its inference of types and shapes on a model."""

from __future__ import annotations

import onnx
import onnx.checker
import onnx.shape_inference

from onnx_roialign.errors import one_line
from onnx_roialign.graph.reading.value_types import inferable
from onnx_roialign.onnx_model.scopes import bodies, name_domain_once, private_types
from onnx_roialign.ops.nodes import is_ours
from onnx_roialign.ops.schema import known_to_onnx

__all__ = ["misfit_of_types", "refusal"]

_HIDDEN = "onnx_roialign.unchecked"


def refusal(model: onnx.ModelProto) -> str | None:
    """Returns the error of ONNX's checker for a model without defects; None if it passes.

    The checker reads a copy without weights, in which every RoiAlign belongs to a domain that the checker ignores.
    """
    copy = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    copy.functions.extend(model.functions)
    graph = copy.graph
    for name in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(graph, name).extend(getattr(model.graph, name))
    graph.name = model.graph.name
    for tensor in model.graph.initializer:
        graph.initializer.add(name=tensor.name, data_type=tensor.data_type, dims=[0])
    name_domain_once(copy)
    for owner in (copy, *copy.functions):
        owner.opset_import.add(domain=_HIDDEN, version=1)
    for value in (*graph.input, *graph.output):
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()  # runtimes load a model without a rank here
    pending = [graph.node, *(function.node for function in copy.functions)]
    while pending:
        for node in pending.pop():
            if is_ours(node):
                node.domain = _HIDDEN
            for body in bodies(node):
                for tensor in body.initializer:
                    if (
                        tensor.data_location == onnx.TensorProto.EXTERNAL
                    ):  # the checker would look in the current folder
                        tensor.CopyFrom(onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=[0]))
                pending.append(body.node)
    try:
        onnx.checker.check_model(copy)
    except Exception as error:  # the checker's own error, or protobuf's for a model that is too large
        return one_line(error)
    return None


def misfit_of_types(model: onnx.ModelProto) -> str | None:
    """Returns the error of ONNX's strict shape inference; None if it passes or the types are unknown."""
    try:
        with known_to_onnx(private_types(model)):
            onnx.shape_inference.infer_shapes(inferable(model), check_type=True, strict_mode=True)
    except Exception as error:  # onnx's exceptions have no common base
        return one_line(error)
    return None
