"""Tests that samples lie where the definition puts them, to the last bit; the cost follows the map, not the RoI."""

from __future__ import annotations

import dataclasses
import functools
import tracemalloc

import naive
import numpy as np
import pytest
import tolerances
from hypothesis import given, settings
from hypothesis import strategies as st
from meanings import any_semantics

from onnx_roialign import PRESETS, Semantics, roi_align
from onnx_roialign.definition import geometry, reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.taps import corner_taps, mean_taps, sample_taps

ALIGNED = PRESETS["onnx_half_pixel"]
LEGACY = PRESETS["onnx_output_half_pixel"]


def samples(start, end, *, length=8, bins=2, sampling_ratio=2, semantics=LEGACY, real=np.float32):
    """One RoI whose coordinates are already scaled."""
    ends = np.array([start], real), np.array([end], real)
    return geometry.axis_samples(geometry.RoiAxis(*ends, length, bins, sampling_ratio, semantics))


def inside(positions, length):
    return (positions >= -1) & (positions <= length)


def all_positions(start, end, *, bins, count, real=np.float32):
    """All samples of the grid, also those outside the map, each with its bin."""
    start, step = real(start), (real(end) - real(start)) / real(bins)
    p, i = (axis.ravel().astype(real) for axis in np.mgrid[:bins, :count])
    return (start + p * step) + ((i + real(0.5)) * step) / real(count), p.astype(int)


def test_two_samples_in_each_of_two_bins_are_evenly_spread():
    found = samples(0, 8)
    assert found.position.tolist() == [1, 3, 5, 7]
    assert found.bin.tolist() == [0, 0, 1, 1]
    assert found.share.tolist() == [0.5] * 4
    assert found.complete.all()


def test_each_sample_lies_between_two_pixels():
    found = samples(0.5, 2.5, bins=1, sampling_ratio=4)
    assert found.position.tolist() == [0.75, 1.25, 1.75, 2.25]
    assert found.low.tolist() == [0, 1, 1, 2]
    assert found.high.tolist() == [1, 2, 2, 3]
    assert found.fraction.tolist() == [0.75, 0.25, 0.75, 0.25]


def test_samples_up_to_one_pixel_outside_are_moved_onto_the_border():
    found = samples(-1.5, 2.5, length=2, bins=1, sampling_ratio=4)
    assert found.position.tolist() == [-1, 0, 1, 2]
    assert found.low.tolist() == [0, 0, 1, 1]
    assert found.high.tolist() == [1, 1, 1, 1]
    assert found.fraction.tolist() == [0, 0, 0, 0]


def test_an_exclusive_border_leaves_out_the_samples_on_the_cuts():
    found = samples(-1.5, 2.5, length=2, bins=1, sampling_ratio=4, semantics=Semantics(border="exclusive"))
    assert found.position.tolist() == [0, 1]
    assert found.share.tolist() == [0.25, 0.25]
    assert not found.complete.any()


def test_a_mirrored_roi_is_sampled_from_its_far_end():
    found = samples(8, 0, semantics=ALIGNED)
    assert found.position.tolist() == [7, 5, 3, 1]
    outside = samples(9.5, -2.5, bins=1, sampling_ratio=4, semantics=ALIGNED)
    assert outside.position.tolist() == [8, 5, 2, -1]


def test_the_adaptive_grid_counts_pixels_of_a_bin_rounded_up_or_down():
    assert samples(0, 5, sampling_ratio=0).count == 3
    assert samples(0, 5, sampling_ratio=0, semantics=Semantics(adaptive="floor")).count == 2
    assert samples(0, 0, sampling_ratio=0, semantics=ALIGNED).count == 0
    assert samples(5, 0, sampling_ratio=0, semantics=ALIGNED).count == -2


def test_a_roi_without_samples_has_none():
    for mirrored in (0, -5):
        found = samples(3, 3 + mirrored, sampling_ratio=0, semantics=ALIGNED)
        assert found.position.size == 0
        assert mean_taps(found).offsets.tolist() == [0, 0, 0]


def test_min_size_bounds_the_scaled_roi():
    assert samples(2, 2.5, bins=1, sampling_ratio=1, semantics=LEGACY).position.tolist() == [2.5]
    assert samples(2, 2.5, bins=1, sampling_ratio=1, semantics=ALIGNED).position.tolist() == [2.25]


