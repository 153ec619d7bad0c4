"""Tests that every entry point reports what is wrong with a RoiAlign node before onnxruntime does."""

from __future__ import annotations

from functools import partial

import numpy as np
import onnx
import pytest
from graph_models import in_if
from onnx import TensorProto, helper
from quiet import DOORS, ENGINES, quiet_options, quiet_session
from scoped_models import with_function

import onnx_roialign
from models import make_model, model, roi_align_node, value
from onnx_roialign import RoiAlignError, reference_evaluator
from onnx_roialign.onnx_model import node_rules, tensor_data
from onnx_roialign.onnx_model.facts import read_facts

DOMAIN = "onnx_roialign"


def register(door):
    return lambda proto: onnx_roialign.register(quiet_options(), proto, door=door)


ENTRY_POINTS = {f"session, {engine}": partial(quiet_session, engine=engine) for engine in ENGINES}
ENTRY_POINTS |= {f"register, {door}": register(door) for door in DOORS}
# onnx.reference checks the node itself, too; it does not know the types of values before the run.
FORM_ENTRY_POINTS = ENTRY_POINTS | {"reference_evaluator": reference_evaluator}


def refused(entry_point, proto, message):
    with pytest.raises(RoiAlignError, match=message):
        entry_point(proto)


def declared(opset=16, **changes):
    """One RoiAlign whose inputs are declared with these element types and shapes."""
    proto = model(opset)
    for given in proto.graph.input:
        if given.name in changes:
            element_type, shape = changes[given.name]
            given.CopyFrom(value(given.name, element_type, shape))
    return proto


@pytest.mark.parametrize("entry_point", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rois": (TensorProto.DOUBLE, None)}, "rois must have X's type float32, got float64"),
        ({"rois": (TensorProto.INT64, None)}, "rois must have X's type float32, got int64"),
        ({"batch_indices": (TensorProto.INT32, None)}, "batch_indices must be int64, got int32"),
        ({"X": (TensorProto.INT32, None)}, "X must be float32, float64, float16 or bfloat16, got int32"),
        (
            {"X": (TensorProto.STRING, None)},
            "X must be float32, float64, float16 or bfloat16, got string",
        ),
        ({"X": (1, ("N", 3, "H"))}, r"X must have rank 4 \(N, C, H, W\), got shape \(N, 3, H\)"),
        ({"rois": (1, ("R", 5))}, r"rois must have shape \(num_rois, 4\), got shape \(R, 5\)"),
        ({"rois": (1, (None,))}, r"rois must have shape \(num_rois, 4\), got shape \(\?,\)"),
        ({"batch_indices": (7, ())}, r"batch_indices must have shape \(num_rois,\), got shape \(\)"),
        (
            {"rois": (1, (3, 4)), "batch_indices": (7, (4,))},
            "rois and batch_indices must have the same count, got 3 and 4",
        ),
    ],
)
def test_types_and_shapes_are_refused_in_the_words_of_roi_align(changes, message, entry_point):
    refused(entry_point, declared(**changes), rf"^{message} \(node 'pool'\)$")


