"""Tests inputs of types that RoiAlign does not accept: found, repaired where nothing is lost, with the right result."""

from __future__ import annotations

import itertools

import graph_models
import numpy as np
import pytest
from calls import FEEDS
from found import codes
from graph_models import BODIES, qlinear, shaped, shifted
from onnx import TensorProto, helper
from quiet import quiet_options
from tolerances import FLOAT32

import onnx_roialign
from models import DTYPES, SHAPE, TYPES, make_model, private_node, roi_align_node
from onnx_roialign import RoiAlignError, reference_evaluator
from onnx_roialign.graph import repair, validate
from onnx_roialign.ops import roi_align as private_op

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
SOURCES = ("onnx:16", "mindspore:roi_end_mode=1", "torchvision", "mindspore:roi_end_mode=0")
ROIS = FEEDS["rois"] + np.float32(1 / 3)


def element_type(dtype):
    return TYPES[dtype] if dtype in TYPES else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def mixed(X="float32", rois="float32", indices="int64", opset=16, private=False):
    """A RoiAlign of these types between inputs of types that NumPy has."""
    op = private_node if private else roi_align_node
    nodes = [
        helper.make_node("Cast", ["X"], ["features"], to=element_type(X)),
        helper.make_node("Cast", ["rois"], ["boxes"], to=element_type(rois)),
        helper.make_node("Cast", ["batch_indices"], ["indices"], to=element_type(indices)),
        op("features", "boxes", "indices", "pooled", **SHAPE),
        helper.make_node("Cast", ["pooled"], ["Y"], to=TensorProto.FLOAT),
    ]
    model = make_model(nodes, opset, domains=(private_op.DOMAIN,) if private else ())
    for size in FEEDS["X"].shape:  # an image so small that boxes of 16 bits are exact, and stay as they are
        model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = size
    return model


def feeds():
    return {**FEEDS, "rois": ROIS}


def meant(X, rois, source):
    """The call on arrays of these types: rois rounded once to the type in which coordinates are computed."""
    boxes = ROIS.astype(DTYPES.get(rois, rois))
    if rois not in DTYPES:
        boxes = boxes.astype(np.float64 if X == "float64" else np.float32)
    arrays = FEEDS["X"].astype(DTYPES[X]), boxes, FEEDS["batch_indices"]
    return onnx_roialign.roi_align(*arrays, **SHAPE, semantics=onnx_roialign.sources.parse(source))


def answers(model):
    session = onnx_roialign.session(model, quiet_options())
    return session.run(None, feeds())[0], reference_evaluator(model).run(None, feeds())[0]


def op_types(model):
    return [node.op_type for node in model.graph.node]


def is_16_bit(dtype):
    return dtype in ("float16", "bfloat16")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    ("X", "rois"), [pair for pair in itertools.product(TYPES, (*TYPES, *INTEGERS)) if pair[0] != pair[1]]
)
def test_rois_of_another_type_are_repaired(X, rois, source):
    given = mixed(X, rois)
    (finding,) = [finding for finding in validate(given, source) if finding.code == "invalid-input"]
    assert (finding.message, finding.repairable) == (f"rois must have X's type {X}, got {rois}", True)
    repaired = repair(given, source)
    assert "invalid-input" not in codes(validate(repaired, source))
    assert repair(repaired, source) == repaired
    assert (private_op.OP_TYPE in op_types(repaired)) >= is_16_bit(X)
    want = meant(X, rois, source).astype(np.float32)
    atol = np.abs(FEEDS["X"]).max() * {"float64": FLOAT32, "float32": 8 * FLOAT32}.get(X, 2**-6)
    for got in answers(repaired):
        np.testing.assert_allclose(got, want, rtol=2**-7 if is_16_bit(X) else 0, atol=atol)
    if source == "onnx:16":  # no shift is inserted: equal to the bit
        np.testing.assert_array_equal(answers(repaired)[0], want)


@pytest.mark.parametrize("indices", [entry for entry in INTEGERS if entry != "int64"])
@pytest.mark.parametrize("private", [False, True])
def test_batch_indices_of_any_integer_type_become_int64(indices, private):
    given = mixed(indices=indices, private=private)
    source = "onnx:16"
    (finding,) = [finding for finding in validate(given, source) if finding.code == "invalid-input"]
    assert (finding.message, finding.repairable) == (f"batch_indices must be int64, got {indices}", True)
    repaired = repair(given, source)
    assert codes(validate(repaired, source)) == []
    assert repair(repaired, source) == repaired
    for got in answers(repaired):
        np.testing.assert_allclose(got, meant("float32", "float32", source), rtol=0, atol=2 * FLOAT32)


