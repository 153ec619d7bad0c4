"""Tests that every engine returns what a plain loop over samples returns, in every Semantics, also with NaN."""

from __future__ import annotations

import dataclasses

import ml_dtypes
import naive
import numpy as np
import pytest
import tolerances
from hypothesis import given, settings
from hypothesis import strategies as st
from meanings import any_semantics

from onnx_roialign import PRESETS, Semantics
from onnx_roialign.arrays import ordinal
from onnx_roialign.definition import pieces, reference
from onnx_roialign.definition.attributes import Attributes

ZERO = np.zeros(1, np.int64)


def assert_close(got, expected, X, tolerance=tolerances.FLOAT32):
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    assert np.nanmax(np.abs(got - expected), initial=0) <= tolerance * np.abs(X).max()


def features(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


coordinates = st.floats(-12, 20, width=32) | st.integers(-6, 16).map(float)


@st.composite
def calls(draw):
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    shape = draw(st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)))
    X = features(*shape, seed=draw(st.integers(0, 99)), dtype=dtype)
    rois = np.array(draw(st.lists(st.tuples(*[coordinates] * 4), min_size=1, max_size=3)), dtype)
    batch_indices = np.array([draw(st.integers(0, shape[0] - 1)) for _ in rois], np.int64)
    return (X, rois, batch_indices), {
        "output_height": draw(st.integers(1, 3)),
        "output_width": draw(st.integers(1, 3)),
        "sampling_ratio": draw(st.integers(0, 3)),
        "spatial_scale": draw(st.sampled_from([1.0, 0.5, 0.3])),
        "mode": draw(st.sampled_from(["avg", "max"])),
        "semantics": draw(any_semantics),
    }


@settings(max_examples=200, deadline=None)
@given(call=calls())
def test_the_answer_is_that_of_a_loop_over_samples(engine, call):
    arrays, arguments = call
    expected = naive.roi_align(*arrays, Attributes(**arguments))
    got = engine(*arrays, **arguments)
    assert got.dtype == arrays[0].dtype
    assert_close(got, expected, arrays[0], tolerances.FLOAT32 if got.dtype == np.float32 else tolerances.FLOAT64)


@pytest.mark.parametrize("semantics", PRESETS)
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_a_plane_is_averaged_to_its_value_in_the_middle_of_each_bin(engine, semantics, sampling_ratio):
    row, column = np.mgrid[:20, :30].astype(np.float32)
    X = np.stack([2 * row - 3 * column + 1, row])[None]
    rois = np.float32([[6, 4, 54, 36]])
    Y = engine(
        X,
        rois,
        ZERO,
        output_height=4,
        output_width=3,
        sampling_ratio=sampling_ratio,
        spatial_scale=0.5,
        semantics=semantics,
    )
    meaning = PRESETS[semantics]
    shift = np.repeat([meaning.start_shift, meaning.end_shift], 2)
    x1, y1, x2, y2 = (rois[0] + shift) * 0.5 - meaning.offset
    middle_y = y1 + (np.arange(4) + 0.5)[:, None] * (y2 - y1) / 4
    middle_x = x1 + (np.arange(3) + 0.5) * (x2 - x1) / 3
    assert_close(Y[0, 0], 2 * middle_y - 3 * middle_x + 1, X)
    assert_close(Y[0, 1], np.broadcast_to(middle_y, (4, 3)), X)


def test_each_roi_is_pooled_from_its_own_image(engine):
    X = features(3, 2, 9, 9)
    rois = np.float32([[1, 1, 7, 8]] * 4)
    Y = engine(X, rois, np.array([2, 0, 1, 2]), output_height=2, output_width=2)
    for k, image in enumerate([2, 0, 1, 2]):
        assert np.array_equal(Y[k], engine(X[image : image + 1], rois[:1], ZERO, output_height=2, output_width=2)[0])


def test_many_rois_are_answered_as_one_by_one(engine):
    X = features(2, 3, 40, 50)
    rng = np.random.default_rng(1)
    rois = rng.uniform(-10, 60, (700, 4)).astype(np.float32)
    images = rng.integers(0, 2, 700)
    Y = engine(X, rois, images, output_height=3, output_width=2)
    single = [engine(X, rois[k : k + 1], images[k : k + 1], output_height=3, output_width=2)[0] for k in range(700)]
    assert np.array_equal(Y, np.stack(single))


