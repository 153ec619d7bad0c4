"""Small models around the private ops, shared by the tests of the ops and of quantization."""

from __future__ import annotations

from typing import Any

import onnx
from onnx import TensorProto, helper

import onnx_roialign
from onnx_roialign.ops import roi_align as private_op

ENGINES = ("native", "reference", "evaluator")


def private_node(
    *names: str, name: str = "pool", op_type: str = private_op.OP_TYPE, **attributes: Any
) -> onnx.NodeProto:
    inputs = names or ("X", "rois", "batch_indices", "Y")
    return helper.make_node(op_type, inputs[:-1], inputs[-1:], name=name, domain=private_op.DOMAIN, **attributes)


def qlinear_node(**attributes: Any) -> onnx.NodeProto:
    inputs = ["X", "x_scale", "x_zero_point", "rois", "batch_indices"]
    return helper.make_node("QLinearRoiAlign", inputs, ["Y"], name="pool", domain=private_op.DOMAIN, **attributes)


def private_model(
    nodes: list[onnx.NodeProto],
    kinds: dict[str, int],
    *,
    opset: int | None = None,
    output_type: int | None = None,
    shapes: dict[str, Any] | None = None,
    functions: tuple[onnx.FunctionProto, ...] = (),
    domains: tuple[str, ...] = (),
) -> onnx.ModelProto:
    """A model of inputs of these element types; without an opset it imports the private domain and nothing else."""
    shapes = shapes or {}
    inputs = [helper.make_tensor_value_info(name, kind, shapes.get(name)) for name, kind in kinds.items()]
    output = helper.make_tensor_value_info("Y", output_type or kinds["X"], None)
    graph = helper.make_graph(nodes, "graph", inputs, [output])
    imports = [helper.make_opsetid(private_op.DOMAIN, private_op.OPSET_VERSION)]
    imports += [helper.make_opsetid(domain, 1) for domain in domains]
    if opset is not None:
        imports.append(helper.make_opsetid("", opset))
    return helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=8)


def float_kinds(element_type: int = TensorProto.FLOAT) -> dict[str, int]:
    return {"X": element_type, "rois": element_type, "batch_indices": TensorProto.INT64}


def run_model(model: onnx.ModelProto, feeds: dict[str, Any], engine: str) -> Any:
    """Output 0 by one of ENGINES."""
    if engine == "evaluator":
        return onnx_roialign.reference_evaluator(model).run(None, feeds)[0]
    return onnx_roialign.session(model, quiet(), engine=engine).run(None, feeds)[0]


def quiet() -> Any:
    import session_models

    return session_models.quiet_options()
