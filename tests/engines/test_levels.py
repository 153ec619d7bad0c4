"""Tests multiscale_roi_align on NumPy arrays: both engines pool every RoI from its level's map, and refuse alike."""

from __future__ import annotations

import re
from dataclasses import replace

import naive
import numpy as np
import pytest
from tolerances import FLOAT32, FLOAT64, SIXTEEN_BIT_ULP

from onnx_roialign import PRESETS, RoiAlignError
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.pyramid import LevelRule, Pyramid
from onnx_roialign.engines import native
from onnx_roialign.engines.by_name import multiscale_engine_named

ENGINES = ("native", "reference")
PYRAMID = Pyramid(
    (0.25, 0.1, 1 / 30), LevelRule(2, 4, 60), Attributes(3, 2, 2, semantics=PRESETS["torchvision_legacy"])
)


def drawn(dtype="float32", rois_dtype=None, count=30, seed=20261127):
    """Small and large RoIs, RoIs off the map, inverted ones and empty ones."""
    rng = np.random.default_rng(seed)
    maps = [rng.standard_normal((2, 5, 40 >> i, 56 >> i)).astype(dtype) for i in range(3)]
    corner = rng.uniform(-20, 150, (count, 2))
    rois = np.hstack([corner, corner + 2 ** rng.uniform(0, 8, (count, 2))])
    rois[:4] = [[60, 10, 20, 90], [5, 5, 5, 40], [9, 9, 9, 9], [90, 80, 10, 9]]
    return rois.astype(rois_dtype or dtype), rng.integers(0, 2, count), maps


def one_by_one(rois, batch_indices, maps, level, pyramid=PYRAMID):
    """The plain loop in float64."""
    size = pyramid.attributes.output_height, pyramid.attributes.output_width
    Y = np.zeros((len(rois), maps[0].shape[1], *size))
    for row, number in enumerate(level):
        if 0 <= number < len(maps):
            arrays = maps[number].astype(float), rois[row : row + 1].astype(float), batch_indices[row : row + 1]
            Y[row] = naive.roi_align(*arrays, pyramid.at(number))[0]
    return Y


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("dtype", "rois_dtype"), [("f4", "f4"), ("f8", "f8"), ("f2", "f2"), ("f2", "f4"), ("f8", "f4")]
)
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_every_roi_is_pooled_from_the_map_of_its_level(engine, dtype, rois_dtype, mode):
    rois, images, maps = drawn(dtype, rois_dtype)
    pyramid = replace(PYRAMID, attributes=replace(PYRAMID.attributes, mode=mode))
    level = pyramid.rule.levels(rois)
    assert set(level.tolist()) == {-1, 0, 1, 2}
    Y = multiscale_engine_named(engine)(rois, images, maps, pyramid)
    want = one_by_one(rois, images, maps, level, pyramid)
    # The rounding of a sample's position of up to 400 pixels in float32.
    bars = {"f4": 40 * FLOAT32, "f8": 40 * FLOAT64, "f2": SIXTEEN_BIT_ULP * 2.0**-9}
    np.testing.assert_allclose(Y, want, rtol=0, atol=bars[dtype] * np.abs(want).max())
    assert Y.dtype == dtype
    assert not Y[0].any()


@pytest.mark.parametrize("engine", ENGINES)
def test_levels_may_be_given(engine):
    rois, images, maps = drawn(count=6)
    level = np.array([2, 0, 1, -1, 3, -(2**63)])
    Y = multiscale_engine_named(engine)(rois, images, maps, PYRAMID, level)
    np.testing.assert_allclose(Y, one_by_one(rois, images, maps, level), rtol=0, atol=40 * FLOAT32)
    assert not Y[3:].any()


def test_instruction_sets_threads_and_strides_give_the_bits_of_one_call():
    rois, images, maps = drawn(count=200)
    for isa in native.available_isas():
        Y = native.multiscale_roi_align(rois, images, maps, PYRAMID, isa=isa, threads=1)
        turned = [X.swapaxes(2, 3).copy().swapaxes(2, 3) for X in maps]
        again = native.multiscale_roi_align(np.asfortranarray(rois), images, turned, PYRAMID, isa=isa, threads=3)
        assert np.array_equal(Y, again)
        for number in range(3):
            own = PYRAMID.rule.levels(rois) == number
            want = native.roi_align(maps[number], rois[own], images[own], PYRAMID.at(number), isa=isa)
            assert np.array_equal(Y[own], want)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("count", "channels", "images"), [(0, 5, 2), (0, 5, 0), (4, 0, 2), (0, 0, 0)])
