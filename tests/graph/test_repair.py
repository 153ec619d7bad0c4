"""Tests that every repaired model returns its framework's result, and that repair leaves correct models alone."""

from __future__ import annotations

import dataclasses

import exports
import graph_models
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from calls import BATCH_INDICES, FEEDS, ROIS, X
from exports import known_wrong
from found import codes, source_of
from graph_models import BODIES, HALF, LEGACY, SCALE
from installed_versions import newest_opset
from node_facts import opset_of
from onnx import TensorProto, helper
from quiet import run_all
from tolerances import EXPORTS, FLOAT32

import models
import onnx_roialign
from models import DTYPES, SHAPE, TYPES, model
from onnx_roialign import RoiAlignError
from onnx_roialign.arrays import largest_difference
from onnx_roialign.definition import quantized, reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import PRESETS, resolve
from onnx_roialign.graph import repair, validate
from onnx_roialign.graph.reading.value_types import infer_known
from onnx_roialign.graph.repairs import StateMeaning
from onnx_roialign.ops import roi_align as private_op

WRONG = tuple(name for name in exports.names() if known_wrong(name))
RIGHT = tuple(name for name in exports.names() if not known_wrong(name))
# The options of a repair: what it may use.
WAYS = ({}, {"raise_opset": False}, {"exact": True})


def domains(made):
    return {node.domain for node in made.graph.node if node.op_type in ("RoiAlign", private_op.OP_TYPE)}


def meant(semantics, **attributes):
    """The reference's results for FEEDS."""
    return reference.roi_align(
        X, ROIS, BATCH_INDICES, Attributes(**{**SHAPE, **attributes}, semantics=resolve(semantics))
    )


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", WRONG)
def test_a_repaired_export_returns_its_frameworks_outputs(name, way, engine):
    export = exports.load(name)
    repaired = repair(export.model, source_of(name), **way)
    onnx.checker.check_model(repaired)
    assert set(codes(validate(repaired, source_of(name)))) <= {"empty-bins"}
    (got,) = run_all(repaired, export.feeds(), engine=engine)
    assert largest_difference(got, export.expected[0]) <= EXPORTS


@pytest.mark.parametrize("name", WRONG)
def test_a_repaired_export_is_standard_onnx_that_onnxruntime_runs(name):
    export = exports.load(name)
    repaired = repair(export.model, source_of(name), private_op=False)
    assert domains(repaired) == {""}
    (got,) = run_all(repaired, export.feeds(), engine="builtin")
    assert largest_difference(got, export.expected[0]) <= EXPORTS


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_export_is_returned_unchanged(name):
    export = exports.load(name)
    for way in WAYS:
        assert repair(export.model, source_of(name), **way).SerializeToString() == roundtripped(export.model)


def roundtripped(data):
    return onnx.load_from_string(data).SerializeToString()


@pytest.mark.parametrize("name", WRONG)
def test_the_input_is_never_changed_and_a_repaired_model_is_not_repaired_again(name):
    given = onnx.load_from_string(exports.load(name).model)
    before = given.SerializeToString()
    for way in WAYS:
        repaired = repair(given, source_of(name), **way)
        assert given.SerializeToString() == before
        assert repair(repaired, source_of(name), **way) == repaired


@pytest.mark.parametrize("counts", [(4, 0), (0, 4), (1, 3), (2, 1, 0, 1), (0, 0, 4, 0)], ids=str)
@pytest.mark.parametrize("opset_", [10, 11, 16, newest_opset()])
def test_batch_indices_follow_the_counts(counts, opset_):
    source = "detectron2" if opset_ >= 16 else "torchvision"
    given = graph_models.in_batches("B", opset=opset_)
    maps = np.random.default_rng(0).random((len(counts), 5, 9, 11), dtype=np.float32)
    repaired = repair(given, source)
    feeds = {"X": maps, "rois": ROIS, "counts": np.array(counts, np.int32)}
    (got,) = run_all(repaired, feeds)
    indices = np.repeat(np.arange(len(counts)), counts)
    want = onnx_roialign.roi_align(
        maps, ROIS, indices, **SHAPE, semantics="onnx_half_pixel" if opset_ >= 16 else "onnx_output_half_pixel"
    )
    assert largest_difference(got, want) <= FLOAT32
    (evaluated,) = onnx_roialign.reference_evaluator(repaired).run(None, feeds)
    assert largest_difference(evaluated, want) <= FLOAT32


