"""Tests tools that have no schema of the private ops: onnx's shape inference, its checker, onnxruntime's tools."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import onnx
import pytest
from graph_models import private
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference
from onnxruntime.transformers import float16
from onnxruntime.transformers.onnx_model import OnnxModel
from quiet import quiet_options

import onnx_roialign
from models import check_with_schemas, make_model, roi_align_node, value
from onnx_roialign.frameworks import mindspore, torchvision
from onnx_roialign.graph import convert_opset, known_to_onnx, make_explicit, repair
from onnx_roialign.onnx_model.value_info import add_value_info
from onnx_roialign.ops import roi_align as private_op

SOURCE = "mindspore:roi_end_mode=1"  # a meaning that ONNX's own op cannot express
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def detector(opset=16, *, body=False):
    """Convolutions before and after a RoiAlign, which may lie in the branches of an If, of images and boxes."""
    rng = np.random.default_rng(0)
    weights = {"w0": (4, 3, 3, 3), "w1": (4, 4, 1, 1), "w2": (24, 5)}
    pool = roi_align_node("map", "rois", "batch_indices", "pooled", name="pool", sampling_ratio=0)
    if body:
        branches = {}
        for name in ("then", "else"):
            inner = roi_align_node("map", "rois", "batch_indices", f"{name}_pooled", name=name, sampling_ratio=0)
            nodes = [inner, helper.make_node("Relu", [f"{name}_pooled"], [name])]
            branches[f"{name}_branch"] = helper.make_graph(nodes, name, [], [value(name, FLOAT, ("K", 4, 3, 2))])
        pool = helper.make_node("If", ["which"], ["pooled"], "pool", **branches)
    nodes = [
        helper.make_node("Conv", ["image", "w0"], ["conv0"], "conv0", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Relu", ["conv0"], ["map"], "relu0"),
        pool,
        helper.make_node("Conv", ["pooled", "w1"], ["conv1"], "conv1"),
        helper.make_node("Flatten", ["conv1"], ["flat"], "flat"),
        helper.make_node("MatMul", ["flat", "w2"], ["Y"], "scores"),
    ]
    inputs = [
        value("image", FLOAT, (1, 3, 48, 64)),
        value("rois", FLOAT, ("K", 4)),
        value("batch_indices", INT64, ("K",)),
    ]
    if body:
        inputs.append(value("which", TensorProto.BOOL, ()))
    drawn = [(0.2 * rng.standard_normal(shape)).astype(np.float32) for shape in weights.values()]
    tensors = [numpy_helper.from_array(one, name) for one, name in zip(drawn, weights, strict=True)]
    graph = helper.make_graph(nodes, "graph", inputs, [value("Y", FLOAT, ("K", 5))], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


FEEDS = {
    "image": np.random.default_rng(1).random((1, 3, 48, 64), np.float32),
    "rois": np.array([[3, 4, 40, 44], [10, 10, 20, 33.5], [0, 0, 63, 47]], np.float32),
    "batch_indices": np.zeros(3, np.int64),
    "which": np.array(True),
}


def described(graph):
    """The types and shapes of the outputs of private ops in a graph and its bodies."""
    found = {}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found |= described(attribute.g)
        if node.domain == private_op.DOMAIN:
            entries = [one for one in (*graph.value_info, *graph.output) if one.name == node.output[0]]
            tensor = entries[0].type.tensor_type if len(entries) == 1 else onnx.TypeProto.Tensor()
            dims = tuple(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
            found[node.output[0]] = (tensor.elem_type, dims)
    return found


def run(model):
    """Returns the model's first output in our session, with inputs of the types that the model now has."""
    session = onnx_roialign.session(model, quiet_options())
    halves = {value.name for value in session.get_inputs() if value.type == "tensor(float16)"}
    names = [value.name for value in session.get_inputs()]
    feeds = {name: FEEDS[name].astype(np.float16) if name in halves else FEEDS[name] for name in names}
    return session.run(None, feeds)[0].astype(np.float32)


def stuck(model):
    """At the model's opset: a converter cannot convert ops without a schema."""
    model.graph.node.add(op_type="NoSuchOp", input=["image"], output=["Z"])
    return model


