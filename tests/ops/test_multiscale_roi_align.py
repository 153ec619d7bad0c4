"""Tests onnx_roialign::MultiScaleRoiAlign, on every engine, against the plain loop over levels."""

from __future__ import annotations

from copy import deepcopy

import naive
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from private_runs import RUNS, native
from quiet import bare_options
from tolerances import FLOAT32, FLOAT64

import onnx_roialign
from models import model_for
from onnx_roialign import PRESETS, RoiAlignError
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.pyramid import LevelRule, Pyramid, multiscale_roi_align
from onnx_roialign.engines.native import multiscale_roi_align as native_call
from onnx_roialign.graph import unfuse
from onnx_roialign.onnx_model.expanded import with_levels_given
from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.ops import multiscale_roi_align as op
from onnx_roialign.ops.schema import known_to_onnx

SIZE = (3, 2)
BARS = {"float64": FLOAT64, "float32": FLOAT32, "float16": 2e-3}  # of 16 bits: half a unit of values up to 4


def drawn(levels, dtype=np.float32, count=40, seed=0, channels=5, rois_dtype=None):
    rng = np.random.default_rng([seed, levels])
    maps = [rng.standard_normal((2, channels, max(40 >> i, 2), max(56 >> i, 3))).astype(dtype) for i in range(levels)]
    corner = rng.uniform(-20, 150, (count, 2))
    rois = np.hstack([corner, corner + 2 ** rng.uniform(1, 10, (count, 2))]).astype(rois_dtype or dtype)
    return {"rois": rois, "batch_indices": rng.integers(0, 2, count)} | {f"X{i}": X for i, X in enumerate(maps)}


def pyramid_of(levels, rule=None, **attributes):
    attributes = {"output_height": SIZE[0], "output_width": SIZE[1], "sampling_ratio": 2} | attributes
    scales = tuple(2.0 ** -(i + 2) for i in range(levels))
    return Pyramid(scales, rule or LevelRule(2, 1 + levels), Attributes(**attributes))


def model_of(pyramid, feeds, **options):
    maps = [name for name in feeds if name.startswith("X")]
    node = op.make_node("rois", "batch_indices", maps, "Y", pyramid, name="pool", **options)
    return model_for(node, feeds, ("K", feeds["X0"].shape[1], *SIZE))


def by_levels(pyramid, feeds, level):
    """Pools row by row with the plain loop, from the map of the row's level."""
    maps = [array for name, array in feeds.items() if name.startswith("X")]
    Y = np.zeros((len(feeds["rois"]), maps[0].shape[1], *SIZE))
    for row, number in enumerate(level):
        if 0 <= number < len(maps):
            arrays = [maps[number].astype(float), feeds["rois"][row : row + 1].astype(float)]
            Y[row] = naive.roi_align(*arrays, feeds["batch_indices"][row : row + 1], pyramid.at(number))[0]
    return Y


def torchvisions_level(rois, first, last):
    """Computes the levels in the order of torchvision's operations, in float32."""
    wide = rois.astype(np.float32)
    area = (wide[:, 2] - wide[:, 0]) * (wide[:, 3] - wide[:, 1])
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.floor(np.float32(4) + np.log2(np.sqrt(area) / np.float32(224)) + np.float32(1e-6))
    return np.where(np.isnan(level), -1, np.clip(level, first, last) - first).astype(int)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("levels", [1, 2, 3, 5, 8])