def test_no_rois_at_all_are_no_batch_indices():
    repaired = repair(graph_models.in_batches("B"), "detectron2")
    (got,) = run_all(repaired, {"X": X, "rois": np.zeros((0, 4), np.float32), "counts": np.array([0, 0], np.int32)})
    assert got.shape == (0, 5, 3, 2)


def test_counts_that_do_not_add_up_to_the_rois_are_refused_and_not_guessed():
    repaired = repair(graph_models.in_batches("B"), "detectron2")
    with pytest.raises(Exception, match="rois and batch_indices must have the same count, got 4 and 3"):
        run_all(repaired, {"X": X, "rois": ROIS, "counts": np.array([1, 2], np.int32)})


def test_nodes_that_computed_the_zeros_are_removed_and_graph_inputs_kept():
    given = graph_models.in_batches("B")
    repaired = repair(given, "detectron2")
    assert [value.name for value in repaired.graph.input] == [value.name for value in given.graph.input]
    assert "Expand" not in [node.op_type for node in repaired.graph.node]


def test_a_batch_of_one_image_keeps_its_zeros():
    given = graph_models.in_batches(1)
    assert repair(given, "detectron2") == given


def test_with_two_unread_vectors_the_caller_must_choose():
    given = graph_models.in_batches("B")
    given.graph.input.append(onnx.helper.make_tensor_value_info("other", onnx.TensorProto.INT64, ("N",)))
    assert codes(validate(given)) == []
    assert repair(given, "detectron2") == given
    repaired = repair(given, "detectron2", counts="counts")
    feeds = {"X": X, "rois": ROIS, "counts": np.array([1, 3], np.int32), "other": np.array([9])}
    (got,) = run_all(repaired, feeds)
    want = onnx_roialign.roi_align(X, ROIS, np.array([0, 1, 1, 1]), **SHAPE)
    assert largest_difference(got, want) <= FLOAT32
    with pytest.raises(RoiAlignError, match="counts must be the name of a value of the model's graph, got 'nobody'"):
        repair(given, "detectron2", counts="nobody")


def test_poolers_on_the_same_boxes_share_indices_and_poolers_on_different_boxes_are_unchanged():
    given = graph_models.in_batches("B")
    second = graph_models.in_batches("B").graph.node[-1]
    second.output[0], second.name = "Y2", "second"
    given.graph.node.append(second)
    given.graph.output.append(onnx.ValueInfoProto(name="Y2"))
    repaired = repair(given, "detectron2")
    assert [node.op_type for node in repaired.graph.node].count("NonZero") == 2  # of one table
    other = graph_models.in_batches("B")
    second.input[1] = "rois2"
    other.graph.node.append(second)
    other.graph.input.append(onnx.helper.make_tensor_value_info("rois2", onnx.TensorProto.FLOAT, ("L", 4)))
    assert repair(other, "detectron2") == other


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("opset_", [11, 16, 21])
def test_any_model_can_be_repaired_to_any_preset(opset_, preset, ratio, engine):
    for private in (True, False):
        try:
            repaired = repair(model(opset_, sampling_ratio=ratio), preset, private_op=private, exact=True)
        except RoiAlignError:
            assert not private
            continue
        assert (
            largest_difference(run_all(repaired, FEEDS, engine=engine)[0], meant(preset, sampling_ratio=ratio))
            <= FLOAT32 * 4
        )
        assert codes(validate(repaired, preset)) == []


@pytest.mark.parametrize("preset", PRESETS)
def test_any_emulation_can_be_repaired_to_any_preset(preset):
    emulations = (
        graph_models.shifted(16, [0.5 / SCALE], op="Sub", **HALF),
        graph_models.shifted(11, [0, 0, 1, 1]),
        graph_models.shifted(16, [1, 1, 2, 2], **HALF),
        graph_models.private("mindspore_1"),
    )
    if PRESETS[preset].min_size is None:  # else the source itself moved the boxes, see below
        emulations += (graph_models.shifted(11, [0.5 / SCALE], op="Sub"),)
    for given in emulations:
        repaired = repair(given, preset, exact=True)
        assert largest_difference(run_all(repaired, FEEDS)[0], meant(preset)) <= FLOAT32 * 4