@pytest.mark.parametrize("entry_point", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
def test_types_are_known_behind_other_nodes_private_ops_and_in_bodies(entry_point):
    first = helper.make_node("AnyRoiAlign", ["X", "rois", "batch_indices"], ["pooled"], "first", domain=DOMAIN)
    cast = helper.make_node("Cast", ["rois"], ["wide"], to=TensorProto.DOUBLE)
    inner = helper.make_node("RoiAlign", ["pooled", "wide", "batch_indices"], ["Z"], "inner")
    other = helper.make_node("Identity", ["pooled"], ["Z"])
    bodies = [helper.make_graph([node], "body", [], [value("Z", 1)]) for node in (inner, other)]
    branch = helper.make_node("If", ["condition"], ["Y"], then_branch=bodies[0], else_branch=bodies[1])
    proto = make_model([first, cast, branch], 16, domains=(DOMAIN,))
    proto.graph.input.append(value("condition", TensorProto.BOOL, ()))
    refused(entry_point, proto, r"^rois must have X's type float32, got float64 \(node 'inner'\)$")


@pytest.mark.parametrize("entry_point", FORM_ENTRY_POINTS.values(), ids=FORM_ENTRY_POINTS)
@pytest.mark.parametrize(
    ("node", "message"),
    [
        (("RoiAlign", "", ["X", "rois"], ["Y"]), "RoiAlign must have the inputs X, rois and batch_indices, got 2"),
        (
            ("RoiAlign", "", ["X", "", "batch_indices"], ["Y"]),
            "RoiAlign must have the inputs X, rois and batch_indices, got 2",
        ),
        (
            ("AnyRoiAlign", DOMAIN, ["X", "rois", "batch_indices", "X"], ["Y"]),
            "AnyRoiAlign must have the inputs X, rois and batch_indices, got 4",
        ),
        (("RoiAlign", "", ["X", "rois", "batch_indices"], ["Y", "Z"]), "RoiAlign must have one output, got 2"),
        (
            ("QLinearRoiAlign", DOMAIN, ["X", "rois", "batch_indices"], ["Y"]),
            "QLinearRoiAlign must have the inputs X, x_scale, x_zero_point, rois and batch_indices, got 3",
        ),
    ],
)
def test_inputs_and_outputs_are_counted(node, message, entry_point):
    op_type, domain, inputs, outputs = node
    proto = make_model([helper.make_node(op_type, inputs, outputs, "pool", domain=domain)], 16, domains=(DOMAIN,))
    refused(entry_point, proto, rf"^{message} \(node 'pool'\)$")


@pytest.mark.parametrize("entry_point", FORM_ENTRY_POINTS.values(), ids=FORM_ENTRY_POINTS)
@pytest.mark.parametrize(
    ("domain", "attribute", "message"),
    [
        ("", {"aligned": 1}, "an attribute of RoiAlign must be one of output_height, .*, got 'aligned'"),
        ("", {"offset": 0.5}, "an attribute of RoiAlign must be one of output_height, .*, got 'offset'"),
        (DOMAIN, {"ofset": 0.5}, f"an attribute of {DOMAIN}::AnyRoiAlign must be one of .*, got 'ofset'"),
        (DOMAIN, {"offset": 1}, "offset must be a float, got an integer"),
        ("", {"mode": "median"}, "mode must be 'avg' or 'max', got 'median'"),
        ("", {"sampling_ratio": [1]}, "sampling_ratio must be an integer, got a list of integers"),
    ],
)
def test_attributes_are_read_first(domain, attribute, message, entry_point):
    op_type = "AnyRoiAlign" if domain else "RoiAlign"
    inputs = ["X", "rois", "batch_indices"]
    node = helper.make_node(op_type, inputs, ["Y"], "pool", domain=domain, **attribute)
    refused(entry_point, make_model([node], 16, domains=(DOMAIN,)), rf"^{message} \(node 'pool'\)$")


@pytest.mark.parametrize("entry_point", FORM_ENTRY_POINTS.values(), ids=FORM_ENTRY_POINTS)
def test_roialign_before_its_first_opset_is_refused(entry_point):
    refused(entry_point, model(9), r"^opset must be at least 10 for RoiAlign, got 9 \(node 'pool'\)$")


@pytest.mark.parametrize("entry_point", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
def test_nodes_in_functions_are_read_too(entry_point):
    refused(
        entry_point,
        with_function(16, 16, mode="median"),
        r"^mode must be 'avg' or 'max', got 'median' \(node 'inner'\)$",
    )


@pytest.mark.parametrize("entry_point", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
def test_unknown_types_are_accepted(entry_point):
    """Behind an operator that onnx does not have, and where a value's type is not given."""
    hidden = helper.make_node("Mystery", ["rois"], ["hidden"], domain="com.microsoft")
    node_rules.check_nodes(
        read_facts(
            make_model([hidden, roi_align_node("X", "hidden", "batch_indices", "Y")], 16, domains=("com.microsoft",))
        )
    )
    entry_point(model(16))


def private(rois_type):
    proto = declared(rois=(rois_type, None))
    proto.graph.node[0].domain, proto.graph.node[0].op_type = DOMAIN, "AnyRoiAlign"
    del proto.graph.node[0].attribute[:]
    proto.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return proto


@pytest.mark.parametrize("entry_point", ENTRY_POINTS.values(), ids=ENTRY_POINTS)
def test_the_private_op_takes_rois_of_another_float_type_only(entry_point):
    entry_point(private(TensorProto.DOUBLE))
    message = r"^rois must be float32, float64, float16 or bfloat16, got int64 \(node 'pool'\)$"
    refused(entry_point, private(TensorProto.INT64), message)


def test_quantized_inputs_are_read_too(door):
    names = ["X", "s", "z", "rois", "batch_indices"]
    node = helper.make_node("QLinearRoiAlign", names, ["Y"], "pool", domain=DOMAIN)
    kinds = {"X": TensorProto.UINT8, "s": TensorProto.FLOAT, "z": TensorProto.INT8, "rois": 1, "batch_indices": 7}
    graph = helper.make_graph([node], "g", [value(name, kinds[name]) for name in names], [value("Y", 2)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16), helper.make_opsetid(DOMAIN, 1)])
    native = partial(quiet_session, engine=door)
    refused(native, proto, r"^x_zero_point must be uint8, got int8 \(node 'pool'\)$")
    graph.input[2].CopyFrom(value("z", TensorProto.UINT8, ("n", "m")))
    proto.graph.CopyFrom(graph)
    refused(native, proto, r"^x_zero_point must be a scalar, got shape \(n, m\) \(node 'pool'\)$")


def test_weights_are_not_copied_to_infer_types():
    """A constant and an initializer of the size of a model's weights, and a small one that determines shapes."""
    weights = np.zeros((300, 300), np.float32)
    nodes = [
        helper.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(weights)),
        helper.make_node("Reshape", ["w", "shape"], ["map"]),
        helper.make_node("RoiAlign", ["map", "rois", "batch_indices"], ["Y"], "pool"),
    ]
    proto = make_model(nodes, 16)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([300, 300]), "shape"))
    light = tensor_data.without_weights(proto)
    assert proto.ByteSize() > 2 * weights.nbytes
    assert light.ByteSize() < 1000
    refused(quiet_session, proto, r"^X must have rank 4 \(N, C, H, W\), got shape \(300, 300\) \(node 'pool'\)$")


def test_a_model_without_roialign_is_not_checked(monkeypatch):
    monkeypatch.setattr(node_rules, "infer", lambda _: pytest.fail("types were inferred"))
    node_rules.check_nodes(read_facts(make_model([helper.make_node("Identity", ["X"], ["Y"])], 16)))


def test_the_values_around_many_bodies_are_read_once(monkeypatch, door):
    """And not once for each body, which took minutes for some hundred."""
    read = []
    own_values = node_rules._own_values
    monkeypatch.setattr(node_rules, "_own_values", lambda scope: read.append(scope) or own_values(scope))
    nodes = [onnx.helper.make_node("Identity", ["which"], ["copy"])]
    for i in range(20):
        branch = in_if().graph.node[0]
        branch.output[0] = f"Y{i}"
        nodes.append(branch)
    model = in_if()
    del model.graph.node[:]
    model.graph.node.extend([*nodes, onnx.helper.make_node("Identity", ["Y0"], ["Y"])])
    onnx_roialign.session(model, door=door)
    bodies = 2 * 20
    assert 1 + bodies <= len(read) <= 2 + bodies  # the model's graph, and what is around it: nothing
