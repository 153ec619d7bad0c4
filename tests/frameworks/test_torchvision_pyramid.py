"""Tests that MultiScaleRoIAlign returns what torchvision's did, maps boxes to levels alike, and exports a model."""

from __future__ import annotations

import math
import re
from collections import OrderedDict

import exports
import numpy as np
import pytest
import tolerances
from boundaries import neighbours
from framework_calls import CALL_ENGINES, assert_model_answers, assert_unfused_model_answers
from installed_versions import wrong_in_onnx_before

from onnx_roialign import RoiAlignError
from onnx_roialign.definition.pyramid import LevelRule
from onnx_roialign.frameworks import torchvision
from onnx_roialign.frameworks.torchvision import MultiScaleRoIAlign, roi_align

# The arguments of the poolers of tests/data/exports (image 512 x 640).
POOLERS = {
    "fpn4_7x7_s2": (7, 2, {}),
    "fpn4_14x14_s0_batch2": (14, 0, {}),
    "fpn3_5x5_canonical96": (5, 2, {"canonical_scale": 96, "canonical_level": 3}),
}


def recorded(variant):
    """A pooler, its three arguments, and torchvision's result."""
    name = next(name for name in exports.names() if variant in name)
    export = exports.load(name)
    maps = OrderedDict((f"feat{i}", x) for i, x in enumerate(export.inputs) if x.ndim == 4)
    boxes = [x for x in export.inputs if x.ndim == 2]
    output_size, sampling_ratio, canonical = POOLERS[variant]
    pooler = MultiScaleRoIAlign(list(maps), output_size, sampling_ratio, **canonical)
    return pooler, (maps, boxes, [(512, 640)] * len(boxes)), export.expected[0]


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize("variant", POOLERS)
def test_every_recorded_pyramid_returns_torchvisions_result(variant, engine):
    pooler, arguments, want = recorded(variant)
    Y = pooler(*arguments, engine=engine)
    np.testing.assert_allclose(Y, want, rtol=0, atol=tolerances.FLOAT32)


@pytest.mark.parametrize("variant", POOLERS)
@pytest.mark.parametrize("opset", [11, 16])
def test_a_pooler_written_as_a_model_returns_torchvisions_result(variant, opset):
    pooler, (maps, boxes, image_shapes), want = recorded(variant)
    shapes = {name: x.shape for name, x in maps.items()}
    model = pooler.to_onnx(opset, feature_shapes=shapes, image_shapes=image_shapes)
    assert [node.op_type for node in model.graph.node if node.domain] == ["MultiScaleRoiAlign"]
    assert pooler.scales is None
    feeds = {**maps, **{f"boxes_{i}": own for i, own in enumerate(boxes)}}
    assert_model_answers(model, feeds, want)
    assert_unfused_model_answers(model, feeds, want)


def pyramid(sizes, channels=5, images=1, dtype=np.float32):
    rng = np.random.default_rng(0)
    maps = ((f"feat{i}", rng.random((images, channels, size, size)).astype(dtype)) for i, size in enumerate(sizes))
    return OrderedDict(maps)


def test_the_documented_example():
    pooler = torchvision.MultiScaleRoIAlign(["feat1", "feat3"], 3, 2)
    rng = np.random.default_rng(0)
    maps = OrderedDict()
    maps["feat1"] = rng.random((1, 5, 64, 64), np.float32)
    maps["feat2"] = rng.random((1, 5, 32, 32), np.float32)  # not used
    maps["feat3"] = rng.random((1, 5, 16, 16), np.float32)
    boxes = rng.random((6, 4), np.float32) * np.float32(256)
    boxes[:, 2:] += boxes[:, :2]
    output = pooler(maps, [boxes], [(512, 512)])
    assert output.shape == (6, 5, 3, 3)
    assert pooler.scales == [1 / 8, 1 / 32]
    assert (pooler.map_levels.min_level, pooler.map_levels.max_level) == (3, 5)
    del maps["feat2"]
    assert np.array_equal(pooler(maps, [boxes], [(512, 512)]), output)