def test_a_shift_that_emulated_an_offset_is_removed():
    repaired = repair(graph_models.shifted(11, [0.5 / SCALE], op="Sub"), "torchvision:aligned=True")
    assert [node.op_type for node in repaired.graph.node] == ["RoiAlign"]
    assert list(repaired.graph.node[0].input) == ["X", "rois", "batch_indices"]


def test_a_shift_of_the_source_itself_is_kept():
    given = graph_models.shifted(11, [0.5 / SCALE], op="Sub")
    assert repair(given, "torchvision") == given
    half = graph_models.shifted(11, [0.5 / SCALE], op="Sub", sampling_ratio=0)
    assert repair(half, "paddle:aligned=False") == half


def test_a_shift_of_the_model_itself_is_kept():
    given = graph_models.shifted(11, [7.0], op="Sub")
    repaired = repair(given, "torchvision:aligned=True")
    assert [node.op_type for node in repaired.graph.node] == ["Constant", "Sub", "RoiAlign"]
    want = onnx_roialign.roi_align(X, ROIS - np.float32(7), BATCH_INDICES, **SHAPE, semantics="torchvision_aligned")
    assert largest_difference(run_all(repaired, FEEDS)[0], want) <= FLOAT32


@pytest.mark.parametrize("kind", ["float32", "float64", "float16", "bfloat16"])
def test_boxes_of_16_bit_are_not_moved_by_an_addition_that_would_round_them(kind):
    repaired = repair(models.model(16, element_type=TYPES[kind]), "mindspore:roi_end_mode=1")
    assert domains(repaired) == ({""} if kind in ("float32", "float64") else {private_op.DOMAIN})


# onnxruntime accepts no NumPy arrays of bfloat16; tests/ops/test_private_op.py runs the op in it.
@pytest.mark.parametrize("kind", ["float32", "float64", "float16"])
def test_a_repaired_model_of_every_type_pools_the_boxes_that_its_source_pools(kind):
    repaired = repair(models.model(16, element_type=TYPES[kind]), "mindspore:roi_end_mode=1")
    feeds = {"X": X.astype(DTYPES[kind]), "rois": ROIS.astype(DTYPES[kind]), "batch_indices": BATCH_INDICES}
    want = reference.roi_align(*feeds.values(), Attributes(**SHAPE, semantics=PRESETS["mindspore_1"]))
    assert largest_difference(run_all(repaired, feeds)[0], want) <= (FLOAT32 * 4 if kind != "float16" else 2e-3)


def test_nan_in_empty_bins_is_kept_only_with_exact():
    given = model(16, sampling_ratio=0)
    feeds = FEEDS | {"rois": np.array([[3, 3, 3, 3]] * 4, np.float32)}
    assert repair(given, "paddle") == given
    repaired = repair(given, "paddle", exact=True)
    assert domains(repaired) == {private_op.DOMAIN}
    assert np.isnan(run_all(repaired, feeds)[0]).all()
    assert (run_all(given, feeds)[0] == 0).all()


@pytest.mark.parametrize("body", BODIES)
def test_bodies_and_functions_are_repaired(body):
    for opset_ in (15, 16):
        repaired = repair(BODIES[body](opset_), "mindspore:roi_end_mode=1")
        feeds = FEEDS | ({"which": np.array(True)} if body == "if" else {})
        (got,) = run_all(repaired, feeds)
        want = meant("mindspore_1")
        got = got[0] if body in ("loop", "scan") else got
        assert largest_difference(got, want) <= FLOAT32 * 4
        assert codes(validate(repaired, "mindspore:roi_end_mode=1")) == []


def test_attributes_are_tidied():
    given = graph_models.without("sampling_ratio", 11, aligned=1, **HALF)
    repaired = repair(given, "torchvision")
    attributes = ir.from_proto(repaired).graph.node(0).attributes
    assert attributes["sampling_ratio"].value == 0
    assert set(attributes) == {"output_height", "output_width", "spatial_scale", "sampling_ratio"}
    negative = repair(model(sampling_ratio=-1, coordinate_transformation_mode="asymmetric"), "torchvision")
    attributes = ir.from_proto(negative).graph.node(0).attributes
    assert attributes["sampling_ratio"].value == 0
    assert attributes["coordinate_transformation_mode"].value == "output_half_pixel"


