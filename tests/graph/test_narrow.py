"""Tests boxes that are rounded to a 16-bit type: validate reports them, repair takes them from before the rounding."""

from __future__ import annotations

import exports
import numpy as np
import onnx
import pytest
from graph_models import constant
from onnx import TensorProto, helper
from onnxruntime.transformers import float16
from onnxruntime.transformers.onnx_model import OnnxModel
from quiet import quiet_options

import onnx_roialign
from models import check_with_schemas, make_model, model_of, roi_align_node, value
from onnx_roialign.graph import repair, validate
from onnx_roialign.ops import roi_align as private_op

FLOAT, FLOAT16, BFLOAT16, DOUBLE, INT64 = (
    getattr(TensorProto, name) for name in ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "INT64")
)
SOURCE = "onnx:16"  # the meaning that the models here already have
_rng = np.random.default_rng(0)
FEEDS = {
    "X": _rng.standard_normal((1, 2, 100, 100)).astype(np.float32),
    "rois": (_rng.uniform(0, 790, (7, 2))[:, [0, 1, 0, 1]] + [0, 0, 7.3, 9.1]).astype(np.float32),
    "batch_indices": np.zeros(7, np.int64),
    "which": np.array(True),
}


def cast(source, output, kind=FLOAT16):
    return helper.make_node("Cast", [source], [output], f"cast_{output}", to=kind)


def graph_model(nodes, inputs=(), *, side=100, opset=16):
    """Maps of 1/8 of an image of 8 * side pixels, boxes, and Y."""
    shape = (1, 2, side, side)
    given = [value("X", FLOAT, shape), value("rois", FLOAT, (7, 4)), value("batch_indices", INT64, (7,)), *inputs]
    return model_of(nodes, given, [value("Y", FLOAT, (7, 2, 3, 2))], opset)


def pool(boxes, output="pooled", features="features", **attributes):
    return roi_align_node(features, boxes, "batch_indices", output, name=output, spatial_scale=0.125, **attributes)


def between(*nodes, wide=False, kind=FLOAT16):
    """A RoiAlign of 16 bits, or of float32 between Casts, on boxes that these nodes compute from ``narrow``."""
    last = nodes[-1].output[0] if nodes else "narrow"
    middle = [cast("X", "features", FLOAT if wide else kind)]
    if wide:
        middle.append(cast(last, "boxes", FLOAT))
        last = "boxes"
    return graph_model([cast("rois", "narrow", kind), *nodes, *middle, pool(last), cast("pooled", "Y", FLOAT)])


def coarse(model):
    return [finding for finding in validate(model) if finding.code == "coarse-coordinates"]


def run(model):
    session = onnx_roialign.session(model, quiet_options())
    return session.run(None, {value.name: FEEDS[value.name] for value in session.get_inputs()})[0]


def right(boxes="rois"):
    """The same with boxes in float32, and features rounded as before."""
    nodes = [cast("X", "half"), cast("half", "features", FLOAT), pool(boxes, "Y")]
    return graph_model(nodes)


