"""Tests that SingleRoIExtractor returns what mmdetection's did, maps boxes to levels alike, and exports a model."""

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
from onnx_roialign.frameworks import torchvision
from onnx_roialign.frameworks.mmdet import SingleRoIExtractor
from onnx_roialign.ops.nodes import read_any

LAYER = {"type": "RoIAlign", "output_size": 5, "sampling_ratio": 2}
EXTRACTOR = SingleRoIExtractor(LAYER, 2, (8, 16, 32), finest_scale=40)  # of both recordings

# torchvision's levels (canonical scale 224 of level 4), of boxes that are then enlarged 1.5 times: away from
# boundaries the same as mmdetection's with finest_scale 56.
RESCALED = "not_rescaled_ts13"
RESCALING = SingleRoIExtractor({**LAYER, "output_size": 7, "aligned": False}, 2, (4, 8, 16, 32))


def recorded(name):
    """For each case the maps and RoIs, and the framework's result."""
    for feeds, (want,) in pooler_exports.cases(name):
        boxes = feeds.get("boxes")
        rois = feeds["rois"] if boxes is None else np.hstack([np.zeros((len(boxes), 1), boxes.dtype), boxes])
        yield [array for key, array in feeds.items() if key.startswith("feat")], rois, want


def inputs(feats, rois):
    """The feeds of a model."""
    return {f"feats_{i}": array for i, array in enumerate(feats)} | {"rois": rois}


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize("name", ["mmdet228_masked_add_3levels_ts11", "mmdeploy_3levels_ts11"])
def test_every_recorded_call_returns_what_mmdetection_returned(name, engine):
    cases = list(recorded(name))
    assert [want.shape for *_, want in cases] == [(11, 2, 5, 5), (0, 2, 5, 5)]
    for feats, rois, want in cases:
        Y = EXTRACTOR(feats, rois, engine=engine)
        np.testing.assert_allclose(Y, want, rtol=0, atol=tolerances.FLOAT32 * np.abs(feats[0]).max())


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_a_recorded_call_of_enlarged_rois_has_the_levels_of_the_original_rois(engine):
    for feats, rois, want in recorded(RESCALED):
        Y = RESCALING(tuple(feats), rois, 1.5, engine=engine)
        np.testing.assert_allclose(Y, want, rtol=0, atol=tolerances.FLOAT32 * np.abs(feats[0]).max())
        assert np.abs(RESCALING(feats, rois, engine=engine) - want).max() > tolerances.KNOWN_WRONG_BY


@wrong_in_onnx_before((1, 23), "no rows of a matrix are a vector")
def test_models_return_what_was_recorded():
    for extractor, name, factor in (
        (EXTRACTOR, "mmdeploy_3levels_ts11", None),
        (RESCALING, RESCALED, 1.5),
    ):
        for opset in (16, 20):
            model = extractor.to_onnx(opset, roi_scale_factor=factor)
            assert [node.op_type for node in model.graph.node if node.domain] == ["MultiScaleRoiAlign"]
            for feats, rois, want in recorded(name):
                assert_model_answers(model, inputs(feats, rois), want)
                assert_unfused_model_answers(model, inputs(feats, rois), want)


def pyramid(levels, dtype=np.float32):
    rng = np.random.default_rng(20261129)
    return [rng.standard_normal((2, 3, 64 >> i, 80 >> i)).astype(dtype) for i in range(levels)]


ROIS = np.float32([[0, 3, 4, 60, 50], [0, 1, 2, 225, 230], [1, 60, 2, 10, 30], [1.9, 0, 0, 112, 112]])
STRIDES = (4, 8, 16)


def extractor(strides=STRIDES, **layer):
    return SingleRoIExtractor({"type": "RoIAlign", "output_size": (3, 2), **layer}, 3, strides)


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_roi_is_pooled_from_the_map_of_its_level(engine, aligned, dtype):
    feats = pyramid(3, dtype)
    Y = extractor(aligned=aligned)(feats, ROIS, engine=engine)
    assert Y.dtype == dtype
    assert not Y[2].any()
    for row, level in {0: 0, 1: 2, 3: 1}.items():
        single = ROIS[row : row + 1].astype(dtype)
        want = torchvision.roi_align(feats[level], single, (3, 2), 1 / STRIDES[level], 0, aligned, engine=engine)
        assert np.array_equal(Y[row : row + 1], want)


@pytest.mark.parametrize(
    ("layer", "mode", "preset"),
    [
        ({}, "avg", "mmcv_aligned"),
        ({"aligned": False}, "avg", "mmcv_legacy"),
        ({"pool_mode": "max"}, "max", "mmcv_aligned"),
        ({"pool_mode": "max", "aligned": False}, "max", "mmcv_legacy"),
        ({"pool_mode": "max", "use_torchvision": True}, "avg", "mmcv_aligned"),
    ],
)
def test_the_arguments_of_the_layer_are_those_of_mmcvs_roi_align(layer, mode, preset):
    made = extractor(**layer)
    attributes = read_any(made.to_onnx(17).graph.node[-1], 17).attributes
    assert (attributes.mode, attributes.semantics, attributes.sampling_ratio) == (mode, PRESETS[preset], 0)
    for engine in CALL_ENGINES:
        want = made(pyramid(3), ROIS, engine=engine)
        assert_model_answers(made.to_onnx(), inputs(pyramid(3), np.floor(ROIS)), want)