@pytest.mark.parametrize("X", ["float16", "bfloat16"])
def test_wide_boxes_of_16_bit_features_need_the_private_op(X):
    with pytest.raises(
        RoiAlignError, match=rf"rois must have X's type {X}, or the private op be allowed, got float32 \(node 'pool'\)"
    ):
        repair(mixed(X), "onnx:16", private_op=False)


def test_a_private_op_with_wide_boxes_does_not_become_onnxs_own():
    given = mixed("float16", private=True)
    repaired = repair(given, "torchvision")
    assert "RoiAlign" not in op_types(repaired)
    want = meant("float16", "float32", "torchvision")
    np.testing.assert_array_equal(answers(repaired)[0], want.astype(np.float32))


def test_a_private_op_of_unknown_types_stays_one():
    """In a function: it can be called with 16-bit features and wide boxes."""
    given = mixed("float16", private=True)
    inner = given.graph.node[3]
    function = helper.make_function(
        "local", "Pool", list(inner.input), list(inner.output), [inner], [*given.opset_import], []
    )
    given.functions.append(function)
    call = helper.make_node("Pool", inner.input, inner.output, domain="local")
    inner.CopyFrom(call)
    given.opset_import.append(helper.make_opsetid("local", 1))
    given.graph.value_info.append(helper.make_tensor_value_info("pooled", TensorProto.FLOAT16, None))
    repaired = repair(given, "torchvision")
    assert [node.op_type for node in repaired.functions[0].node] == [private_op.OP_TYPE]
    np.testing.assert_array_equal(answers(repaired)[0], meant("float16", "float32", "torchvision").astype(np.float32))


@pytest.mark.parametrize("rois", ["float64", "float16"])
def test_a_private_op_that_onnx_can_express_becomes_onnxs_own_with_valid_boxes(rois):
    repaired = repair(mixed("float32", rois, private=True), "torchvision")
    assert "RoiAlign" in op_types(repaired)
    assert codes(validate(repaired, "torchvision")) == []
    np.testing.assert_allclose(answers(repaired)[0], meant("float32", rois, "torchvision"), rtol=0, atol=2 * FLOAT32)


@pytest.mark.parametrize("body", BODIES)
def test_casts_are_inserted_in_the_graph_that_reads_them(body):
    given = BODIES[body](16)
    given.graph.input[1].type.tensor_type.elem_type = TensorProto.DOUBLE
    given.graph.input[2].type.tensor_type.elem_type = TensorProto.INT32
    source = "torchvision:aligned=True"
    if body == "function":  # nothing is known of their values alone: found, and not repaired
        assert [(finding.code, finding.repairable) for finding in validate(given, source)] == [
            ("inconsistent-types", False)
        ]
        assert repair(given, source) == given
        return
    found = [finding.repairable for finding in validate(given, source) if finding.code == "invalid-input"]
    assert found == [True] * 2 * (2 if body == "if" else 1)
    repaired = repair(given, source)
    assert codes(validate(repaired, source)) == []
    inputs = {**FEEDS, "rois": ROIS.astype(np.float64), "batch_indices": FEEDS["batch_indices"].astype(np.int32)}
    inputs |= {"which": np.array(True)} if body == "if" else {}
    got = onnx_roialign.session(repaired, quiet_options()).run(None, inputs)[0]
    got = got[0] if body in ("loop", "scan") else got
    np.testing.assert_array_equal(got, meant("float32", "float64", source))


def test_two_roi_aligns_of_one_graph_share_a_cast_and_names_stay_apart():
    nodes = [
        roi_align_node("X", "rois", "batch_indices", name, name="same", **more)
        for name, more in (("Y", {}), ("Z", {"sampling_ratio": 1}))
    ]
    given = make_model(nodes, 16, outputs=(("Y", TensorProto.FLOAT), ("Z", TensorProto.FLOAT)))
    given.graph.input[2].type.tensor_type.elem_type = TensorProto.INT32
    given.graph.initializer.append(helper.make_tensor("batch_indices/int64", TensorProto.FLOAT, [1], [1.0]))
    # both need a shift as well, and have the same name
    repaired = repair(given, "mindspore:roi_end_mode=1")
    assert op_types(repaired).count("Cast") == 1
    assert op_types(repaired).count("Add") == 2
    outputs = [name for node in repaired.graph.node for name in node.output]
    assert len(set(outputs)) == len(outputs)
    for node in repaired.graph.node:
        node.name = ""  # onnxruntime refuses two nodes of one name, in a model that it would otherwise run
    inputs = {**feeds(), "batch_indices": FEEDS["batch_indices"].astype(np.int32)}
    session = onnx_roialign.session(repaired, quiet_options())
    for got, ratio in zip(session.run(["Y", "Z"], inputs), (2, 1), strict=True):
        want = onnx_roialign.roi_align(*feeds().values(), **SHAPE | {"sampling_ratio": ratio}, semantics="mindspore_1")
        np.testing.assert_allclose(got, want, rtol=0, atol=8 * FLOAT32)


