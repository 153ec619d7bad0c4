"""Tests infinite and NaN features: a plain loop, NumPy, every instruction set and ONNX Runtime return the same."""

from __future__ import annotations

import ml_dtypes
import naive
import numpy as np
import pytest
from alike import assert_alike
from hypothesis import given, settings
from hypothesis import strategies as st
from meanings import any_semantics
from onnx import TensorProto, helper

import onnx_roialign
from onnx_roialign import PRESETS, Semantics
from onnx_roialign.definition import pieces, reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.engines import native

SPECIAL = (np.nan, np.inf, -np.inf)
DTYPES = (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)


def sprinkle(X, rng, part):
    places = rng.random(X.shape) < part
    X[places] = rng.choice(SPECIAL, places.sum())
    return X


coordinates = st.floats(-6, 14, width=16) | st.integers(-3, 12).map(float) | st.sampled_from([-0.0, 1e-45, -1e-45, 0.5])


@st.composite
def calls(draw):
    """Random calls of all types, rois types, meanings and modes; maps down to one pixel, half the coordinates whole."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 2)), draw(st.sampled_from([1, 3, 17])), draw(st.integers(1, 7)), draw(st.integers(1, 7))
    X = rng.standard_normal(shape) - draw(st.sampled_from([0.0, 4.0]))
    sprinkle(X, rng, draw(st.sampled_from([0.02, 0.2, 0.9])))
    dtype = draw(st.sampled_from(DTYPES))
    rois = np.array(draw(st.lists(st.tuples(*[coordinates] * 4), min_size=1, max_size=3)))
    attributes = Attributes(
        output_height=draw(st.integers(1, 3)),
        output_width=draw(st.integers(1, 3)),
        sampling_ratio=draw(st.integers(0, 3)),
        spatial_scale=draw(st.sampled_from([1.0, 0.5, 0.3])),
        mode=draw(st.sampled_from(["avg", "max"])),
        semantics=draw(any_semantics),
    )
    rois_dtype = draw(st.sampled_from([dtype, *DTYPES]))
    return X.astype(dtype), rois.astype(rois_dtype), rng.integers(0, shape[0], len(rois)), attributes


@settings(max_examples=300, deadline=None)
@given(call=calls())
def test_every_engine_makes_of_special_features_what_a_loop_makes_of_them(call):
    want = naive.roi_align(*call).astype(call[0].dtype)
    assert_alike(reference.roi_align(*call), want, call[0])
    for isa in native.available_isas():
        assert_alike(native.roi_align(*call, isa=isa), want, call[0])


@pytest.mark.parametrize(("mode", "max_rule"), [("avg", "corners"), ("max", "corners"), ("max", "samples")])
def test_bins_cut_into_pieces_are_pooled_as_one(mode, max_rule, monkeypatch):
    rng = np.random.default_rng(20261129)
    X = sprinkle(rng.standard_normal((1, 3, 20, 20)) - 1, rng, 0.02).astype(np.float32)
    rois = np.float32([[1, 2, 17, 15], [3, 3, 9, 30], [16, 12, 4, 3]])
    attributes = Attributes(3, 4, mode=mode, semantics=Semantics(max_rule=max_rule))
    whole = reference.roi_align(X, rois, np.zeros(3, np.int64), attributes)
    assert not np.isfinite(whole).all()
    assert np.isfinite(whole).any()
    for bound in ("_CHUNK", "_BLOCK", "_KEPT", "_ROWS", "_PAIRS"):
        monkeypatch.setattr(pieces, bound, 1)
    assert_alike(reference.roi_align(X, rois, np.zeros(3, np.int64), attributes), whole, X)


# Values that the vectors of each way of pooling do not detect: points, columns, a tile, and all of them mixed.
SHAPES = {
    "points": ((1, 40, 30, 30), 30, (1, 1), 2, (0.5, 2)),
    "columns": ((2, 3, 40, 50), 12, (7, 7), 2, (3, 40)),
    "tile": ((2, 35, 40, 50), 60, (7, 7), 2, (3, 20)),
    "mixed": ((1, 64, 25, 33), 150, (4, 5), 0, (0.1, 40)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("mode", "semantics"),
    [
        ("avg", Semantics()),
        ("max", Semantics()),
        ("max", Semantics(max_rule="samples")),
        ("max", PRESETS["openvino_half_pixel"]),
    ],
)
@pytest.mark.parametrize(("part", "rois_dtype"), [(0.002, None), (0.05, None), (0.05, np.float64), (0.05, np.float16)])
def test_large_calls_are_answered_alike_by_every_engine(dtype, shape, mode, semantics, part, rois_dtype):
    size, count, output, ratio, sides = SHAPES[shape]
    rng = np.random.default_rng(20261127)
    X = sprinkle(rng.standard_normal(size) - 1, rng, part).astype(dtype)
    start = rng.uniform(-0.1, 0.8, (count, 2)) * (size[3], size[2])
    rois = np.hstack([start, start + rng.uniform(*sides, (count, 2))])
    rois[::3] = np.round(rois[::3])
    call = X, rois.astype(rois_dtype or dtype), rng.integers(0, size[0], count)
    attributes = Attributes(*output, ratio, mode=mode, semantics=semantics)
    want = reference.roi_align(*call, attributes)
    assert not np.isfinite(want).all()
    for isa in native.available_isas():
        for threads in (1, 2):
            assert_alike(native.roi_align(*call, attributes, isa=isa, threads=threads), want, X)


def roi_align_node(mode, coordinate_mode):
    node = helper.make_node(
        "RoiAlign",
        ["X", "rois", "batch_indices"],
        ["Y"],
        output_height=2,
        output_width=3,
        sampling_ratio=2,
        mode=mode,
        coordinate_transformation_mode=coordinate_mode,
    )
    inputs = [
        helper.make_tensor_value_info("X", TensorProto.FLOAT, [None] * 4),
        helper.make_tensor_value_info("rois", TensorProto.FLOAT, [None, 4]),
        helper.make_tensor_value_info("batch_indices", TensorProto.INT64, [None]),
    ]
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [None] * 4)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("coordinate_mode", ["half_pixel", "output_half_pixel"])
def test_where_every_sample_lies_on_the_map_that_is_what_onnxruntime_makes_of_them(engine, mode, coordinate_mode):
    builtin = onnx_roialign.session(roi_align_node(mode, coordinate_mode), engine="builtin")
    rng = np.random.default_rng(20261128)
    attributes = {"output_height": 2, "output_width": 3, "sampling_ratio": 2, "mode": mode}
    seen = set()
    for i in range(60):
        X = sprinkle(rng.standard_normal((2, 4, 9, 11)) - 2 * (i % 2), rng, (0.02, 0.3, 0.9)[i % 3]).astype(np.float32)
        # Every third RoI lies on whole pixels, where weights are 0, some of them on the last one.
        start = rng.uniform(0.5, 6, (10, 2))
        rois = np.hstack([start, start + rng.uniform(1, 3, (10, 2))]).astype(np.float32)
        rois[::3] = np.round(rois[::3] * 2) / 2
        rois[::5, 2:] = (11.5, 9.5) if coordinate_mode == "half_pixel" else (11, 9)
        images = rng.integers(0, 2, 10)
        (want,) = builtin.run(None, {"X": X, "rois": rois, "batch_indices": images})
        assert_alike(engine(X, rois, images, semantics=f"onnx_{coordinate_mode}", **attributes), want, X)
        seen |= {str(value) for value in want[~np.isfinite(want)]}
    assert seen == {"nan", "inf", "-inf"}


# The call with three results (NaN by AVX-512, 0 by AVX2 and the baseline): -infinity beside weights of 0.
def test_minus_infinity_beside_weights_of_zero_is_passed_over(engine):
    X = np.array([[[[0, -np.inf], [0, 0]]]], np.float32)
    rois = np.float32([[0.5, 0.25, 1.5, 0.25]])
    Y = engine(X, rois, np.zeros(1, np.int64), sampling_ratio=1, mode="max", semantics="onnx_output_half_pixel")
    assert Y.item() == 0
    X = np.zeros((1, 1, 3, 2), np.float16)
    X[0, 0, 1, 1] = -np.inf
    rois = np.float16([[0.625, 0.375, 1, 1.5]])
    Y = engine(X, rois, np.zeros(1, np.int64), output_height=5, output_width=2, sampling_ratio=3, mode="max")
    assert not np.isnan(Y).any()
    assert (Y == 0).all()
