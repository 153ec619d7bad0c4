"""Tests RoiAlign inside onnx.reference: the meaning of the model's opset, in every type and at any depth."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnx.reference
import pytest
import tolerances
from onnx import TensorProto, helper

from models import make_model
from onnx_roialign import RoiAlign, RoiAlignError, reference_evaluator, roi_align

NEWEST = onnx.defs.onnx_opset_version()
TYPES = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)


def inputs(dtype=np.float32):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2, 3, 16, 20)).astype(dtype)
    rois = np.array([[1, 2, 9, 12], [0, 0, 4, 4], [3, 3, 18, 15]], dtype)
    return {"X": X, "rois": rois, "batch_indices": np.array([0, 1, 1])}


def node(**attributes):
    names = ["X", "rois", "batch_indices"]
    return helper.make_node("RoiAlign", names, ["Y"], "pool", output_height=2, output_width=2, **attributes)


def model_of(nodes, opset, dtype=np.float32, extra_inputs=(), **arguments):
    element_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    proto = make_model(nodes, opset, element_type=element_type, shapes=([None] * 4, [None, 4], [None]), **arguments)
    proto.graph.input.extend(extra_inputs)
    return proto


def expected(coordinates, feeds, **attributes):
    return roi_align(
        *feeds.values(),
        output_height=2,
        output_width=2,
        coordinate_transformation_mode=coordinates,
        engine="reference",
        **attributes,
    )


def meaning(opset):
    return "half_pixel" if opset >= 16 else "output_half_pixel"


@pytest.mark.parametrize("opset", [10, 11, 15, 16, 21, 22, NEWEST])
@pytest.mark.parametrize("dtype", TYPES)
def test_a_node_without_the_attribute_has_its_opsets_default(opset, dtype):
    feeds = inputs(dtype)
    (Y,) = reference_evaluator(model_of([node()], opset, dtype)).run(None, feeds)
    assert Y.dtype == dtype
    assert np.array_equal(Y, expected(meaning(opset), feeds))


@pytest.mark.parametrize("opset", [10, 16, 22])
@pytest.mark.parametrize("mode", ["half_pixel", "output_half_pixel"])
def test_the_attribute_of_a_node_is_respected(opset, mode):
    feeds = inputs()
    (Y,) = reference_evaluator(model_of([node(coordinate_transformation_mode=mode)], opset)).run(None, feeds)
    assert np.array_equal(Y, expected(mode, feeds))


@pytest.mark.parametrize("opset", [10, 16, 22])
@pytest.mark.parametrize("sampling_ratio", [0, 3])
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_every_attribute_reaches_the_reference(opset, sampling_ratio, mode):
    feeds = inputs()
    attributes = {"sampling_ratio": sampling_ratio, "mode": mode, "spatial_scale": 0.5}
    (Y,) = reference_evaluator(model_of([node(**attributes)], opset)).run(None, feeds)
    assert np.array_equal(Y, expected(meaning(opset), feeds, **attributes))


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_at_opset_16_onnx_returns_the_same(mode):
    feeds, model = inputs(), model_of([node(mode=mode, sampling_ratio=2)], 16)
    (theirs,) = onnx.reference.ReferenceEvaluator(model).run(None, feeds)
    (ours,) = reference_evaluator(model).run(None, feeds)
    assert np.abs(theirs - ours).max() <= tolerances.FLOAT32 * np.abs(feeds["X"]).max()


def test_at_opset_10_onnx_is_wrong_and_the_class_in_new_ops_corrects_it():
    feeds, model = inputs(), model_of([node()], 10)
    explicit = model_of([node(coordinate_transformation_mode="output_half_pixel")], 16)
    (right,) = onnx.reference.ReferenceEvaluator(explicit).run(None, feeds)
    (theirs,) = onnx.reference.ReferenceEvaluator(model).run(None, feeds)
    (ours,) = onnx.reference.ReferenceEvaluator(model, new_ops=[RoiAlign]).run(None, feeds)
    assert np.abs(theirs - right).max() > 0.1
    assert np.abs(ours - right).max() <= tolerances.FLOAT32 * np.abs(feeds["X"]).max()


def branch(mode):
    element = TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info("Y", element, None)]
    return helper.make_graph([node(mode=mode)], mode, [], outputs)


def test_roialign_in_the_branches_of_an_if_is_replaced():
    condition = helper.make_tensor_value_info("condition", TensorProto.BOOL, [])
    choose = helper.make_node("If", ["condition"], ["Y"], then_branch=branch("avg"), else_branch=branch("max"))
    evaluator = reference_evaluator(model_of([choose], 11, extra_inputs=[condition]))
    for truth, mode in ((True, "avg"), (False, "max")):
        (Y,) = evaluator.run(None, {**inputs(), "condition": np.array(truth)})
        assert np.array_equal(Y, expected("output_half_pixel", inputs(), mode=mode))


def test_roialign_in_the_body_of_a_loop_is_replaced():
    body = helper.make_graph(
        [
            helper.make_node("RoiAlign", ["X", "rois", "batch_indices"], ["pooled"], output_height=2, output_width=2),
            helper.make_node("Identity", ["go"], ["go_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("pooled", TensorProto.FLOAT, None),
        ],
    )
    trips = helper.make_node("Constant", [], ["trips"], value=helper.make_tensor("t", TensorProto.INT64, [], [2]))
    go = helper.make_node("Constant", [], ["start"], value=helper.make_tensor("g", TensorProto.BOOL, [], [True]))
    loop = helper.make_node("Loop", ["trips", "start", "X"], ["Y"], body=body)
    (Y,) = reference_evaluator(model_of([trips, go, loop], 13)).run(None, inputs())
    assert np.array_equal(Y, expected("output_half_pixel", inputs()))


def test_roialign_in_a_function_has_the_functions_opset_and_attributes():
    inner = node()
    ratio = inner.attribute.add()
    ratio.name, ratio.ref_attr_name, ratio.type = "sampling_ratio", "samples", onnx.AttributeProto.INT
    names = ["X", "rois", "batch_indices"]
    function = helper.make_function("mine", "Pool", names, ["Y"], [inner], [helper.make_opsetid("", 10)], ["samples"])
    call = helper.make_node("Pool", names, ["Y"], domain="mine", samples=3)
    model = model_of([call], 16, functions=[function], domains=["mine"])
    (Y,) = reference_evaluator(model).run(None, inputs())
    assert np.array_equal(Y, expected("output_half_pixel", inputs(), sampling_ratio=3))


def test_a_model_is_a_path_bytes_or_a_proto(tmp_path):
    model = model_of([node()], 16)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    right = expected("half_pixel", inputs())
    for given in (path, str(path), path.read_bytes(), model):
        (Y,) = reference_evaluator(given).run(None, inputs())
        assert np.array_equal(Y, right)


def test_external_data_is_loaded_with_a_path(tmp_path):
    feeds = inputs()
    model = model_of([node()], 16)
    model.graph.initializer.append(onnx.numpy_helper.from_array(feeds.pop("X"), "X"))
    path = tmp_path / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, size_threshold=0)
    (Y,) = reference_evaluator(path).run(None, feeds)
    assert np.array_equal(Y, expected("half_pixel", inputs()))


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"mode": "median"}, r"^mode must be 'avg' or 'max', got 'median' \(node 'pool'\)$"),
        ({"sampling_ratio": -1}, r"^sampling_ratio must be in \[0, 16384\], got -1 \(node 'pool'\)$"),
        ({"sampling_ratio": 2.0}, r"^sampling_ratio must be an integer, got a float \(node 'pool'\)$"),
        (
            {"coordinate_transformation_mode": "asymmetric"},
            r"^coordinate_transformation_mode must be .*, got 'asymmetric' \(node 'pool'\)$",
        ),
    ],
)
def test_a_bad_attribute_is_refused_with_the_name_of_its_node(attributes, message):
    with pytest.raises(RoiAlignError, match=message):
        reference_evaluator(model_of([node(**attributes)], 16))


def test_a_bad_input_is_refused_with_the_name_of_its_node():
    feeds = inputs()
    feeds["rois"][2, 1] = np.nan
    with pytest.raises(RoiAlignError, match=r"^rois must be finite, .* row 2, column 1 \(y1\) \(node 'pool'\)$"):
        reference_evaluator(model_of([node()], 16)).run(None, feeds)


def test_an_opset_before_roialign_is_refused():
    with pytest.raises(RoiAlignError, match=r"^opset must be at least 10 for RoiAlign, got 9 \(node 'pool'\)$"):
        reference_evaluator(model_of([node()], 9))