def square(side, at=0.0):
    return [at, at, at + side, at + side]


def test_a_model_computes_the_calls_level_for_every_area_around_a_boundary():
    rule = LevelRule(2, 4)
    boxes = np.float32([[0, 0, 0, 9], [0, 0, -1e-30, 1e-15], [3, 0, 1, 5], [0, 5, 4, 1]])
    for least in rule.smallest_areas(np.float32)[1:]:
        areas = neighbours(least, 5)
        boxes = np.concatenate([boxes, np.column_stack([0 * areas, 0 * areas, areas / 256, 0 * areas + 256])])
    assert sorted(set(rule.levels(boxes).tolist())) == [-1, 0, 1, 2]
    maps = pyramid([64, 32, 16], channels=1)
    for i, features in enumerate(maps.values()):
        features[:] = i + 1  # the result is then the level
    pooler = MultiScaleRoIAlign(list(maps), 1, 1)
    want = pooler(maps, [boxes], [(256, 256)])
    assert (want.ravel() - 1).tolist() == rule.levels(boxes).tolist()
    model = pooler.to_onnx(feature_shapes={name: x.shape for name, x in maps.items()}, image_shapes=[(256, 256)])
    assert_model_answers(model, {**maps, "boxes_0": boxes}, want)
    assert_unfused_model_answers(model, {**maps, "boxes_0": boxes}, want)


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_every_box_is_pooled_from_the_map_of_its_level(engine):
    maps = pyramid([64, 32, 16], images=2)
    boxes = [np.float32([square(100), square(230, 3), square(20, 9)]), np.float32([square(500), square(112)])]
    pooler = MultiScaleRoIAlign(list(maps), (3, 2), 2)
    Y = pooler(maps, boxes, [(256, 256), (200, 256)], engine=engine)
    features = list(maps.values())
    for k, (image, box, level) in enumerate([(0, 0, 0), (0, 1, 2), (0, 2, 0), (1, 0, 2), (1, 1, 1)]):
        row = np.float32([[image, *boxes[image][box]]])
        want = roi_align(features[level], row, (3, 2), 2.0 ** -(level + 2), 2, engine=engine)
        assert np.array_equal(Y[k : k + 1], want)


def test_with_one_map_every_box_is_pooled_from_it():
    maps = pyramid([32])
    boxes = np.float32([square(10), square(400), [30, 2, 10, 20]])
    pooler = MultiScaleRoIAlign(["feat0", "missing"], 3, 2)
    want = roi_align(maps["feat0"], [boxes], 3, 1 / 8, 2)
    assert np.array_equal(pooler(maps, [boxes], [(256, 256)]), want)
    model = pooler.to_onnx(feature_shapes={"feat0": (32, 32)}, image_shapes=[(256, 256)])
    assert_model_answers(model, {**maps, "boxes_0": boxes}, want)


NO_ROWS = wrong_in_onnx_before((1, 23), "no rows of a matrix are a vector")