def test_arrays_need_not_be_contiguous(engine):
    X, rois = features(2, 8, 12, 14), np.float32([[1, 2, 9, 8], [0, 0, 5, 11]])
    images = np.array([1, 0])
    Y = engine(X, rois, images, output_height=2, output_width=3)
    views = X.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2), np.asfortranarray(rois), np.repeat(images, 2)[::2]
    assert np.array_equal(engine(*views, output_height=2, output_width=3), Y)


@pytest.mark.parametrize(("num_rois", "channels"), [(0, 3), (2, 0), (0, 0)])
def test_no_rois_or_no_channels_give_an_empty_answer_of_the_right_shape(engine, num_rois, channels):
    Y = engine(
        np.zeros((2, channels, 5, 5), np.float32),
        np.zeros((num_rois, 4), np.float32),
        np.zeros(num_rois, np.int64),
        output_height=3,
        output_width=4,
    )
    assert Y.shape == (num_rois, channels, 3, 4)
    assert Y.dtype == np.float32


def test_no_images_and_no_rois_give_an_empty_answer(engine):
    Y = engine(np.zeros((0, 3, 0, 5), np.float32), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert Y.shape == (0, 3, 1, 1)


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_a_roi_far_outside_is_zero_even_over_features_of_nan(engine, mode):
    X = np.full((1, 2, 6, 6), np.nan, np.float32)
    rois = np.float32([[100, 100, 110, 120], [-1e30, -1e30, -1e29, -1e29], [2, 1e6, 4, 2e6]])
    Y = engine(X, rois, np.zeros(3, np.int64), output_height=2, output_width=2, mode=mode)
    assert np.array_equal(Y, np.zeros_like(Y))


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("max_rule", ["corners", "samples"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_no_sample_of_a_bin_touches_do_not_reach_it(engine, mode, max_rule, bad):
    semantics = Semantics(offset=0.0, max_rule=max_rule)
    X = features(1, 3, 24, 24)
    rois = np.float32([[2, 2, 18, 18]])
    arguments = {"output_height": 2, "output_width": 2, "sampling_ratio": 1, "mode": mode, "semantics": semantics}
    clean = engine(X, rois, ZERO, **arguments)
    # The four samples lie on (6, 6), (6, 14), (14, 6), (14, 14): each touches itself and the next row and column.
    X[:, :, 6, 14] = bad
    untouched = np.ones((24, 24), bool)
    for row in (6, 7, 14, 15):
        untouched[row, [6, 7, 14, 15]] = False
    X[:, :, untouched] = bad
    Y = engine(X, rois, ZERO, **arguments)
    if not (mode == "max" and bad == -np.inf):  # a finite feature is larger than -inf
        assert not np.isfinite(Y[0, :, 0, 1]).any()
    good = np.array([[True, False], [True, True]])
    assert np.array_equal(Y[0][:, good], clean[0][:, good])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("pixel", [(4, 4), (4, 5), (5, 4), (5, 5)])
def test_a_neighbour_of_weight_zero_makes_nan_of_a_mean_and_nothing_of_a_maximum(engine, bad, pixel):
    X = features(1, 1, 9, 9) - 3
    X[(0, 0, *pixel)] = bad
    rois = np.float32([[3, 3, 5, 5]])  # one sample, exactly on (4, 4)
    mean = engine(X, rois, ZERO, sampling_ratio=1, semantics="onnx_output_half_pixel")
    largest = engine(X, rois, ZERO, sampling_ratio=1, mode="max", semantics="onnx_output_half_pixel")
    if pixel == (4, 4):
        assert np.array_equal(mean.ravel(), [bad], equal_nan=True)
        assert np.array_equal(largest.ravel(), [max(bad, 0)], equal_nan=True)
    else:
        assert np.isnan(mean).all()
        assert (largest == 0).all()  # 0 * the finite neighbours


@pytest.mark.parametrize("max_rule", ["corners", "samples"])
def test_max_of_negative_features_is_negative_inside_and_zero_where_a_sample_lies_outside(engine, max_rule):
    X = -1 - features(1, 2, 12, 12).clip(0, None)
    rois = np.float32([[1.1, 1.1, 6.3, 6.3], [9.3, 9.3, 20.1, 20.1]])
    Y = engine(
        X,
        rois,
        np.zeros(2, np.int64),
        output_height=1,
        output_width=1,
        mode="max",
        semantics=Semantics(offset=0.0, max_rule=max_rule),
    )
    assert (Y[0] < 0).all()
    assert (Y[1] == 0).all()


@pytest.mark.parametrize(
    ("roi", "zero", "nan"),
    [
        ([3, 3, 3, 3], 0, np.nan),  # no samples along either axis: 0 / 0
        ([3, 5, 8, 2], 0, 0),  # mirrored along y: 0 / negative
        ([8, 5, 3, 2], 0, 0),  # mirrored along both: 0 / positive
        ([8, 5, 3, 5], 0, np.nan),  # none along y, mirrored along x: 0 / 0
    ],
)
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_a_bin_without_samples_is_zero_or_the_quotient_as_it_stands(engine, mode, roi, zero, nan):
    X = features(1, 2, 9, 9)
    for empty, expected in (("zero", zero), ("nan", nan)):
        Y = engine(X, np.float32([roi]), ZERO, mode=mode, output_width=2, semantics=Semantics(empty=empty))
        assert np.array_equal(Y, np.full((1, 2, 1, 2), expected, np.float32), equal_nan=True)


@pytest.mark.parametrize("start", [-0.75, 0.0, 0.25])
@pytest.mark.parametrize("max_rule", ["corners", "samples"])
def test_a_maximum_that_starts_from_a_number_is_never_less_and_is_that_without_samples(engine, max_rule, start):
    X = np.full((1, 2, 9, 9), -0.5, np.float32)
    # Inside the map, partly and wholly outside (where samples count as 0), no samples along both axes, along one.
    rois = np.float32([[1, 1, 7, 7], [6, 1, 20, 7], [50, 50, 60, 60], [3, 3, 3, 3], [2, 5, 7, 1]])
    semantics = Semantics(empty="nan", max_rule=max_rule, max_start=start)
    Y = engine(X, rois, np.zeros(5, np.int64), mode="max", semantics=semantics)
    # At corners at most a quarter of a pixel's value takes part.
    inside = max(start, -0.125 if max_rule == "corners" else -0.5)
    expected = [inside, max(start, 0), max(start, 0), start, start]
    if max_rule == "corners":
        assert inside <= Y[0].min() <= Y[0].max() <= max(start, 0)
        expected[0] = float(Y[0, 0, 0, 0])
    assert Y[:, 0, 0, 0].tolist() == Y[:, 1, 0, 0].tolist() == expected


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_sixteen_bit_types_are_computed_in_float32_and_rounded_once(engine, dtype, mode, sampling_ratio):
    X = features(2, 5, 30, 40).astype(dtype)
    rng = np.random.default_rng(3)
    start = rng.uniform(-5, 30, (50, 2))
    rois = np.hstack([start, start + rng.uniform(1, 15, (50, 2))]).astype(dtype)
    images = rng.integers(0, 2, 50)
    arguments = {"output_height": 3, "output_width": 3, "sampling_ratio": sampling_ratio, "mode": mode}
    Y = engine(X, rois, images, **arguments)
    wide = engine(X.astype(np.float32), rois.astype(np.float32), images, **arguments)
    assert Y.dtype == dtype
    assert np.array_equal(Y, wide.astype(dtype))
    loop = naive.roi_align(X, rois, images, Attributes(**arguments)).astype(np.float32).astype(dtype)
    steps = np.abs(ordinal(Y) - ordinal(loop))
    # Where the mean of many products cancels, its ULP is smaller than the float32 sum resolves.
    cancels = np.abs(loop.astype(np.float32)) < np.finfo(np.float32).eps * 2**12
    assert (steps[~cancels] <= tolerances.SIXTEEN_BIT_ULP).all()
    assert cancels.mean() < 0.1  # bins outside the map, zeros


def test_float64_is_not_rounded_to_float32_on_the_way(engine):
    X = features(1, 2, 10, 10, dtype=np.float64)
    rois = np.array([[1 + 1e-12, 1, 7, 8.0]])
    Y = engine(X, rois, ZERO, output_height=2, output_width=2)
    assert Y.dtype == np.float64
    assert_close(Y, naive.roi_align(X, rois, ZERO, Attributes(output_height=2, output_width=2)), X, tolerances.FLOAT64)


def test_a_fine_fixed_grid_comes_close_to_the_integral(engine):
    X = features(1, 2, 12, 12)
    rois = np.float32([[1.3, 2.1, 9.7, 10.2]])
    fine = engine(X, rois, ZERO, output_height=2, output_width=2, sampling_ratio=16384)
    coarse = engine(X, rois, ZERO, output_height=2, output_width=2, sampling_ratio=128)
    assert np.abs(fine - coarse).max() < 1e-3
    assert not np.array_equal(fine, coarse)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("semantics", ["onnx_half_pixel", "mmcv_legacy", "mindspore_1"])
def test_channels_cut_into_pieces_are_pooled_as_one(mode, semantics, monkeypatch):
    X, rois = features(1, 7, 20, 20), np.float32([[1, 2, 17, 15], [3, 3, 9, 30]])
    attributes = Attributes(output_height=3, output_width=3, mode=mode, semantics=PRESETS[semantics])
    whole = reference.roi_align(X, rois, np.zeros(2, np.int64), attributes)
    for bound in ("_CHUNK", "_BLOCK", "_KEPT", "_ROWS", "_PAIRS"):
        monkeypatch.setattr(pieces, bound, 1)
    cut = reference.roi_align(X, rois, np.zeros(2, np.int64), attributes)
    # The maximum is the same; the mean's sums are rounded in another order.
    assert np.abs(cut - whole).max() <= (0 if mode == "max" else tolerances.FLOAT32) * np.abs(X).max()


def test_attributes_are_plain_numbers_whatever_numbers_they_were_given():
    attributes = Attributes(output_height=np.int64(3), spatial_scale=np.float32(0.25))
    assert dataclasses.astuple(attributes)[:4] == (3, 1, 0, 0.25)
    assert type(attributes.output_height) is int
    assert type(attributes.spatial_scale) is float


# float64 cannot count past 2^53 (1e15 is 2^50): the library counts samples in doubles, and omits those whose index
# rounds to the double of the grid's size. They are 1e-16 of a bin of the mean, but the maximum has no such weights.
@pytest.mark.parametrize(
    ("dtype", "width"),
    [
        *((np.float32, width) for width in (1e3, 1e5, 3e7, 1e9, 1e12, 1e20, 1e30)),
        *((np.float64, width) for width in (1e3, 1e5, 3e7, 1e9, 1e12, 1e15)),
    ],
)
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("max_rule", ["corners", "samples"])
def test_rois_far_wider_than_the_map_are_answered_alike_by_every_engine(engine, dtype, mode, max_rule, width):
    X = features(1, 2, 50, 60, dtype=dtype)
    w = width
    rois = np.array([[-w / 3, -w / 2, w, w], [2, 3, w, 20], [-w, -w, 9, 9], [5, -w, 12, w]], dtype)
    attributes = {"output_height": 3, "output_width": 2, "mode": mode, "semantics": Semantics(max_rule=max_rule)}
    Y = engine(X, rois, np.zeros(4, np.int64), **attributes)
    expected = reference.roi_align(X, rois, np.zeros(4, np.int64), Attributes(**attributes))
    assert_close(Y, expected, X, tolerances.FLOAT32 if dtype == np.float32 else tolerances.FLOAT64)
    assert np.abs(Y).max() > 0


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_mirrored_rois_on_a_fine_grid_are_answered_alike_by_every_engine(engine, mode):
    X = features(1, 2, 30, 40) - 3
    rois = np.float32([[35, 25, 2, 3], [1e4, 25, -1e4, 3], [3, 1e9, 20, -1e9]])
    attributes = {"output_height": 2, "output_width": 2, "sampling_ratio": 16384, "mode": mode}
    Y = engine(X, rois, np.zeros(3, np.int64), **attributes)
    assert_close(Y, reference.roi_align(X, rois, np.zeros(3, np.int64), Attributes(**attributes)), X)