def levels_in_numpy(boxes, levels, finest_scale):
    """The level of each box, in the order of operations of map_roi_levels, in the type of the boxes."""
    real = boxes.dtype.type
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    with np.errstate(invalid="ignore", divide="ignore"):
        exponent = np.log2(np.sqrt(area) / real(finest_scale) + real(1e-6))
    return np.where(np.isnan(exponent), -1, np.clip(np.floor(exponent), 0, levels - 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("finest_scale", [56, 40, 7])
@pytest.mark.parametrize("factor", [None, 1.25])
def test_levels_are_computed_in_the_type_of_the_maps_in_the_call_and_in_the_model(dtype, finest_scale, factor):
    rule = LevelRule(0, 3, finest_scale, 0, log_epsilon=1e-6, floor_epsilon=0)
    boxes = boundary_boxes(rule, dtype, 6)
    rois = np.hstack([np.zeros((len(boxes), 1), dtype), boxes])
    layer = {"type": "RoIAlign", "output_size": 1, "sampling_ratio": 1, "aligned": False}
    made, feats = SingleRoIExtractor(layer, 1, (1, 2, 4, 8), finest_scale), maps_that_tell_levels(4, dtype)
    for engine in CALL_ENGINES:
        Y = made(feats, rois, factor, engine=engine)
        assert (Y.ravel() - 1).tolist() == levels_in_numpy(boxes, 4, finest_scale).tolist()
    for opset in (12, 16):  # ReduceSum's axes are an attribute, or an input
        model = made.to_onnx(opset, roi_scale_factor=factor, dtype=dtype)
        assert_model_answers(model, inputs(feats, rois), Y)
        assert_unfused_model_answers(model, inputs(feats, rois), Y)


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_fewer_maps_than_strides_have_the_first_strides(engine):
    feats, made = pyramid(3), extractor(sampling_ratio=2)
    two = made(feats[:2], ROIS, engine=engine)
    assert np.array_equal(two, extractor((4, 8), sampling_ratio=2)(feats[:2], ROIS, engine=engine))
    assert not np.array_equal(two, made(feats, ROIS, engine=engine))
    rows = np.floor(ROIS)
    assert_model_answers(made.to_onnx(maps=2), inputs(feats[:2], rows), made(feats[:2], rows))


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_from_a_single_map_every_roi_is_pooled_unchanged(engine):
    feats, made = pyramid(1), extractor(sampling_ratio=2)
    want = torchvision.roi_align(feats[0], ROIS, (3, 2), 1 / 4, 2, aligned=True, engine=engine)
    assert want[2].any()
    assert np.array_equal(made(feats, ROIS, engine=engine), want)
    assert np.array_equal(made(feats, ROIS, 1.5, engine=engine), want)
    model = made.to_onnx(maps=1, roi_scale_factor=1.5)
    assert ("", "RoiAlign") in operators(model)
    assert_model_answers(model, inputs(feats, ROIS), want)


@pytest.mark.parametrize("factor", [None, 2.0])
def test_no_rois(factor):
    made, none = extractor(), np.zeros((0, 5), np.float32)
    for engine in CALL_ENGINES:
        for feats in (pyramid(3), pyramid(1)):
            assert made(feats, none, factor, engine=engine).shape == (0, 3, 3, 2)
    want = np.zeros((0, 3, 3, 2), np.float32)
    assert_model_answers(made.to_onnx(roi_scale_factor=factor), inputs(pyramid(3), none), want)


@pytest.mark.parametrize("factor", [None, 1.5])
def test_maps_of_float16(factor):
    """The area of a 300 x 300 RoI overflows in float16; its level does not."""
    feats = pyramid(3, np.float16)
    rois = np.float16([[0, 3, 4, 60, 50], [1, 1, 2, 301, 302], [1, 60, 2, 10, 30], [0, 8, 8, 121, 120]])
    made = SingleRoIExtractor({**LAYER, "output_size": 2}, 3, (4, 8, 16), finest_scale=112)
    wide = made([X.astype(np.float32) for X in feats], rois, factor)
    for engine in CALL_ENGINES:
        Y = made(feats, rois, factor, engine=engine)
        assert Y.dtype == np.float16
        np.testing.assert_allclose(Y, wide, rtol=2**-10, atol=2**-10)
    assert_model_answers(made.to_onnx(roi_scale_factor=factor, dtype="f2"), inputs(feats, rois), Y)


def test_rois_become_of_the_maps_type():
    feats, made = pyramid(3), extractor()
    want = made(feats, ROIS)
    assert np.array_equal(made(feats, ROIS.astype(np.float64)), want)
    assert np.array_equal(made(feats, ROIS.tolist()), want)


def test_it_pickles_and_has_the_number_of_maps():
    again = pickle.loads(pickle.dumps(EXTRACTOR))
    feats, rois, _ = next(recorded("mmdeploy_3levels_ts11"))
    assert np.array_equal(again(feats, rois), EXTRACTOR(feats, rois))
    assert again.num_inputs == 3


FEATS = pyramid(3)
CALLS = [
    ({"feats": FEATS[0]}, "feats must be a list or a tuple of maps, got array("),
    ({"feats": []}, "feats must be 1 to 3, one for each stride, got 0"),
    ({"feats": [*FEATS, FEATS[2]]}, "feats must be 1 to 3, one for each stride, got 4"),
    ({"feats": [X[:, :2] for X in FEATS]}, "feats must have 3 channels (out_channels), got 2"),
    ({"feats": [X[:, :2] for X in FEATS[:1]]}, "feats must have 3 channels (out_channels), got 2"),
    ({"feats": [FEATS[0], FEATS[1][:1]]}, "feats must have maps (N, C, H, W) of one N and one C, got shapes"),
    ({"feats": [X.astype(int) for X in FEATS]}, "feats must have maps of one type, float32, float64 or float16, got"),
    ({"rois": ROIS[:, 1:]}, "rois must have shape (K, 5), got shape (4, 4)"),
    ({"rois": [["a"] * 5]}, "rois must be numbers, got <U1"),
    ({"rois": [[1], [2, 3]]}, "rois must be an array, got a value that NumPy cannot convert to one"),
    ({"rois": np.float32([[2, 0, 0, 1, 1]])}, "batch_indices must be in [0, 2), got 2 at row 0"),
    ({"rois": np.float32([[np.nan, 0, 0, 1, 1]])}, "rois must be finite, got nan at row 0, column 0 (image)"),
    ({"rois": np.float32([[0, np.inf, 0, 1, 1]])}, "rois must be finite, got inf at row 0, column 0 (x1)"),
    ({"roi_scale_factor": 0}, "roi_scale_factor must be finite and > 0, got 0"),
    ({"roi_scale_factor": "2"}, "roi_scale_factor must be a number, got a str"),
    ({"roi_scale_factor": 1e38}, "rois must be finite, got -"),
    ({"engine": "cuda"}, "engine must be one of native, reference, got 'cuda'"),
]


@pytest.mark.parametrize(("change", "text"), CALLS)
def test_an_invalid_call_is_refused(change, text):
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        extractor()(**{"feats": FEATS, "rois": ROIS} | change)


EXTRACTORS = [
    (
        {"roi_layer": {"type": "RoIPool"}},
        "roi_layer must be a mapping whose type is 'RoIAlign', got {'type': 'RoIPool'}",
    ),
    ({"roi_layer": "RoIAlign"}, "roi_layer must be a mapping whose type is 'RoIAlign', got 'RoIAlign'"),
    ({"roi_layer": {"type": "RoIAlign"}}, "roi_layer must have an output_size, got {'type': 'RoIAlign'}"),
    (
        {"roi_layer": {**LAYER, "out_size": 7}},
        "roi_layer must have no other arguments than type, output_size, sampling_ratio, pool_mode, aligned, "
        "use_torchvision, got 'out_size'",
    ),
    ({"roi_layer": {**LAYER, "pool_mode": "sum"}}, "pool_mode must be 'avg' or 'max', got 'sum'"),
    ({"roi_layer": {**LAYER, "sampling_ratio": 0.5}}, "sampling_ratio must be an integer, got a float"),
    ({"roi_layer": {**LAYER, "output_size": "7"}}, "output_size must be an integer or a pair (height, width), got '7'"),
    ({"featmap_strides": []}, "featmap_strides must be 1 to 16 numbers, got []"),
    ({"featmap_strides": [4, -8]}, "featmap_strides[1] must be finite and > 0, got -8"),
    ({"finest_scale": 0}, "finest_scale must be finite and > 0, got 0"),
    ({"out_channels": 2.5}, "out_channels must be an integer, got a float"),
]


@pytest.mark.parametrize(("change", "text"), EXTRACTORS)
def test_an_invalid_extractor_is_refused(change, text):
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        SingleRoIExtractor(**{"roi_layer": LAYER, "out_channels": 2, "featmap_strides": (4, 8)} | change)


def test_an_invalid_model_is_refused():
    for arguments, text in (
        ({"opset": 10}, "opset must be in [11, "),
        ({"maps": 4}, "maps must be 1 to 3, one for each stride, got 4"),
        ({"maps": 1.5}, "maps must be an integer, got a float"),
        ({"roi_scale_factor": -1}, "roi_scale_factor must be finite and > 0, got -1"),
        ({"dtype": np.int8}, "dtype must be float32 or float64 or float16, got int8"),
    ):
        with pytest.raises(RoiAlignError, match=re.escape(text)):
            EXTRACTOR.to_onnx(**arguments)