WRITERS = {
    "repair": lambda: repair(detector(), SOURCE),
    "repair at opset 10": lambda: repair(detector(10), SOURCE),
    "convert_opset": lambda: convert_opset(detector(16), 11, private_op=True),
    "make_explicit": lambda: make_explicit(stuck(detector(10))),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_the_output_of_a_private_op_has_a_type_and_a_shape(writer):
    model = WRITERS[writer]()
    assert described(model.graph) == {"pooled": (FLOAT, ("K", 4, 3, 2))}
    if model.graph.node[-1].op_type == "NoSuchOp":
        del model.graph.node[-1]
    check_with_schemas(model)


def test_in_bodies_too():
    model = repair(detector(body=True), SOURCE)
    assert described(model.graph) == dict.fromkeys(("then_pooled", "else_pooled"), (FLOAT, ("K", 4, 3, 2)))
    check_with_schemas(model)
    assert np.isfinite(run(model)).all()


def test_frameworks_models_have_them_too():
    models = [
        mindspore.ROIAlign(2, 2, 0.5, roi_end_mode=1).to_onnx(),
        torchvision.RoIAlign(2, 0.5, 2, aligned=True).to_onnx(opset=11),
    ]
    for model in models:
        assert all(element == FLOAT and len(dims) == 4 for element, dims in described(model.graph).values())
        assert described(model.graph)
        check_with_schemas(model)


def test_declared_types_are_kept_and_unknown_ones_are_not_written():
    model = private("mindspore_1")
    model.graph.output[0].type.tensor_type.shape.dim.add().dim_param = "mine"
    before = model.SerializeToString(deterministic=True)
    add_value_info(model)
    assert model.SerializeToString(deterministic=True) == before
    model.graph.node.insert(0, helper.make_node("Unknown", ["X"], ["features"], domain="elsewhere"))
    model.graph.node[1].input[0] = "features"
    model.graph.node.append(helper.make_node("Identity", ["Y"], ["Z"]))
    model.graph.output[0].name = "Z"
    add_value_info(model)
    assert not model.graph.value_info


def test_a_body_s_output_without_a_type_gets_one():
    model = repair(detector(body=True), SOURCE)
    then = next(a.g for node in model.graph.node for a in node.attribute if a.name == "then_branch")
    del then.node[1:], then.value_info[:]
    then.output[0].CopyFrom(onnx.ValueInfoProto(name="then_pooled"))
    add_value_info(model)
    assert described(model.graph)["then_pooled"] == (FLOAT, ("K", 4, 3, 2))
    assert not then.value_info


def test_values_in_functions_are_not_changed():
    names = ["X", "rois", "batch_indices"]
    imports = [helper.make_opsetid("", 16)]
    nodes = [
        roi_align_node("X", "rois", "batch_indices", "pooled", sampling_ratio=0),
        helper.make_node("Relu", ["pooled"], ["Y"]),
    ]
    function = helper.make_function("local", "Pool", names, ["Y"], nodes, imports)
    call = helper.make_node("Pool", names, ["Y"], domain="local")
    model = make_model([call], 16, functions=(function,), domains=("local",))
    repaired = repair(model, SOURCE)
    assert repaired.functions[0].node[0].domain == private_op.DOMAIN
    assert not repaired.functions[0].value_info


# Registers the schemas.


def is_known():
    return onnx.defs.has(private_op.OP_TYPE, private_op.DOMAIN)


def test_blocks_can_be_nested_and_the_last_removes_the_schemas():
    with known_to_onnx():
        with known_to_onnx():
            assert is_known()
            check_with_schemas(repair(detector(), SOURCE))  # which need the schemas too
        assert is_known()
    assert not is_known()
    with pytest.raises(ZeroDivisionError), known_to_onnx():
        raise ZeroDivisionError
    assert not is_known()


def test_the_schemas_are_registered_in_every_threads_block():
    missing, started = [], threading.Barrier(8)

    def work():
        started.wait()
        for _ in range(200):
            with known_to_onnx():
                missing.extend(() if is_known() else [threading.get_ident()])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not missing
    assert not is_known()


@pytest.mark.parametrize("first", ["register_schemas()", "block = known_to_onnx(); block.__enter__()"])
def test_onnx_reference_can_be_imported_beside_the_schemas(first):
    """Registers the schemas after the ops, because two domains then share the name RoiAlign."""
    lines = [
        "import onnx",
        "from onnx_roialign.ops.schema import known_to_onnx, register_schemas",
        first,
        first,
        "with known_to_onnx(): pass",
        "assert onnx.defs.has('AnyRoiAlign', 'onnx_roialign')",
        "import onnx.reference, onnx_roialign",
        "assert onnx_roialign.RoiAlign.op_domain == ''",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Tools of onnxruntime.


def half(model, **options):
    """Converts with onnxruntime, which leaves nodes unsorted where it adds Casts: every runtime sorts them."""
    converted = float16.convert_float_to_float16(model, **options)
    OnnxModel(converted).topological_sort()
    return converted


CONVERSIONS = {
    "everything": {},
    "but inputs and outputs": {"keep_io_types": True},
    "but RoiAlign": {"op_block_list": [*float16.DEFAULT_OP_BLOCK_LIST, private_op.OP_TYPE]},
    "but what comes later": {"op_block_list": ["MatMul"]},
}


@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_a_float16_converter_accepts_a_repaired_model(conversion):
    repaired = repair(detector(), SOURCE)
    want = run(repaired)
    converted = half(repaired, **CONVERSIONS[conversion])
    check_with_schemas(converted)
    assert private_op.OP_TYPE in {node.op_type for node in converted.graph.node}
    assert any(tensor.data_type == TensorProto.FLOAT16 for tensor in converted.graph.initializer)
    np.testing.assert_allclose(run(converted), want, rtol=0, atol=2e-3 * np.abs(want).max())


def test_without_the_types_behind_the_private_op_its_result_is_invalid():
    repaired = repair(detector(), SOURCE)
    del repaired.graph.value_info[:]
    with pytest.raises(Exception, match=r"tensor\(float"):
        run(half(repaired, op_block_list=["MatMul"]))


def test_symbolic_shape_inference_infers_through_the_private_ops():
    repaired = repair(detector(), SOURCE)
    want = run(repaired)
    with known_to_onnx():
        inferred = SymbolicShapeInference.infer_shapes(repaired, auto_merge=True)
    assert described(inferred.graph) == {"pooled": (FLOAT, ("K", 4, 3, 2))}
    check_with_schemas(inferred)
    np.testing.assert_array_equal(run(inferred), want)


class Calibration(CalibrationDataReader):
    def __init__(self):
        self._feeds = iter([{name: FEEDS[name] for name in ("image", "rois", "batch_indices")}])

    def get_next(self):
        return next(self._feeds, None)


def test_dynamic_quantization_accepts_a_repaired_model(tmp_path):
    repaired = repair(detector(), SOURCE)
    want = run(repaired)
    # older onnxruntimes have no kernel for the ConvInteger that they would write here
    quantize_dynamic(repaired, tmp_path / "dynamic.onnx", op_types_to_quantize=["MatMul"])
    quantized = onnx.load(tmp_path / "dynamic.onnx")
    check_with_schemas(quantized)
    assert {"MatMulInteger", private_op.OP_TYPE} <= {node.op_type for node in quantized.graph.node}
    np.testing.assert_allclose(run(quantized), want, rtol=0, atol=0.05 * np.abs(want).max())


@pytest.mark.parametrize("quant_format", QuantFormat)
def test_static_quantization_comes_before_repair(tmp_path, quant_format):
    """The tool runs the model in its own session, which loads no library."""
    path = tmp_path / "static.onnx"
    quantize_static(detector(), path, Calibration(), quant_format)
    quantized = repair(path, SOURCE)
    check_with_schemas(quantized)
    assert {"DequantizeLinear", private_op.OP_TYPE} <= {node.op_type for node in quantized.graph.node}
    want = run(repair(detector(), SOURCE))
    np.testing.assert_allclose(run(quantized), want, rtol=0, atol=0.1 * np.abs(want).max())
    with pytest.raises(Exception, match="AnyRoiAlign"):
        quantize_static(repair(detector(), SOURCE), path, Calibration(), quant_format)