def test_a_shift_behind_a_cast_is_part_of_the_meaning():
    """The inserted Cast comes after the shift, so that a second validation still sees the shift."""
    given = shifted(16, [1, 1, 2, 2], dtype=np.float64, coordinate_transformation_mode="half_pixel")
    given.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    given.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    source = "mindspore:roi_end_mode=1"
    assert set(codes(validate(given, source))) == {"invalid-input"}
    repaired = repair(given, source)
    assert op_types(repaired) == ["Constant", "Add", "Cast", "RoiAlign"]
    assert codes(validate(repaired, source)) == []
    emulated = shifted(11, [0.5 / SHAPE["spatial_scale"]], dtype=np.float64, op="Sub")
    emulated.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    emulated.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    repaired = repair(emulated, "torchvision:aligned=True")
    assert op_types(repaired) == ["Cast", "RoiAlign"]


@pytest.mark.parametrize("rois", ["float64", "float16", "int32"])
def test_quantized_features_read_their_boxes_in_float32(rois):
    given = qlinear(element_type(rois))
    (finding,) = [finding for finding in validate(given) if finding.code == "invalid-input"]
    assert finding.repairable
    repaired = repair(given, "onnx:16")
    assert codes(validate(repaired, "onnx:16")) == []
    assert op_types(repaired) == ["Cast", private_op.QLINEAR_OP_TYPE]
    assert onnx_roialign.session(repaired, quiet_options()).get_outputs()[0].type == "tensor(uint8)"


NOT_MENDED = {
    "integer X": lambda: make_model([roi_align_node()], 16, element_type=TensorProto.INT32),
    "text for rois": lambda: shaped(*graph_models.RIGHT_SHAPES, rois=TensorProto.STRING),
    "truth values for rois": lambda: shaped(*graph_models.RIGHT_SHAPES, rois=TensorProto.BOOL),
    "fractions for indices": lambda: shaped(*graph_models.RIGHT_SHAPES, indices=TensorProto.FLOAT),
    "shape of rois": lambda: shaped((2, 5, 9, 11), ("K", 5), ("K",)),
}


@pytest.mark.parametrize("what", NOT_MENDED)
def test_inputs_that_a_cast_cannot_repair_are_not_changed(what):
    given = NOT_MENDED[what]()
    found = [finding for finding in validate(given) if finding.code == "invalid-input"]
    assert found
    assert not any(entry.repairable for entry in found)
    assert repair(given, "onnx:16") == given


def test_a_wrong_type_is_repaired_beside_a_wrong_shape_that_is_not():
    given = shaped((2, 5, 9, 11), ("K", 4), ("K", 1), indices=TensorProto.INT32)
    before = [finding.message for finding in validate(given) if finding.code == "invalid-input"]
    after = [finding.message for finding in validate(repair(given, "onnx:16")) if finding.code == "invalid-input"]
    assert before == after == ["batch_indices must have shape (num_rois,), got shape (K, 1)"]


def bfloat16_rois(X, opset):
    """Only of the graph's inputs, since no operator of an old opset outputs bfloat16."""
    given = make_model([roi_align_node()], opset, element_type=TYPES[X])
    given.graph.input[1].type.tensor_type.elem_type = TensorProto.BFLOAT16
    return given


@pytest.mark.parametrize("X", ["float32", "float64"])
@pytest.mark.parametrize("source", ["onnx:10", "torchvision"])
def test_rois_of_a_type_that_the_opset_cannot_cast_need_the_private_op(X, source):
    (finding,) = [finding for finding in validate(bfloat16_rois(X, 12), source) if finding.code == "invalid-input"]
    assert finding.repairable
    for opset, op in ((12, private_op.OP_TYPE), (13, "Cast")):
        repaired = repair(bfloat16_rois(X, opset), source, raise_opset=False)
        onnx_roialign.session(repaired, quiet_options())  # refuses a Cast that the opset does not have
        assert ("Cast" in op_types(repaired)) == (op == "Cast")
        assert op in op_types(repaired)
        assert "invalid-input" not in codes(validate(repaired, source))
        assert repair(repaired, source, raise_opset=False) == repaired
    with pytest.raises(
        RoiAlignError, match=rf"rois must have X's type {X}, or the private op be allowed, got bfloat16"
    ):
        repair(bfloat16_rois(X, 12), source, private_op=False)