def test_every_row_is_pooled_from_its_level(run, levels):
    feeds, pyramid = drawn(levels), pyramid_of(levels)
    feeds["rois"][:3] = [[60, 10, 20, 90], [5, 5, 5, 40], [9, 9, 9, 9]]  # no level; empty
    want = by_levels(pyramid, feeds, torchvisions_level(feeds["rois"], 2, 1 + levels))
    got = run(model_of(pyramid, feeds), feeds)
    assert not got[0].any()
    np.testing.assert_allclose(got, want, rtol=0, atol=FLOAT32 * max(np.abs(feeds["X0"]).max(), 1))


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("count", [0, 1])
def test_no_roi_and_one(run, count):
    feeds, pyramid = drawn(4, count=count), pyramid_of(4)
    got = run(model_of(pyramid, feeds), feeds)
    assert (got.shape, got.dtype) == ((count, 5, *SIZE), np.float32)
    np.testing.assert_allclose(got, by_levels(pyramid, feeds, torchvisions_level(feeds["rois"], 2, 5)), atol=1e-5)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_every_type_and_mode(run, dtype, mode):
    feeds = drawn(3, np.dtype(dtype))
    pyramid = pyramid_of(3, mode=mode)
    wide = feeds | {name: array.astype(np.float64) for name, array in feeds.items() if name != "batch_indices"}
    want = by_levels(pyramid, wide, torchvisions_level(feeds["rois"], 2, 4))
    got = run(model_of(pyramid, feeds), feeds)
    assert got.dtype == dtype
    bar = BARS[dtype] * np.abs(feeds["X0"]).max() * (1 if dtype != "float64" else 40)  # positions of 600 pixels
    np.testing.assert_allclose(got, want, rtol=0, atol=bar if dtype != "float32" else 20 * bar)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_levels_may_be_an_input(run):
    feeds, pyramid = drawn(3), pyramid_of(3)
    level = np.array([0, 1, 2, 2, 1, -1, 3, -(2**63), 2**62, 0] * 4)
    got = run(model_of(pyramid, feeds | {"levels": level}, levels="levels"), feeds | {"levels": level})
    want = by_levels(pyramid, feeds, level)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
    assert not got[5:9].any()


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("preset", ["torchvision_legacy", "torchvision_aligned", "mindspore_1"])
def test_every_meaning(run, preset):
    feeds, pyramid = drawn(2), pyramid_of(2, semantics=PRESETS[preset], sampling_ratio=0)
    want = by_levels(pyramid, feeds, torchvisions_level(feeds["rois"], 2, 3))
    np.testing.assert_allclose(run(model_of(pyramid, feeds), feeds), want, rtol=0, atol=1e-5, equal_nan=True)