def test_ends_are_shifted_then_scaled_then_offset():
    start, end = geometry.scaled_ends(np.float32([4]), np.float32([8]), 0.5, Semantics(offset=0.5, end_shift=1.0))
    assert (start.tolist(), end.tolist()) == ([1.5], [4.0])
    assert start.dtype == end.dtype == np.float32


def test_starts_are_shifted_before_they_are_scaled_and_so_their_offset_depends_on_the_scale():
    for scale, expected in ((0.5, 1.75), (1.0, 4.0)):  # OpenVINO's half_pixel: (x + 0.5) * scale - 0.5
        meaning = Semantics(offset=0.5, start_shift=0.5, end_shift=0.5)
        start, end = geometry.scaled_ends(np.float32([4]), np.float32([8]), scale, meaning)
        assert (start.tolist(), end.tolist()) == ([expected], [expected + 4 * scale])


coordinates = st.floats(-30, 30, width=32) | st.integers(-8, 30).map(float)


@settings(max_examples=300, deadline=None)
@given(
    start=coordinates,
    end=coordinates,
    length=st.integers(1, 20),
    bins=st.integers(1, 5),
    sampling_ratio=st.integers(0, 4),
    scale=st.sampled_from([1.0, 0.5, 0.25, 0.3, 1 / 3]),
    semantics=any_semantics,
    real=st.sampled_from([np.float32, np.float64]),
)
def test_positions_and_taps_are_those_of_the_formula_to_the_bit(
    start, end, length, bins, sampling_ratio, scale, semantics, real
):
    ends = geometry.scaled_ends(np.array([start], real), np.array([end], real), scale, semantics)
    found = geometry.axis_samples(geometry.RoiAxis(*ends, length, bins, sampling_ratio, semantics))
    positions, count = naive.axis_positions(real(start), real(end), bins, sampling_ratio, scale, semantics)
    expected = [
        (p, at, *naive.taps(at, length, semantics))
        for p, of_bin in enumerate(positions)
        for at in of_bin
        if naive.taps(at, length, semantics)
    ]
    assert found.count == count
    assert found.position.dtype == real
    got = zip(found.bin, found.position, found.low, found.high, found.fraction, strict=True)
    assert [(p, at, (low, real(1) - f), (high, f)) for p, at, low, high, f in got] == expected
    if count > 0:
        kept = [all(naive.taps(at, length, semantics) for at in of_bin) for of_bin in positions]
        assert found.complete.tolist() == [kept]


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize(("start", "end"), [(-3e5, 5e5), (-4e5, 11.0), (3.0, 7e5), (4e5, 9e5), (-7, 2e5)])
def test_bisection_finds_the_samples_that_a_walk_over_a_wide_grid_finds(start, end, real):
    found = samples(start, end, length=40, bins=3, sampling_ratio=0, real=real)
    positions, bins = all_positions(start, end, bins=3, count=int(found.count[0]), real=real)
    kept = inside(positions, 40)
    assert found.position.tolist() == positions[kept].tolist()
    assert found.bin.tolist() == bins[kept].tolist()


def test_a_mirrored_roi_on_a_fine_grid_finds_the_samples_of_a_walk():
    found = samples(4e4, -4e4, length=40, bins=3, sampling_ratio=16384, semantics=ALIGNED)
    positions, _ = all_positions(4e4, -4e4, bins=3, count=16384)
    assert found.position.tolist() == positions[inside(positions, 40)].tolist()
    assert found.position.size > 10


def test_indices_that_share_a_float_are_counted_where_float32_runs_out_of_integers():
    # One bin of 3e7 pixels: above 2^24, float32 cannot represent every index up to 3e7.
    start, end = np.float32(-2.5e7), np.float32(5e6)
    found = samples(start, end, length=3000, bins=1, sampling_ratio=0)
    index = np.arange(24_990_000, 25_010_000).astype(np.float32)
    step = end - start
    positions = start + ((index + np.float32(0.5)) * step) / found.count
    expected, repeats = np.unique(positions[inside(positions, 3000)], return_counts=True)
    shares = [found.share[found.position == at].sum() * found.count[0] for at in expected]
    assert np.unique(found.position).tolist() == expected.tolist()
    assert shares == pytest.approx(repeats.tolist(), rel=1e-12)