INT = np.int64
WAYS = {
    "nothing": [],
    "Identity": [helper.make_node("Identity", ["narrow"], ["moved"])],
    "Gather": [constant("i", range(7), INT), helper.make_node("Gather", ["narrow", "i"], ["moved"])],
    "Gather of columns": [
        constant("i", [0, 1, 2, 3], INT),
        helper.make_node("Gather", ["narrow", "i"], ["moved"], axis=1),
    ],
    "Slice": [
        *(constant(name, [number], INT) for name, number in (("start", 0), ("end", 7), ("axis", 0))),
        helper.make_node("Slice", ["narrow", "start", "end", "axis"], ["moved"]),
    ],
    "Split and Concat": [
        helper.make_node("Split", ["narrow"], ["left", "right"], axis=1),
        helper.make_node("Concat", ["left", "right"], ["moved"], axis=-1),
    ],
    "Concat of rows": [
        *(constant(name, [number], INT) for name, number in (("zero", 0), ("three", 3), ("seven", 7))),
        helper.make_node("Slice", ["narrow", "zero", "three", "zero"], ["first"]),
        helper.make_node("Slice", ["narrow", "three", "seven", "zero"], ["rest"]),
        helper.make_node("Concat", ["first", "rest"], ["moved"], axis=0),
    ],
    "Unsqueeze and Squeeze": [
        constant("axis", [0], INT),
        helper.make_node("Unsqueeze", ["narrow", "axis"], ["deep"]),
        helper.make_node("Squeeze", ["deep", "axis"], ["moved"]),
    ],
    "Reshape": [
        constant("flat", [-1], INT),
        constant("rows", [-1, 4], INT),
        helper.make_node("Reshape", ["narrow", "flat"], ["flattened"]),
        helper.make_node("Reshape", ["flattened", "rows"], ["moved"]),
    ],
    "Transpose": [
        helper.make_node("Transpose", ["narrow"], ["turned"]),
        helper.make_node("Transpose", ["turned"], ["moved"]),
    ],
    "more Casts": [cast("narrow", "wider", FLOAT), cast("wider", "narrower"), cast("narrower", "moved")],
    "an index beside them": [
        constant("images", np.zeros((7, 1)), np.float16),
        constant("i", [1, 2, 3, 4], INT),
        helper.make_node("Concat", ["images", "narrow"], ["five"], axis=1),
        helper.make_node("Gather", ["five", "i"], ["moved"], axis=1),
    ],
}


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_roi_align_reads_the_boxes_before_the_cast(way, wide):
    model = between(*WAYS[way], wide=wide)
    (finding,) = coarse(model)
    assert finding.repairable
    repaired = repair(model, SOURCE)
    check_with_schemas(repaired)
    assert not coarse(repaired)
    op = next(node for node in repaired.graph.node if "RoiAlign" in node.op_type)
    assert op.op_type == ("RoiAlign" if wide else private_op.OP_TYPE)
    want = run(right())
    np.testing.assert_allclose(run(repaired), want, rtol=1e-3, atol=1e-3)  # of the features' type
    assert np.abs(run(model) - want).max() > 0.05
    assert repair(repaired, SOURCE) == repaired


def test_a_cast_is_bypassed_through_older_forms_of_the_nodes_too():
    nodes = [
        helper.make_node("Unsqueeze", ["narrow"], ["d"], axes=[0]),
        helper.make_node("Squeeze", ["d"], ["m"], axes=[0]),
    ]
    model = between(*nodes)
    model.opset_import[0].version = 11
    repaired = repair(model, "onnx:11")
    check_with_schemas(repaired)
    assert not coarse(repaired)


def test_boxes_of_several_types_are_joined_in_float32():
    nodes = [
        helper.make_node("Split", ["rois"], ["left", "right"], axis=1),
        cast("left", "double", DOUBLE),
        cast("double", "narrow_left"),
        cast("right", "narrow_right", BFLOAT16),
        cast("narrow_right", "right_again"),
        helper.make_node("Concat", ["narrow_left", "right_again"], ["boxes"], axis=1),
        cast("X", "features"),
        pool("boxes"),
        cast("pooled", "Y", FLOAT),
    ]
    model = graph_model(nodes, opset=16)
    names = ["are float16; float16 holds", "are bfloat16 before a Cast; bfloat16 holds"]
    assert [any(name in finding.message for finding in coarse(model)) for name in names] == [True, True]
    repaired = repair(model, SOURCE)
    assert not coarse(repaired)
    np.testing.assert_allclose(run(repaired), run(right()), rtol=1e-3, atol=1e-3)


def test_arithmetic_in_16_bits_is_kept_and_still_reported():
    nodes = [constant("half", [0.5], np.float16), helper.make_node("Mul", ["narrow", "half"], ["moved"])]
    model = between(*nodes)
    (finding,) = coarse(model)
    assert not finding.repairable
    assert repair(model, SOURCE) == model


def test_values_that_other_nodes_read_are_kept():
    nodes = [helper.make_node("Identity", ["narrow"], ["moved"])]
    model = between(*nodes)
    model.graph.node.append(cast("moved", "Z", FLOAT))
    model.graph.output.append(value("Z", FLOAT))
    repaired = repair(model, SOURCE)
    kept = [node for node in repaired.graph.node if node.output[0] in ("narrow", "moved", "Z")]
    assert [node.input[0] for node in kept] == ["rois", "narrow", "moved"]
    assert not coarse(repaired)


def test_without_the_private_op_only_what_onnx_can_express_is_repaired():
    narrow, wide = between(), between(wide=True)
    assert repair(narrow, SOURCE, private_op=False) == narrow
    assert not coarse(repair(wide, SOURCE, private_op=False))


def test_a_private_op_keeps_its_meaning_and_gets_wide_boxes():
    model = repair(between(), "mindspore:roi_end_mode=1")
    op = next(node for node in model.graph.node if node.domain)
    assert {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in op.attribute}["end_shift"] == 1
    assert not coarse(model)


