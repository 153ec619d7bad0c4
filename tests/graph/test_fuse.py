"""Tests that fuse turns every real pooler into one op that returns the same, and leaves look-alikes alone."""

from __future__ import annotations

import exports
import numpy as np
import onnx
import onnxruntime
import pooler_exports
import pytest
from installed_versions import newest_opset
from node_facts import opset_of
from onnx import TensorProto, helper, numpy_helper
from quiet import quiet_options, run_all
from tolerances import FLOAT32, FUSED

import onnx_roialign
from onnx_roialign import RoiAlignError
from onnx_roialign.graph import fuse, unfuse
from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.ops.roi_align import DOMAIN

PYRAMIDS = tuple(name for name in exports.names() if name.startswith("torchvision_multiscale"))
DETECTORS = tuple(name for name in exports.names() if name.startswith("detectors"))
# The number of ops that each file of other exporters must have.
POOLERS = {
    "detectron2_3levels_1image_ts17": ["MultiScaleRoiAlign"],
    "mmdeploy_3levels_ts11": ["MultiScaleRoiAlign"],
    "mmdet228_masked_add_3levels_ts11": ["MultiScaleRoiAlign"],
    "not_ratios_ts13": [],
    "not_rescaled_ts13": [],
    "paste_masks_ts11": ["PasteMasks"],
    "two_poolers_one_box_tensor_dyn20": ["MultiScaleRoiAlign"] * 2,
    "two_poolers_one_box_tensor_ts11": ["MultiScaleRoiAlign"] * 2,
}
# Aligned pooling as RoI - 0.5 / scale: the graph's RoIs are at least one pixel large, mmdetection's are not.
AS_EXPORTED = ("mmdeploy_3levels_ts11", "mmdet228_masked_add_3levels_ts11")


def private_ops(model):
    return [node.op_type for node in model.graph.node if node.domain == DOMAIN]