@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize("width", [1e9, 1e12, 1e20, 1e30])
def test_a_roi_of_any_width_has_no_more_samples_than_the_map_has_room_for(width, real):
    with np.errstate(over="ignore"):
        found = samples(-width / 3, width, length=1000, bins=7, sampling_ratio=0, real=real)
    assert found.position.size <= 2 * 1001
    assert 0 <= found.share.sum() <= 1e-4


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_a_roi_a_billion_pixels_wide_is_answered_in_ten_megabytes(mode):
    X = np.random.default_rng(0).standard_normal((1, 16, 200, 336), dtype=np.float32)
    rois = np.float32([[-4e8, -5e8, 6e8, 5e8]])
    attributes = Attributes(output_height=7, output_width=7, mode=mode)
    tracemalloc.start()
    Y = reference.roi_align(X, rois, np.zeros(1, np.int64), attributes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert Y.shape == (1, 16, 7, 7)
    assert np.isfinite(Y).all()
    assert peak < 10e6


@functools.cache
def rois_out_of_order(length, *, bins, count):
    """RoIs far from zero in which the first sample of a bin is rounded to before the last sample of the bin before."""
    rng = np.random.default_rng(5)
    middles = rng.integers(length * 7 // 8, length - 2, 20_000)
    halves = rng.uniform(0.05, 20, 20_000) * length / 2**24
    found = []
    for x1, x2 in np.stack([middles - halves, middles + halves], axis=1).astype(np.float32):
        pixels = np.floor(all_positions(x1, x2, bins=bins, count=count)[0])
        if (np.diff(pixels) < 0).any():
            found.append((x1, 0, x2, 1))
    assert len(found) >= 40
    return np.array(found[:200], np.float32)


@pytest.mark.parametrize("length", [16_000, 131_072])
@pytest.mark.parametrize(("mode", "max_rule"), [("avg", "corners"), ("max", "corners"), ("max", "samples")])
@pytest.mark.parametrize("mirrored", [False, True])
def test_bins_whose_samples_round_out_of_order_are_pooled_like_others(length, mode, max_rule, mirrored):
    rois = rois_out_of_order(length, bins=14, count=4)
    X = np.random.default_rng(6).standard_normal((1, 16, 1, length), dtype=np.float32)
    answers = [
        roi_align(
            X,
            rois[:, [2, 1, 0, 3]] if mirrored else rois,
            np.zeros(len(rois), np.int64),
            output_width=14,
            sampling_ratio=4,
            mode=mode,
            semantics=dataclasses.replace(LEGACY, max_rule=max_rule, min_size=None),
            engine=engine,
        )
        for engine in ("native", "reference")
    ]
    np.testing.assert_allclose(*answers, rtol=0, atol=tolerances.FLOAT32 * np.abs(X).max())


def test_the_weights_of_a_bin_inside_the_map_sum_to_one_and_no_pixel_is_read_twice():
    found = samples(1.2, 27.9, length=40, bins=5, sampling_ratio=0)
    taps = mean_taps(found)
    sums = np.add.reduceat(taps.weight[0], taps.offsets[:-1])
    assert sums == pytest.approx(np.ones(5), abs=1e-6)
    for begin, end in zip(taps.offsets, taps.offsets[1:], strict=False):
        pixels = taps.pixel[0, begin:end]
        assert np.all(np.diff(pixels) > 0)


def test_far_samples_of_a_bin_leave_the_pixels_between_them_alone():
    found = samples(0, 20, length=40, bins=1, sampling_ratio=2)
    assert found.position.tolist() == [5, 15]
    assert mean_taps(found).pixel.tolist() == [[5, 6, 15, 16]]


def test_the_extremes_of_a_pixels_weights_are_kept_for_the_maximum_over_corners():
    taps = corner_taps(samples(0, 2, length=4, bins=1, sampling_ratio=4))
    assert taps.pixel.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert taps.weight.tolist() == [[0.25, 0.25, 0.25], [0.75, 0.75, 0.75]]


def test_a_fine_grid_keeps_two_samples_per_pixel_for_the_maximum_over_samples():
    taps = sample_taps(samples(0, 4, length=8, bins=1, sampling_ratio=16384))
    assert taps.pixel[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert taps.pixel[1].tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert taps.offsets.tolist() == [0, 8]
