"""Tests that ROIPooler returns what Detectron2's returned, maps boxes to levels by its rule, and exports a model."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pooler_exports
import pytest
import tolerances
from boundaries import boundary_boxes, maps_that_tell_levels
from framework_calls import CALL_ENGINES, assert_model_answers, assert_unfused_model_answers, operators
from installed_versions import wrong_in_onnx_before

from onnx_roialign import PRESETS, RoiAlignError
from onnx_roialign.definition.pyramid import LevelRule
from onnx_roialign.frameworks.detectron2 import ROIPooler
from onnx_roialign.frameworks.torchvision import roi_align
from onnx_roialign.ops.nodes import read_any

# The arguments of the pooler of tests/data/poolers.tar.xz.
RECORDED = "detectron2_3levels_1image_ts17"
POOLER = ROIPooler(6, (1 / 8, 1 / 16, 1 / 32), 2, "ROIAlignV2")


def recorded():
    """For each case the arguments, and Detectron2's result."""
    for feeds, (want,) in pooler_exports.cases(RECORDED):
        yield ([feeds[f"feat{i}"] for i in range(3)], [feeds["boxes0"]]), want


def inputs(maps, boxes):
    """The feeds of a model."""
    named = {"x": maps, "boxes": boxes}
    return {f"{name}_{i}": array for name, arrays in named.items() for i, array in enumerate(arrays)}


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_every_recorded_call_returns_what_detectron2_returned(engine):
    shapes = []
    for arguments, want in recorded():
        Y = POOLER(*arguments, engine=engine)
        np.testing.assert_allclose(Y, want, rtol=0, atol=tolerances.FLOAT32 * np.abs(arguments[0][0]).max())
        shapes.append(Y.shape)
    assert shapes == [(11, 2, 6, 6), (0, 2, 6, 6), (8, 2, 6, 6)]


@wrong_in_onnx_before((1, 23), "no rows of a matrix are a vector")
def test_the_pooler_written_as_a_model_returns_what_detectron2_returned():
    model = POOLER.to_onnx(16)
    assert [node.op_type for node in model.graph.node if node.domain] == ["MultiScaleRoiAlign"]
    for (maps, boxes), want in recorded():
        assert_model_answers(model, inputs(maps, boxes), want)
        assert_unfused_model_answers(model, inputs(maps, boxes), want)


def pyramid(levels, images=2, dtype=np.float32):
    rng = np.random.default_rng(20261128)
    return [rng.standard_normal((images, 3, 64 >> i, 80 >> i)).astype(dtype) for i in range(levels)]