def test_in_bodies_and_functions():
    nodes = [cast("rois", "narrow"), cast("X", "features"), pool("narrow"), cast("pooled", "out", FLOAT)]
    branches = {
        f"{name}_branch": helper.make_graph(nodes, name, [], [value("out", FLOAT)]) for name in ("then", "else")
    }
    body = graph_model([helper.make_node("If", ["which"], ["Y"], **branches)], [value("which", TensorProto.BOOL, ())])
    names = ["X", "rois", "batch_indices"]
    function = helper.make_function("local", "Pool", names, ["out"], nodes, [helper.make_opsetid("", 16)])
    called = graph_model([helper.make_node("Pool", names, ["Y"], domain="local")])
    called.functions.append(function)
    called.opset_import.add(domain="local", version=1)
    for model, count in ((body, 2), (called, 1)):
        assert [finding.repairable for finding in coarse(model)] == [True] * count
        repaired = repair(model, SOURCE)
        assert not coarse(repaired)
        np.testing.assert_allclose(run(repaired), run(right()), rtol=1e-3, atol=1e-3)


LIMITS = [(FLOAT16, 32, False), (FLOAT16, 33, True), (BFLOAT16, 4, False), (BFLOAT16, 5, True)]


@pytest.mark.parametrize(("kind", "side", "warned"), LIMITS)
def test_a_type_that_is_exact_to_an_eighth_of_a_pixel_is_not_reported(kind, side, warned):
    nodes = [cast("rois", "boxes", kind), cast("X", "features", kind), pool("boxes"), cast("pooled", "Y", FLOAT)]
    model = graph_model(nodes, side=side, opset=22)
    findings = coarse(model)
    assert bool(findings) == warned
    assert any(node.domain == private_op.DOMAIN for node in repair(model, "onnx:22").graph.node) == warned
    if warned:
        assert f"holds multiples of 0.25 in an image {8 * side} pixels long" in findings[0].message


def test_an_image_of_unknown_size_is_reported_as_such():
    model = make_model(
        [cast("rois", "b"), cast("X", "f"), roi_align_node("f", "b", "batch_indices", "y"), cast("y", "Y", FLOAT)], 16
    )
    (finding,) = coarse(model)
    assert "float16 holds multiples of 0.25 above 256 pixels (the size of the image is not known)" in finding.message


def test_boxes_that_are_16_bit_inputs_are_reported_and_not_changed():
    model = graph_model(
        [cast("X", "features"), pool("boxes"), cast("pooled", "Y", FLOAT)], [value("boxes", FLOAT16, (7, 4))]
    )
    (finding,) = coarse(model)
    assert not finding.repairable
    assert repair(model, SOURCE) == model


def test_integers_that_are_cast_to_16_bits_are_repaired_too():
    nodes = [
        cast("rois", "whole", INT64),
        cast("whole", "narrow"),
        cast("X", "features"),
        pool("narrow"),
        cast("pooled", "Y", FLOAT),
    ]
    repaired = repair(graph_model(nodes), SOURCE)
    check_with_schemas(repaired)
    assert not coarse(repaired)


BLOCKED = {"in float32 between Casts": None, "in float16": [*set(float16.DEFAULT_OP_BLOCK_LIST) - {"RoiAlign"}]}
PYRAMIDS = ("fpn3_5x5_canonical96", "fpn4_14x14_s0_batch2")


@pytest.mark.parametrize("blocked", BLOCKED)
@pytest.mark.parametrize("pyramid", PYRAMIDS)
def test_a_detector_s_pooler_in_float16_returns_what_torchvision_returned(pyramid, blocked):
    """Images of 640 pixels. The converter moves a few boxes, whose area it computes in float16, to another level."""
    export = exports.load(f"torchvision_multiscale/{pyramid}_torchscript_opset16.onnx")
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(export.model))
    converted = float16.convert_float_to_float16(model, keep_io_types=True, op_block_list=BLOCKED[blocked])
    OnnxModel(converted).topological_sort()  # the converter leaves these to runtimes
    assert all(finding.repairable for finding in coarse(converted))
    repaired = repair(converted, "torchvision")
    assert not coarse(repaired)
    check_with_schemas(repaired)
    off = []
    for made in (converted, repaired):
        answer = onnx_roialign.session(made, quiet_options()).run(None, export.feeds())[0]
        largest = np.abs(answer - export.expected[0]).reshape(len(answer), -1).max(axis=1)
        same_level = largest < 0.1
        assert same_level.mean() > 0.95
        off.append(largest[same_level].max())
    assert off[0] > 0.01
    assert off[1] < 2**-11  # features in [0, 1) and results are rounded once each, to half of 2**-11 at most