def assert_same(got, want, bar):
    for one, other in zip(got, want, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        if one.dtype.kind == "f":
            np.testing.assert_allclose(one, other, rtol=0, atol=bar)
        else:
            np.testing.assert_array_equal(one, other)


def test_every_file_has_its_number_of_ops():
    assert sorted(POOLERS) == pooler_exports.names()


@pytest.mark.parametrize("name", POOLERS)
def test_an_exported_pooler_becomes_one_op_with_the_frameworks_results(name):
    given = pooler_exports.load(name)
    fused = fuse(given)
    assert private_ops(fused.model) == POOLERS[name]
    assert [part.op for part in fused.report if part.fused] == POOLERS[name]
    if not POOLERS[name]:
        assert fused.model == given
    for feeds, want in pooler_exports.cases(name):
        if opset_of(given) > newest_opset():
            continue
        if name in AS_EXPORTED:  # below opset 16 RoIs are at least 1 x 1, mmdetection's are not
            want = run_all(given, feeds)
        bar = FUSED * max(np.abs(array).max(initial=0) for array in feeds.values() if array.ndim == 4)
        if POOLERS[name]:
            assert_same(run_all(fused.model, feeds), want, bar)
            engine = "native" if name in AS_EXPORTED else "builtin"  # ONNX cannot express its RoiAlign
            assert_same(run_all(unfuse(fused.model), feeds, engine=engine), want, bar)


@pytest.mark.parametrize("name", PYRAMIDS)
def test_torchvisions_pooler_becomes_one_op_of_its_rule(name):
    export = exports.load(name)
    fused = fuse(export.model)
    assert private_ops(fused.model) == ["MultiScaleRoiAlign"]
    scale, least = (96, 2) if "canonical96" in name else (224, 2)
    assert f"/ {scale}) + 1e-06), {least} to " in fused.report[0].text
    bar = FLOAT32 * max(np.abs(array).max() for array in export.inputs if array.ndim == 4)
    assert_same(run_all(fused.model, export.feeds()), export.expected, bar)
    assert_same(run_all(fused.model, export.feeds(), engine="reference"), export.expected, bar)


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_returns_the_same(name):
    export = exports.load(name)
    if opset_of(onnx.load_from_string(export.model)) > newest_opset():
        pytest.skip("the installed onnxruntime has no such opset")
    fused = fuse(export.model)
    parts = ["MultiScaleRoiAlign"] + (["MultiScaleRoiAlign", "PasteMasks"] if "mask" in name else [])
    assert private_ops(fused.model) == parts
    assert [part.op for part in fused.report if part.fused] == parts
    given = onnx.load_from_string(export.model)
    assert list(fused.model.graph.input) == list(given.graph.input)
    assert [value.name for value in fused.model.graph.output] == [value.name for value in given.graph.output]
    assert len(given.graph.node) - len(fused.model.graph.node) > 200 * parts.count("MultiScaleRoiAlign")
    assert unread_nodes(fused.model) == []
    assert_same(run_all(fused.model, export.feeds()), run_all(export.model, export.feeds()), 1e-5)
    again = fuse(fused.model)
    assert (again.model, again.report) == (fused.model, ())
    assert private_ops(unfuse(fused.model)) == []


def unread_nodes(model):
    """What only a removed Loop read, through its body, is removed too."""
    graphs = [scope.graph for scope in scopes(model)]
    read = {name for graph in graphs for node in graph.node for name in node.input}
    read |= {value.name for graph in graphs for value in graph.output}
    return [node.name for graph in graphs for node in graph.node if not read.intersection(node.output)]


def test_a_session_optimizes_by_itself():
    export = exports.load(PYRAMIDS[1])
    options = quiet_options()
    options.optimized_model_filepath = ""
    session = onnx_roialign.session(export.model, options, optimize=True)
    (got,) = session.run(None, export.feeds())
    np.testing.assert_allclose(got, export.expected[0], rtol=0, atol=FLOAT32 * np.abs(export.inputs[0]).max())


def test_optimize_refuses_a_model_with_its_data_elsewhere(tmp_path):
    model = onnx.load_from_string(exports.load(DETECTORS[0]).model)
    onnx.save_model(model, tmp_path / "m.onnx", save_as_external_data=True, location="data", size_threshold=64)
    with pytest.raises(RoiAlignError, match="optimize must be False for a model whose data lies in other files"):
        onnx_roialign.session(tmp_path / "m.onnx", optimize=True)


def test_a_model_without_a_pooler_is_returned_unchanged():
    given = onnx.load_from_string(exports.load("torchvision_roi_align/torchscript_opset16_legacy_s2.onnx").model)
    fused = fuse(given)
    assert (fused.model, fused.report) == (given, ())
    assert fused.model is not given


def test_an_argument_that_is_not_a_model_is_refused():
    with pytest.raises(RoiAlignError, match="model must be"):
        fuse(b"no model")


# Look-alikes of poolers.


def changed(name, change):
    model = onnx.load_from_string(exports.load(f"torchvision_multiscale/{name}.onnx").model)
    change(model)
    return model


def base_of_ones(model):
    """Rows without a level are 1."""
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape" and node.attribute[0].t.data_type == TensorProto.FLOAT:
            users = [one for one in model.graph.node if node.output[0] in one.input]
            if any(value.op_type == "ScatterElements" for value in users):
                node.attribute[0].t.CopyFrom(numpy_helper.from_array(np.ones(1, np.float32)))


def another_mode(model):
    node = next(node for node in model.graph.node if node.op_type == "RoiAlign")
    node.attribute.append(helper.make_attribute("mode", "max"))


def another_map_twice(model):
    """Two levels are read from one map: still a pooler, with other scales."""
    nodes = [node for node in model.graph.node if node.op_type == "RoiAlign"]
    nodes[1].input[0] = nodes[0].input[0]


def swapped_scatter(model):
    """A level's rows are written to the places of another level."""
    nodes = [node for node in model.graph.node if node.op_type == "ScatterElements"]
    nodes[0].input[2], nodes[1].input[2] = nodes[1].input[2], nodes[0].input[2]


def pooled_is_doubled(model):
    """The merged values are no longer the pooled ones."""
    node = next(node for node in model.graph.node if node.op_type == "RoiAlign")
    output = node.output[0]
    node.output[0] = "halved"
    place = list(model.graph.node).index(node)
    model.graph.node.insert(place + 1, helper.make_node("Add", ["halved", "halved"], [output], "doubled"))


@pytest.mark.parametrize(
    "change", [base_of_ones, another_mode, swapped_scatter, pooled_is_doubled], ids=lambda change: change.__name__
)
def test_a_look_alike_is_not_fused(change):
    given = changed("fpn4_7x7_s2_torchscript_opset16", change)
    fused = fuse(given)
    assert fused.model == given
    assert not any(part.fused for part in fused.report)
    assert all(part.text for part in fused.report)


def test_two_levels_of_one_map_are_a_pooler():
    export = exports.load("torchvision_multiscale/fpn4_7x7_s2_torchscript_opset16.onnx")
    given = changed("fpn4_7x7_s2_torchscript_opset16", another_map_twice)
    fused = fuse(given)
    assert private_ops(fused.model) == ["MultiScaleRoiAlign"]
    bar = FLOAT32 * np.abs(export.inputs[0]).max()
    assert_same(run_all(fused.model, export.feeds()), run_all(given, export.feeds()), bar)


def pasting_by(mode):
    def change(model):
        for loop in (node for node in model.graph.node if node.op_type == "Loop"):
            for node in loop.attribute[0].g.node:
                if node.op_type == "Resize":
                    for attribute in node.attribute:
                        if attribute.name == mode[0]:
                            attribute.s = mode[1]

    return change


@pytest.mark.parametrize("mode", [("mode", b"nearest"), ("coordinate_transformation_mode", b"asymmetric")])
def test_pasting_in_another_way_is_not_fused(mode):
    given = pooler_exports.load("paste_masks_ts11")
    pasting_by(mode)(given)
    fused = fuse(given)
    assert fused.model == given
    assert [part.fused for part in fused.report] == [False]
    assert "differ" in fused.report[0].text


def test_levels_that_other_nodes_read_are_kept():
    given = pooler_exports.load("detectron2_3levels_1image_ts17")
    levels = next(node.input[0] for node in given.graph.node if node.op_type == "Equal")
    given.graph.output.append(helper.make_tensor_value_info(levels, TensorProto.INT64, ["K"]))
    fused = fuse(given)
    assert private_ops(fused.model) == ["MultiScaleRoiAlign"]
    feeds, (want, *_) = next(pooler_exports.cases("detectron2_3levels_1image_ts17"))
    got, told = run_all(fused.model, feeds)
    np.testing.assert_allclose(got, want, rtol=0, atol=FUSED * np.abs(feeds["feat0"]).max())
    np.testing.assert_array_equal(told, run_all(given, feeds)[1])


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_a_pooler_of_another_type(dtype):
    """Levels of 16-bit boxes, and of boxes of float64, whose boundaries no attribute can hold."""
    from onnx_roialign.frameworks.torchvision import MultiScaleRoIAlign

    shapes = {f"p{i}": (1, 3, 64 >> i, 80 >> i) for i in range(4)}
    pooler = MultiScaleRoIAlign(list(shapes), 5, 2)
    given = pooler.to_onnx(16, feature_shapes=shapes, image_shapes=[(256, 320)], dtype=dtype)
    fused = fuse(given)
    assert private_ops(fused.model) == ["MultiScaleRoiAlign"]
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 200, (40, 2))
    feeds = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    feeds["boxes_0"] = np.hstack([corner, corner + rng.uniform(1, 240, (40, 2))]).astype(dtype)
    (got,), (want,) = run_all(fused.model, feeds), run_all(given, feeds)
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-3 if dtype == np.float16 else 1e-12)


def test_builtin_runs_what_was_unfused():
    export = exports.load(PYRAMIDS[1])
    plain = unfuse(fuse(export.model).model)
    assert {entry.domain for entry in plain.opset_import} == {""}
    session = onnxruntime.InferenceSession(plain.SerializeToString(), quiet_options(), ["CPUExecutionProvider"])
    (got,) = session.run(None, export.feeds())
    np.testing.assert_allclose(got, export.expected[0], rtol=0, atol=FLOAT32 * np.abs(export.inputs[0]).max())