BOXES = [np.float32([[3, 4, 60, 50], [1, 2, 225, 230], [60, 2, 10, 30]]), np.float32([[0, 0, 112, 112]])]


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize(("pooler_type", "aligned"), [("ROIAlign", False), ("ROIAlignV2", True)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_box_is_pooled_from_the_map_of_its_level_by_the_roi_align_of_the_type(
    engine, pooler_type, aligned, dtype
):
    maps, scales = pyramid(3, dtype=dtype), (1 / 4, 1 / 8, 1 / 16)
    Y = ROIPooler((3, 2), scales, 0, pooler_type)(maps, BOXES, engine=engine)
    assert Y.dtype == dtype
    assert not Y[2].any()
    for row, (image, box, level) in {0: (0, 0, 0), 1: (0, 1, 2), 3: (1, 0, 1)}.items():
        single = np.array([[image, *BOXES[image][box]]], dtype)
        want = roi_align(maps[level], single, (3, 2), scales[level], 0, aligned, engine=engine)
        assert np.array_equal(Y[row : row + 1], want)


def levels_in_numpy(boxes, first, last, size, level):
    """The level of each box, in the order of operations of assign_boxes_to_levels, in float32."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    f = np.float32
    with np.errstate(invalid="ignore", divide="ignore"):
        exponent = f(level) + np.log2(np.sqrt(area) / f(size) + f(1e-8))
    return np.where(np.isnan(exponent), -1, np.clip(np.floor(exponent), first, last) - first)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("canonical", [(224, 4), (96, 3), (40, 2)])
def test_levels_are_computed_in_float32_for_maps_of_any_type(dtype, canonical):
    rule = LevelRule(0, 4, *canonical, log_epsilon=1e-8, floor_epsilon=0)
    boxes = boundary_boxes(rule, np.float32, 6)
    scales = [2.0**-level for level in range(5)]
    for engine in CALL_ENGINES:
        pooler = ROIPooler(1, scales, 1, "ROIAlign", *canonical)
        Y = pooler(maps_that_tell_levels(5, dtype), [boxes], engine=engine)
        assert (Y.ravel() - 1).tolist() == levels_in_numpy(boxes, 0, 4, *canonical).tolist()
    assert sorted(set(Y.ravel().tolist())) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("opset", [16, 20])
def test_a_model_computes_the_levels_of_the_call(opset):
    boxes = boundary_boxes(LevelRule(2, 5, log_epsilon=1e-8, floor_epsilon=0), np.float32, 6)
    maps, pooler = maps_that_tell_levels(4), ROIPooler(1, [1 / 4, 1 / 8, 1 / 16, 1 / 32], 1, "ROIAlign")
    want = pooler(maps, [boxes])
    assert sorted(set(want.ravel().tolist())) == [0, 1, 2, 3, 4]
    assert_model_answers(pooler.to_onnx(opset), inputs(maps, [boxes]), want)
    assert_unfused_model_answers(pooler.to_onnx(opset), inputs(maps, [boxes]), want)


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_one_scale_has_no_levels(engine):
    (X,) = pyramid(1)
    Y = ROIPooler(2, [1 / 4], 2, "ROIAlignV2")([X], BOXES, engine=engine)
    rois = [own.astype(np.float32) for own in BOXES]
    assert np.array_equal(Y, roi_align(X, rois, 2, 1 / 4, 2, aligned=True, engine=engine))
    assert Y[2].any()


@pytest.mark.parametrize(
    ("pooler_type", "opset", "dtype", "op"),
    [
        ("ROIAlignV2", 16, "f4", ("", "RoiAlign")),
        ("ROIAlign", 11, "f4", ("", "RoiAlign")),
        ("ROIAlignV2", 15, "f4", ("onnx_roialign", "AnyRoiAlign")),
        ("ROIAlignV2", 16, "f8", ("onnx_roialign", "AnyRoiAlign")),
    ],
)
def test_one_scale_is_written_as_a_roi_align(pooler_type, opset, dtype, op):
    pooler, (X,) = ROIPooler(2, [1 / 4], 2, pooler_type), pyramid(1, dtype=dtype)
    model = pooler.to_onnx(opset, images=2, dtype=dtype)
    assert op in operators(model)
    assert_model_answers(model, inputs([X], BOXES), pooler([X], BOXES))


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
def test_a_model_of_several_images_and_of_other_types(dtype):
    pooler, maps = ROIPooler((3, 2), (1 / 4, 1 / 8, 1 / 16), 2, "ROIAlign"), pyramid(3, dtype=dtype)
    model = pooler.to_onnx(images=2, dtype=dtype)
    for boxes in (BOXES, [BOXES[0], BOXES[1][:0]], [own[:0] for own in BOXES]):
        want = pooler(maps, boxes)
        assert_model_answers(model, inputs(maps, boxes), want)


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize("empty", [np.zeros((0, 4), np.float32), [], np.zeros((0, 5))], ids=["0x4", "[]", "0x5"])
def test_no_boxes_and_no_images(engine, empty):
    pooler = ROIPooler(2, (1 / 4, 1 / 8), 2, "ROIAlignV2")
    assert pooler(pyramid(2), [empty, empty], engine=engine).shape == (0, 3, 2, 2)
    assert pooler(pyramid(2), [BOXES[1], empty], engine=engine).shape == (1, 3, 2, 2)
    assert pooler(pyramid(2, images=0), [], engine=engine).shape == (0, 3, 2, 2)


def test_boxes_become_float32_as_in_detectron2():
    pooler, maps = ROIPooler(2, (1 / 4, 1 / 8), 2, "ROIAlignV2"), pyramid(2, images=1)
    want = pooler(maps, [np.float32([[1, 2, 30, 40]])])
    for boxes in ([[1, 2, 30, 40]], np.array([[1, 2, 30, 40]]), np.float64([[1, 2, 30, 40]])):
        assert np.array_equal(pooler(maps, [boxes]), want)


def test_the_semantics_are_those_of_the_source():
    for pooler_type, preset in (("ROIAlign", "torchvision_legacy"), ("ROIAlignV2", "detectron2")):
        node = ROIPooler(1, (1, 1 / 2), 1, pooler_type).to_onnx(17).graph.node[-1]
        assert read_any(node, 17).attributes.semantics == PRESETS[preset]


def test_it_pickles():
    arguments, _ = next(recorded())
    assert np.array_equal(pickle.loads(pickle.dumps(POOLER))(*arguments), POOLER(*arguments))


FEATURES = pyramid(2)
CALLS = [
    ({"x": tuple(FEATURES)}, "x must be a list, got (array("),
    ({"box_lists": BOXES[0]}, "box_lists must be a list, got array("),
    ({"x": FEATURES[:1]}, "x must be one map for each of 2 scales, got 1"),
    ({"x": [FEATURES[0], FEATURES[1][:1]]}, "x must have maps (N, C, H, W) of one N and one C, got shapes"),
    (
        {"x": [single.astype(int) for single in FEATURES]},
        "x must have maps of one type, float32, float64 or float16, got int",
    ),
    ({"box_lists": BOXES[:1]}, "box_lists must be one for each of 2 images, got 1"),
    ({"box_lists": [BOXES[0], np.zeros((1, 5))]}, "boxes[1] must have shape (L, 4), got shape (1, 5)"),
    ({"box_lists": [BOXES[0], np.zeros(4)]}, "boxes[1] must have shape (L, 4), got shape (4,)"),
    ({"box_lists": [BOXES[0], np.array([["1"] * 4])]}, "box_lists[1] must be numbers, got <U1"),
    (
        {"box_lists": [BOXES[0], [[1, 2], [3]]]},
        "box_lists[1] must be an array, got a value that NumPy cannot convert to one",
    ),
    ({"box_lists": [BOXES[0], [[0, 0, 1e39, 1]]]}, "rois must be finite, got inf at row 3, column 2 (x2)"),
    ({"engine": "cuda"}, "engine must be one of native, reference, got 'cuda'"),
]


@pytest.mark.parametrize(("change", "text"), CALLS)
def test_an_invalid_call_is_refused(change, text):
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        ROIPooler(2, (1 / 4, 1 / 8), 2, "ROIAlign")(**{"x": FEATURES, "box_lists": BOXES} | change)


POOLERS = [
    ({"pooler_type": "ROIPool"}, "pooler_type must be 'ROIAlign' or 'ROIAlignV2', got 'ROIPool'"),
    ({"pooler_type": "ROIAlignRotated"}, "pooler_type must be 'ROIAlign' or 'ROIAlignV2', got 'ROIAlignRotated'"),
    ({"scales": []}, "scales must be 1 to 16 numbers, got []"),
    ({"scales": 0.25}, "scales must be 1 to 16 numbers, got 0.25"),
    ({"scales": [0.25, 0]}, "scales[1] must be finite and > 0, got 0"),
    ({"scales": [0.25, "1/8"]}, "scales[1] must be a number, got a str"),
    ({"scales": [0.3, 0.15]}, "scales must begin and end with powers of 2, got [0.3, 0.15]"),
    ({"scales": [0.25, 0.0625]}, "scales must be at most 1 and one for each level from the first scale's to the last"),
    ({"scales": [0.125, 0.25]}, "scales must be at most 1 and one for each level from the first scale's to the last"),
    ({"scales": [2, 1]}, "scales must be at most 1 and one for each level from the first scale's to the last"),
    ({"output_size": (1, 2, 3)}, "output_size must be an integer or a pair (height, width), got (1, 2, 3)"),
    ({"output_size": 0}, "output_height must be at least 1, got 0"),
    ({"sampling_ratio": 1.5}, "sampling_ratio must be an integer, got a float"),
    ({"canonical_box_size": 0}, "canonical_box_size must be finite and > 0, got 0"),
    ({"canonical_level": 0.5}, "canonical_level must be an integer, got a float"),
]


@pytest.mark.parametrize(("change", "text"), POOLERS)
def test_an_invalid_pooler_is_refused(change, text):
    arguments = {"output_size": 2, "scales": (1 / 4, 1 / 8), "sampling_ratio": 2, "pooler_type": "ROIAlign"}
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        ROIPooler(**arguments | change)


def test_an_invalid_model_is_refused():
    for arguments, text in (
        ({"opset": 10}, "opset must be in [11, "),
        ({"images": 0}, "images must be in [1, 65536], got 0"),
        ({"images": 1.5}, "images must be an integer, got a float"),
        ({"dtype": np.int8}, "dtype must be float32 or float64 or float16, got int8"),
    ):
        with pytest.raises(RoiAlignError, match=re.escape(text)):
            POOLER.to_onnx(**arguments)