def test_no_roi_no_channel_no_image(engine, count, channels, images):
    rois, indices, maps = drawn(count=4)
    maps = [X[:images, :channels] for X in maps]
    Y = multiscale_engine_named(engine)(rois[:count], indices[:count], maps, PYRAMID)
    assert Y.shape == (count, channels, 3, 2)


F32 = np.float32
BAD = [
    ({"rois": np.zeros((4, 5), F32)}, "rois must have shape (num_rois, 4), got shape (4, 5)"),
    ({"rois": np.full((4, 4), np.nan, F32)}, "rois must be finite, got nan at row 0, column 0 (x1)"),
    ({"rois": np.full((4, 4), 1e39)}, "rois must be finite, got inf at row 0, column 0 (x1)"),
    ({"rois": np.zeros((4, 4), int)}, "rois must be float32, float64, float16 or bfloat16, got int64"),
    ({"batch_indices": np.array([0, 0, 2, 0])}, "batch_indices must be in [0, 2), got 2 at row 2"),
    ({"batch_indices": np.zeros(3, int)}, "rois and batch_indices must have the same count, got 4 and 3"),
    ({"levels": np.zeros(3, int)}, "levels must have shape (num_rois,), got shape (3,)"),
    ({"levels": np.zeros(4, np.int32)}, "levels must be int64, got int32"),
    ({"features": [np.zeros((2, 5, 8, 8), F32)] * 2}, "features must be one map for each of 3 spatial_scales, got 2"),
    ({1: np.zeros((2, 5, 0, 8), F32)}, "features[1] must have H and W of at least 1, got shape (2, 5, 0, 8)"),
    ({2: np.zeros((2, 4, 8, 8), F32)}, "features[2] must have the N and C of features[0], got shape (2, 4, 8, 8)"),
    ({1: np.zeros((2, 5, 8, 8))}, "features[1] must have the type float32 of features[0], got float64"),
    ({1: np.zeros((5, 8, 8), F32)}, "features[1] must have rank 4 (N, C, H, W), got shape (5, 8, 8)"),
    # Two faults: sizes are reported before values, the first map before the second.
    (
        {"rois": np.full((4, 4), np.nan, F32), 2: np.zeros((2, 5, 0, 8), F32)},
        "features[2] must have H and W of at least 1, got shape (2, 5, 0, 8)",
    ),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("change", "text"), BAD)
def test_a_call_that_cannot_be_computed_is_refused_alike(engine, change, text):
    rois, images, maps = drawn(count=4)
    maps = [change.get(i, X) for i, X in enumerate(maps)]
    given = {"rois": rois, "batch_indices": images, "features": maps, "pyramid": PYRAMID}
    given |= {name: value for name, value in change.items() if isinstance(name, str)}
    with pytest.raises(RoiAlignError, match=f"^{re.escape(text)}$"):
        multiscale_engine_named(engine)(**given)


def test_threads_that_cannot_be_are_refused():
    with pytest.raises(RoiAlignError, match=r"threads must be in \[0, 1024\], got -1"):
        native.multiscale_roi_align(*drawn(count=4), PYRAMID, threads=-1)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_output_that_does_not_fit_is_refused_after_a_wrong_value(engine):
    rois, images, maps = drawn(count=200)
    pyramid = replace(PYRAMID, attributes=Attributes(32768, 32768, 1))
    with pytest.raises(RoiAlignError, match="rois must leave an output that fits into memory, got 200 rois of 5 chan"):
        multiscale_engine_named(engine)(rois, images, maps, pyramid)
    with pytest.raises(RoiAlignError, match=r"batch_indices must be in \[0, 2\), got 9 at row 0"):
        multiscale_engine_named(engine)(rois, images * 0 + 9, maps, pyramid)
