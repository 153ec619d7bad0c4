"""Nodes of RoiAlign and of the private ops, and the function with which all tests build models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.schema import known_to_onnx

TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "float16": TensorProto.FLOAT16,
    "bfloat16": TensorProto.BFLOAT16,
}
DTYPES = {name: np.dtype(getattr(ml_dtypes, name, name)) for name in TYPES}

SHAPE = {"output_height": 3, "output_width": 2, "sampling_ratio": 2, "spatial_scale": 0.5}


def roi_align_node(*names: str, name: str = "pool", **attributes: Any) -> onnx.NodeProto:
    """ONNX's RoiAlign with the attributes of SHAPE and these; the last name is the output's."""
    inputs = names or ("X", "rois", "batch_indices", "Y")
    return helper.make_node("RoiAlign", inputs[:3], inputs[3:], name=name, **{**SHAPE, **attributes})


def private_node(
    *names: str, name: str = "pool", op_type: str = private_op.OP_TYPE, **attributes: Any
) -> onnx.NodeProto:
    """A private op with these attributes alone; the last name is the output's."""
    inputs = names or ("X", "rois", "batch_indices", "Y")
    return helper.make_node(op_type, inputs[:-1], inputs[-1:], name=name, domain=private_op.DOMAIN, **attributes)


def qlinear_node(**attributes: Any) -> onnx.NodeProto:
    names = ("X", "x_scale", "x_zero_point", "rois", "batch_indices", "Y")
    return private_node(*names, op_type=private_op.QLINEAR_OP_TYPE, **attributes)


def value(name: str, element_type: int, shape: Any = None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type, shape)


def model_of(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    opset: int | None = 16,
    *,
    weights: Sequence[onnx.TensorProto] = (),
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model of these nodes.

    Args:
        nodes: in an order in which they can run.
        inputs: the graph's.
        outputs: the graph's.
        opset: of ONNX's own operators; None: the model does not import them.
        weights: initializers.
        functions: the model's.
        domains: other domains that it imports, each at version 1.
    """
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializer=weights)
    imports = [] if opset is None else [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(domain, 1) for domain in domains]
    return helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=8)


def make_model(
    nodes: Sequence[onnx.NodeProto],
    opset: int,
    *,
    element_type: int = TensorProto.FLOAT,
    shapes: tuple[Any, Any, Any] = (None, None, None),
    outputs: Sequence[tuple[str, int]] | None = None,
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model whose inputs are RoiAlign's: X, rois and batch_indices."""
    kinds = (("X", element_type), ("rois", element_type), ("batch_indices", TensorProto.INT64))
    inputs = [value(name, kind, shape) for (name, kind), shape in zip(kinds, shapes, strict=True)]
    results = [value(name, kind) for name, kind in outputs or (("Y", element_type),)]
    return model_of(nodes, inputs, results, opset, functions=functions, domains=domains)


def model(opset: int = 16, *, element_type: int = TensorProto.FLOAT, **attributes: Any) -> onnx.ModelProto:
    """One RoiAlign; shapes are open, so that wrong ones pass onnxruntime and reach the kernel."""
    return make_model([roi_align_node(**attributes)], opset, element_type=element_type)


def cast_model(opset: int, element_type: int, **attributes: Any) -> onnx.ModelProto:
    """One RoiAlign of a type that NumPy arrays cannot carry into onnxruntime: float32 outside, cast inside."""
    nodes = [
        helper.make_node("Cast", ["X"], ["X_cast"], to=element_type),
        helper.make_node("Cast", ["rois"], ["rois_cast"], to=element_type),
        roi_align_node("X_cast", "rois_cast", "batch_indices", "Y_cast", **attributes),
        helper.make_node("Cast", ["Y_cast"], ["Y"], to=TensorProto.FLOAT),
    ]
    return make_model(nodes, opset)


def private_model(
    nodes: Sequence[onnx.NodeProto],
    kinds: Mapping[str, int],
    *,
    opset: int | None = None,
    output_type: int | None = None,
    shapes: Mapping[str, Any] | None = None,
    functions: Sequence[onnx.FunctionProto] = (),
    domains: Sequence[str] = (),
) -> onnx.ModelProto:
    """A model of inputs of these element types; without an opset it imports the private domain and nothing else."""
    inputs = [value(name, kind, (shapes or {}).get(name)) for name, kind in kinds.items()]
    outputs = [value("Y", output_type or kinds["X"])]
    return model_of(nodes, inputs, outputs, opset, functions=functions, domains=(private_op.DOMAIN, *domains))


def model_for(
    node: onnx.NodeProto, feeds: Mapping[str, np.ndarray], shape: Sequence[int | str], opset: int = 16
) -> onnx.ModelProto:
    """A model of one private node for these arrays; the output has the type of the first of rank 4, and this shape."""
    kinds = {name: helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in feeds.items()}
    shapes = {
        name: ["K" if axis == 0 and array.ndim in (1, 2) else size for axis, size in enumerate(array.shape)]
        for name, array in feeds.items()
    }
    result = next(kinds[name] for name, array in feeds.items() if array.ndim == 4)
    inputs = [value(name, kind, shapes[name]) for name, kind in kinds.items()]
    return model_of([node], inputs, [value(node.output[0], result, list(shape))], opset, domains=(private_op.DOMAIN,))


def float_kinds(element_type: int = TensorProto.FLOAT) -> dict[str, int]:
    """The element types of RoiAlign's inputs."""
    return {"X": element_type, "rois": element_type, "batch_indices": TensorProto.INT64}


def check_with_schemas(model):
    """Checks a model with onnx's full checker, with the schemas of the private ops."""
    with known_to_onnx():
        onnx.checker.check_model(model, full_check=True)