RULES = {
    "torchvision": LevelRule(2, 5),
    "detectron2": LevelRule(2, 5, log_epsilon=1e-8, floor_epsilon=0),
    "mmdetection": LevelRule(0, 3, canonical_scale=56, canonical_level=0, log_epsilon=1e-6, floor_epsilon=0),
    "areas": LevelRule(0, 3, level_areas=(0.0, 100.0, 1000.0, 40000.0)),
    "two maps of one stride": LevelRule(5, 5),
    "coarse to fine": LevelRule(5, 2),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_boxes_on_a_boundary_and_next_to_it_have_their_level(run, rule, dtype):
    least = rule.smallest_areas(dtype)
    least = least[np.isfinite(least) & (least > 0)]
    width = np.concatenate([least, np.nextafter(least, dtype(0)), np.nextafter(least, dtype(np.inf)), [1, 1e30]])
    rois = np.zeros((len(width), 4), dtype)
    rois[:, 2], rois[:, 3] = width, 1
    feeds = {"rois": rois, "batch_indices": np.zeros(len(width), np.int64)}
    feeds |= {f"X{i}": np.full((1, 1, 4, 4), 1 + i, dtype) for i in range(4)}  # determines its level
    pyramid = Pyramid((1e-30,) * 4, rule, Attributes(*SIZE, 1, semantics=PRESETS["torchvision_legacy"]))
    got = run(model_of(pyramid, feeds), feeds)[:, 0, 0, 0]
    np.testing.assert_allclose(got, 1 + rule.levels(rois), rtol=1e-6)


def test_boundaries_are_the_smallest_areas_of_a_level_by_the_formula():
    """For sides of 112, 224 and 448 pixels they lie some 20 ULP below, by 1e-6 before the floor."""
    least = LevelRule(2, 5).smallest_areas(np.float32)
    exact = np.float32([112, 224, 448]) ** 2
    assert ((exact - least[1:]) / np.spacing(least[1:])).tolist() == [20, 18, 21]
    np.testing.assert_allclose(
        LevelRule(2, 5).smallest_areas(np.float64)[1:], 4.0 ** (np.arange(3) - 1) * 224**2, rtol=2e-6
    )


def test_types_and_symbolic_sizes_are_inferred():
    feeds = drawn(2)
    model = model_of(pyramid_of(2), feeds)
    with known_to_onnx():
        onnx.checker.check_model(model)
        model.graph.output[0].type.tensor_type.ClearField("shape")
        (output,) = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output
    assert [dim.dim_param or dim.dim_value for dim in output.type.tensor_type.shape.dim] == ["K", 5, *SIZE]


BAD = [
    ({"rois": np.zeros((2, 5), np.float32)}, r"rois must have shape \(num_rois, 4\), got shape \(2, 5\)"),
    ({"batch_indices": np.zeros(3, np.int64)}, "rois and batch_indices must have the same count, got 2 and 3"),
    ({"batch_indices": np.array([0, 2])}, r"batch_indices must be in \[0, 2\), got 2 at row 1"),
    ({"X1": np.zeros((2, 4, 3, 3), np.float32)}, r"features\[1\] must have the N and C of features\[0\], got shape"),
    ({"X1": np.zeros((2, 5, 0, 3), np.float32)}, r"features\[1\] must have H and W of at least 1, got shape"),
    ({"rois": np.full((2, 4), np.nan, np.float32)}, "rois must be finite, got nan at row 0, column 0"),
]


@pytest.mark.parametrize("run", [native, RUNS["evaluator"]], ids=["native", "evaluator"])
@pytest.mark.parametrize(("change", "match"), BAD)
def test_a_bad_input_is_named(run, change, match):
    feeds = drawn(2, count=2) | change
    model = model_of(pyramid_of(2), feeds)
    for value in model.graph.input:
        value.type.tensor_type.ClearField("shape")
    with pytest.raises(Exception, match=rf"{match}.*\(node 'pool'\)"):
        run(model, feeds)


ATTRIBUTES = [
    ({"spatial_scales": [0.5]}, r"features must be one map for each of 1 spatial_scales, got 2"),
    ({"spatial_scales": [0.5, -1.0]}, "spatial_scale must be finite and > 0, got -1"),
    ({"min_level": 4, "max_level": 20}, "max_level must be at most 15 above min_level, got 20 where min_level is 4"),
    ({"min_level": -1025}, r"min_level must be in \[-1024, 1024\], got -1025"),
    ({"max_level": 2**63 - 1}, r"max_level must be in \[-1024, 1024\], got 9223372036854775807"),
    ({"canonical_level": 1025}, r"canonical_level must be in \[-1024, 1024\], got 1025"),
    ({"canonical_scale": 0.0}, "canonical_scale must be finite and > 0, got 0"),
    ({"log_epsilon": 2.0}, r"log_epsilon must be in \[0, 1\), got 2"),
    ({"level_areas": [4.0, 2.0]}, "level_areas must be ascending, got 2 at 1"),
    ({"level_areas": [np.nan]}, "level_areas must be ascending, got nan at 0"),
    ({"output_height": 0}, "output_height must be at least 1, got 0"),
    ({"min_level": 1.5}, "min_level must be an integer, got a float"),
]


@pytest.mark.parametrize("run", [native, RUNS["evaluator"]], ids=["native", "evaluator"])
@pytest.mark.parametrize(("change", "match"), ATTRIBUTES)
def test_a_bad_attribute_is_named(run, change, match):
    feeds = drawn(2, count=2)
    model = model_of(pyramid_of(2), feeds)
    (node,) = model.graph.node
    kept = [attribute for attribute in node.attribute if attribute.name not in change]
    del node.attribute[:]
    node.attribute.extend([*kept, *(helper.make_attribute(name, value) for name, value in change.items())])
    with pytest.raises(RoiAlignError, match=rf"{match}.*\(node 'pool'\)"):
        run(model, feeds)


def test_the_library_alone_has_the_same_messages():
    """Runs the model without the checks of session()."""
    feeds = drawn(2, count=2)
    model = model_of(pyramid_of(2), feeds)
    model.graph.node[0].attribute.append(helper.make_attribute("log_epsilon", 2.0))
    for node in list(model.graph.node[0].attribute)[:-1]:
        if node.name == "log_epsilon":
            model.graph.node[0].attribute.remove(node)
    with pytest.raises(Exception, match=r"log_epsilon must be in \[0, 1\), got 2 \(node 'pool'\)"):
        onnxruntime.InferenceSession(model.SerializeToString(), bare_options(16), ["CPUExecutionProvider"])


def test_a_single_level_is_a_roi_align():
    feeds = drawn(1)
    pyramid = pyramid_of(1)
    plain = multiscale_roi_align(feeds["rois"], feeds["batch_indices"], [feeds["X0"]], pyramid)
    np.testing.assert_allclose(native(model_of(pyramid, feeds), feeds), plain, rtol=0, atol=1e-5)


def test_new_values_of_unfuse_have_names_of_their_own():
    feeds = drawn(2)
    model = model_of(pyramid_of(2), feeds)
    want = native(model, feeds)
    model.graph.node.insert(0, helper.make_node("Identity", ["rois"], ["Y/0"]))
    model.graph.node.insert(1, helper.make_node("Identity", ["Y/0"], ["Y//1"]))
    model.graph.node[2].input[0] = "Y//1"
    assert np.array_equal(native(model, feeds), want)
    np.testing.assert_allclose(RUNS["unfused"](model, feeds), want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_in_a_function_of_a_model_of_another_type_and_without_the_domain(run):
    feeds = drawn(2, np.float64)
    model = model_of(pyramid_of(2), feeds)
    want = native(model, feeds)
    model.functions.append(helper.make_function("local", "F", [*feeds], ["Y"], model.graph.node, model.opset_import))
    model.graph.node[0].CopyFrom(helper.make_node("F", [*feeds], ["Y"], domain="local"))
    del model.opset_import[:]
    model.opset_import.extend([helper.make_opsetid("", 16), helper.make_opsetid("local", 1)])
    np.testing.assert_allclose(run(model, feeds), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_in_a_body_beside_another(run):
    feeds = drawn(2)
    model = model_of(pyramid_of(2), feeds)
    want = native(model, feeds)
    body = helper.make_graph(deepcopy(model.graph.node), "body", [], model.graph.output)
    model.graph.node[0].output[0] = "first"
    yes = helper.make_node("Constant", [], ["yes"], value=onnx.numpy_helper.from_array(np.array(True)))
    model.graph.node.append(yes)
    model.graph.node.append(helper.make_node("If", ["yes"], ["second"], then_branch=body, else_branch=body))
    body.node[0].output[0] = body.output[0].name = "inner"
    model.graph.node[2].CopyFrom(helper.make_node("If", ["yes"], ["second"], then_branch=body, else_branch=body))
    model.graph.node.append(helper.make_node("Add", ["first", "second"], ["Y"]))
    np.testing.assert_allclose(run(model, feeds), 2 * want, rtol=0, atol=1e-5)
    plain = unfuse(model)
    assert {node.domain for scope in scopes(plain) for node in scope.nodes} == {""}


# An onnxruntime that does not take omitted inputs: a session's copy of the model computes the levels.


@pytest.fixture
def old(monkeypatch):
    monkeypatch.setattr("onnx_roialign.sessions.options.takes_omitted_inputs", lambda: False)
    monkeypatch.setattr("onnx_roialign.sessions.own_provider.is_supported", lambda: False)


@pytest.mark.parametrize("opset", [11, 13, 22])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_a_copy_with_levels_has_the_same_bits(opset, dtype, old):
    feeds = drawn(3, dtype)
    feeds["rois"][:5] = [[5, 5, 5, 5], [5, 5, 3, 9], [9, 9, 3, 3], [0, 0, 112, 112], [0, 0, 224, 224]]
    model = model_of(pyramid_of(3), feeds)
    model.opset_import[0].version = opset
    copy = with_levels_given(model)
    onnx.checker.check_model(copy)
    assert all(all(node.input) for node in copy.graph.node)
    for count in (40, 1, 0):
        some = {name: array if name[0] == "X" else array[:count] for name, array in feeds.items()}
        got = native(model, some)
        maps = [some[name] for name in ("X0", "X1", "X2")]
        want = native_call(some["rois"], some["batch_indices"], maps, pyramid_of(3))
        assert got.shape == want.shape
        assert np.array_equal(got, want)


def test_levels_in_a_body_and_in_a_function_are_computed_too(old):
    feeds = drawn(2, np.float64)
    plain = model_of(pyramid_of(2), feeds)
    want = native_call(feeds["rois"], feeds["batch_indices"], [feeds["X0"], feeds["X1"]], pyramid_of(2))
    called, branched = deepcopy(plain), deepcopy(plain)
    called.functions.append(helper.make_function("local", "F", [*feeds], ["Y"], plain.graph.node, plain.opset_import))
    called.graph.node[0].CopyFrom(helper.make_node("F", [*feeds], ["Y"], domain="local"))
    del called.opset_import[:]  # the private domain is the function's alone
    called.opset_import.extend([helper.make_opsetid("", 16), helper.make_opsetid("local", 1)])
    body = helper.make_graph(plain.graph.node, "body", [], plain.graph.output)
    yes = helper.make_node("Constant", [], ["yes"], value=onnx.numpy_helper.from_array(np.array(True)))
    branched.graph.node[0].CopyFrom(helper.make_node("If", ["yes"], ["Y"], then_branch=body, else_branch=body))
    branched.graph.node.insert(0, yes)
    for model in (called, branched):
        assert np.array_equal(native(model, feeds), want)
        np.testing.assert_allclose(RUNS["reference"](model, feeds), want, rtol=0, atol=1e-12)


def test_where_levels_cannot_be_computed_the_message_says_what_to_do(old):
    model = model_of(pyramid_of(2), drawn(2))
    message = r"onnxruntime must be 1\.24 or newer for a MultiScaleRoiAlign with an omitted input, got .* use "
    with pytest.raises(RoiAlignError, match=message):
        onnx_roialign.register(onnxruntime.SessionOptions(), model)
    model.opset_import[0].version = 10
    with pytest.raises(RoiAlignError, match="MultiScaleRoiAlign must be in a model of opset 11 at least"):
        native(model, {})