@pytest.mark.parametrize(
    "sizes", [[64, 16], [64, 32, 16], pytest.param([16, 64], marks=NO_ROWS), pytest.param([64, 63], marks=NO_ROWS)]
)
def test_boxes_without_a_map_give_zeros_in_the_call_and_in_the_model(sizes):
    maps = pyramid(sizes)
    boxes = np.float32([square(60), square(150), square(400), [90, 2, 10, 100], [90, 100, 10, 2]])
    pooler = MultiScaleRoIAlign(list(maps), 2, 2)
    Y = pooler(maps, [boxes], [(256, 256)])
    assert not Y[3].any()  # of negative area
    if sizes == [64, 16]:  # levels 2 to 4 on two maps
        assert Y[:2].all()
        assert not Y[2].any()
    if sizes == [16, 64]:  # from the coarsest to the finest: no level fits
        assert not Y.any()
    shapes = {name: x.shape for name, x in maps.items()}
    model = MultiScaleRoIAlign(list(maps), 2, 2).to_onnx(feature_shapes=shapes, image_shapes=[(256, 256)])
    assert_model_answers(model, {**maps, "boxes_0": boxes}, Y)
    assert_unfused_model_answers(model, {**maps, "boxes_0": boxes}, Y)


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_zero_boxes(engine):
    maps = pyramid([64, 32], images=2)
    empty, one = np.zeros((0, 4), np.float32), np.float32([square(50)])
    pooler = MultiScaleRoIAlign(list(maps), 2, 2)
    assert pooler(maps, [empty, empty], [(256, 256)] * 2, engine=engine).shape == (0, 5, 2, 2)
    assert pooler(maps, [empty, one], [(256, 256)] * 2, engine=engine).shape == (1, 5, 2, 2)
    shapes = {name: x.shape for name, x in maps.items()}
    model = pooler.to_onnx(feature_shapes=shapes, image_shapes=[(256, 256)] * 2)
    assert_model_answers(model, {**maps, "boxes_0": empty, "boxes_1": empty}, np.zeros((0, 5, 2, 2), np.float32))


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-6), ("float16", 4e-3)])
def test_other_float_types(dtype, tolerance, engine):
    maps = pyramid([64, 32, 16])
    boxes = np.float32([square(100), square(230), square(112)])
    pooler = MultiScaleRoIAlign(list(maps), 3, 2)
    want = pooler(maps, [boxes], [(256, 256)])
    other = OrderedDict((name, x.astype(dtype)) for name, x in maps.items())
    Y = pooler(other, [boxes.astype(dtype)], [(256, 256)], engine=engine)
    assert Y.dtype == dtype
    np.testing.assert_allclose(Y, want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_a_model_of_another_float_type(dtype):
    maps = pyramid([64, 32, 16], dtype=dtype)
    boxes = np.asarray([square(100), square(230), square(112), square(111.5)], dtype)
    pooler = MultiScaleRoIAlign(list(maps), 3, 2)
    shapes = {name: x.shape for name, x in maps.items()}
    model = pooler.to_onnx(feature_shapes=shapes, image_shapes=[(256, 256)], dtype=dtype)
    want = pooler(maps, [boxes], [(256, 256)])
    assert_model_answers(model, {**maps, "boxes_0": boxes}, want, tolerance=2**-10 if dtype == "float16" else 1e-12)


@pytest.mark.parametrize(
    ("size", "image", "scale"),
    [
        (64, 256, 1 / 4),
        (61, 250, 1 / 4),
        (50, 200, 1 / 4),
        (25, 200, 1 / 8),
        (13, 200, 1 / 16),
        (7, 200, 1 / 32),
        (512, 256, 2.0),
    ],
)
def test_a_scale_is_the_nearest_power_of_two(size, image, scale):
    pooler = MultiScaleRoIAlign(["a"], 1, 1)
    pooler({"a": np.zeros((1, 1, size, 9), np.float32)}, [np.float32([square(9)])], [(image, 999), (image // 2, 9)])
    assert pooler.scales == [scale]
    assert math.log2(scale) == int(math.log2(scale))


def test_scales_are_those_of_the_first_call_until_they_are_set_to_none():
    maps, boxes = pyramid([64, 32]), [np.float32([square(50)])]
    pooler = MultiScaleRoIAlign(list(maps), 2, 2)
    first = pooler(maps, boxes, [(256, 256)])
    assert np.array_equal(pooler(maps, boxes, [(1024, 1024)]), first)
    with pytest.raises(RoiAlignError, match="x must have 2 maps as in the first call, got 1"):
        pooler({"feat0": maps["feat0"]}, boxes, [(256, 256)])
    pooler.scales = None
    assert not np.array_equal(pooler(maps, boxes, [(1024, 1024)]), first)
    assert pooler.scales == [1 / 16, 1 / 32]


def test_its_repr():
    pooler = MultiScaleRoIAlign(["a", "b"], 3, 2)
    assert repr(pooler) == "MultiScaleRoIAlign(featmap_names=['a', 'b'], output_size=(3, 3), sampling_ratio=2)"


MAPS = pyramid([64, 32])
BOXES = [np.float32([square(50)])]
BAD = [
    ({"x": {"other": MAPS["feat0"]}}, "x must have a feature map of ['feat0', 'feat1'], got ['other']"),
    ({"x": [MAPS["feat0"]]}, "x must be a mapping with the names of maps, got [array("),
    ({"x": {"feat0": MAPS["feat0"][0]}}, "x must have maps (N, C, H, W) of one N and one C, got shapes [(5, 64, 64)]"),
    ({"x": {**MAPS, "feat1": MAPS["feat1"][:, :2]}}, "x must have maps (N, C, H, W) of one N and one C, got shapes"),
    ({"x": {**MAPS, "feat1": [[1], [2, 3]]}}, "x[1] must be an array, got a value that NumPy cannot convert to one"),
    (
        {"x": {**MAPS, "feat1": MAPS["feat1"].astype("f8")}},
        "x must have maps of one type, float32, float64 or float16, got float32, float64",
    ),
    ({"x": {**MAPS, "feat1": MAPS["feat1"][:, :, :, :0]}}, "features[1] must have H and W of at least 1, got shape"),
    ({"boxes": []}, "boxes must be one (L, 4) matrix per image, got []"),
    ({"boxes": None}, "boxes must be one (L, 4) matrix per image, got None"),
    ({"boxes": [np.zeros((2, 5), np.float32)]}, "boxes[0] must have shape (L, 4), got shape (2, 5)"),
    ({"boxes": [BOXES[0].astype("f8")]}, "boxes[0] must have the feature maps' type float32, got float64"),
    ({"boxes": BOXES * 2}, "batch_indices must be in [0, 1), got 1"),
    ({"image_shapes": []}, "image_shapes must be one (height, width) for each image, got []"),
    ({"image_shapes": [(0, 5)]}, "image_shapes[0] must end with a height in [1, 2147483647] and a width, got (0, 5)"),
    ({"image_shapes": [256]}, "image_shapes[0] must end with a height in [1, 2147483647] and a width, got 256"),
    ({"engine": "torch"}, "engine must be one of native, reference, got 'torch'"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
def test_an_invalid_argument_is_named(arguments, text):
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        MultiScaleRoIAlign(["feat0", "feat1"], 2, 2)(
            **{"x": MAPS, "boxes": BOXES, "image_shapes": [(256, 256)], **arguments}
        )


def test_an_invalid_pooler_is_refused():
    with pytest.raises(RoiAlignError, match=re.escape("output_size must be an integer or a pair (height, width), got")):
        MultiScaleRoIAlign(["feat0"], (1, 2, 3), 2)
    with pytest.raises(RoiAlignError, match="canonical_scale must be finite and > 0, got 0"):
        MultiScaleRoIAlign(["feat0"], 1, 2, canonical_scale=0)
    with pytest.raises(RoiAlignError, match="canonical_level must be an integer, got a float"):
        MultiScaleRoIAlign(["feat0"], 1, 2, canonical_level=4.5)
    with pytest.raises(RoiAlignError, match="output_height must be at least 1, got 0"):
        MultiScaleRoIAlign(["feat0"], 0, 2)
    with pytest.raises(RoiAlignError, match=re.escape("opset must be in [11, ")):
        MultiScaleRoIAlign(["a"], 1, 2).to_onnx(10, feature_shapes={"a": (8, 8)}, image_shapes=[(8, 8)])
    with pytest.raises(
        RoiAlignError, match="the names of inputs must differ from all other names in the model, got 'rois'"
    ):
        MultiScaleRoIAlign(["rois"], 1, 2).to_onnx(feature_shapes={"rois": (8, 8)}, image_shapes=[(8, 8)])
    with pytest.raises(RoiAlignError, match=re.escape("feature_shapes['a'] must end with a height in [1, ")):
        MultiScaleRoIAlign(["a"], 1, 2).to_onnx(feature_shapes={"a": (8,)}, image_shapes=[(8, 8)])