def test_the_private_op_expresses_a_meaning_to_the_last_bit():
    for always, domain in ((False, ""), (True, private_op.DOMAIN)):
        given = model(16)
        graph = ir.from_proto(given)
        StateMeaning(PRESETS["mindspore_1"], infer_known(given, graph), always_private=always)(graph)
        assert {node.domain for node in graph.graph if node.op_type in ("RoiAlign", private_op.OP_TYPE)} == {domain}


def test_nodes_with_unreadable_attributes_are_not_changed():
    given = model(mode="median")
    assert repair(given, "torchvision") == given
    assert codes(validate(given, "torchvision")) == ["invalid-attribute"]


def test_without_the_private_op_a_meaning_that_onnx_cannot_express_is_an_error():
    with pytest.raises(RoiAlignError, match=r"to express .*adaptive='floor'.*, got opset 16 \(node 'pool'\)"):
        repair(model(16, sampling_ratio=0), "mindspore:roi_end_mode=0", private_op=False)
    with pytest.raises(RoiAlignError, match="opset must be at least 16, or the private op allowed"):
        repair(model(11), "torchvision:aligned=True", private_op=False, raise_opset=False)


def test_a_model_that_cannot_be_raised_gets_the_private_op():
    given = model(11)
    given.graph.node.append(onnx.helper.make_node("NoSuchOp", ["X"], ["Z"]))
    repaired = repair(given, "torchvision:aligned=True")
    assert (opset_of(repaired), domains(repaired)) == (11, {private_op.DOMAIN})


def test_external_data_stays_where_it_is(tmp_path):
    given = graph_models.network(0.25)
    onnx.save_model(given, tmp_path / "model.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    repaired = repair(tmp_path / "model.onnx", "mindspore:roi_end_mode=1")
    assert {tensor.data_location for tensor in repaired.graph.initializer} == {onnx.TensorProto.EXTERNAL}
    legacy = repair(tmp_path / "model.onnx", "torchvision")
    assert {entry.value for tensor in legacy.graph.initializer for entry in tensor.external_data} >= {"weights"}
    assert LEGACY["coordinate_transformation_mode"].encode() in {a.s for a in legacy.graph.node[-1].attribute}


def test_the_quantized_op_is_kept():
    given = graph_models.qlinear()
    for source in ("torchvision", "mindspore:roi_end_mode=0"):
        for private in (True, False):
            repaired = repair(given, source, private_op=private, exact=True)
            (node,) = repaired.graph.node
            assert (node.op_type, node.input) == (private_op.QLINEAR_OP_TYPE, given.graph.node[0].input)
            assert set(codes(validate(repaired, source))) <= {"empty-bins"}  # no NaN in 8 bits
            assert repair(repaired, source, exact=True) == repaired
            X_, rois = np.arange(2 * 5 * 9 * 11).reshape(2, 5, 9, 11) % 251, FEEDS["rois"]
            feeds = {"X": X_.astype(np.uint8), "x_scale": np.array(0.5, np.float32)}
            feeds["x_zero_point"] = np.array(3, np.uint8)
            feeds |= {"rois": rois, "batch_indices": FEEDS["batch_indices"]}
            meaning = dataclasses.replace(onnx_roialign.sources.parse(source), empty="zero")
            want = quantized.roi_align(*feeds.values(), Attributes(**SHAPE, semantics=meaning))
            np.testing.assert_array_equal(run_all(repaired, feeds)[0], want)


def test_a_roi_align_with_a_body_loses_it():
    """A Loop turned into a RoiAlign: its body stays as an attribute, and with it a graph with inferred types."""
    given = model(16)
    body = helper.make_graph(
        [helper.make_node("Identity", ["X"], ["inner"])], "body", [], [models.value("inner", TensorProto.FLOAT)]
    )
    given.graph.node[0].attribute.append(helper.make_attribute("body", body))
    repaired = repair(given, "torchvision")
    assert "body" not in {attribute.name for attribute in repaired.graph.node[0].attribute}
