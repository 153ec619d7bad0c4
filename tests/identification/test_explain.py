"""Tests explain: its numbers are those of the definition for every RoI."""

from __future__ import annotations

import math
from dataclasses import replace

import naive
import numpy as np
import pytest
from explained import BOXES, NAMES, explained

from onnx_roialign import PRESETS, RoiAlignError
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.engines import native
from onnx_roialign.identification.explain import MAX_POSITIONS, explain, noise_map
from onnx_roialign.identification.result import FIELDS


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("name", [name for name in BOXES if name != "huge"])
def test_the_numbers_are_those_of_the_definition_sample_by_sample(name, ratio):
    box, feature, bins = BOXES[name], (20, 30), (3, 4)
    shown = explained(box, ratio=ratio)
    for plan in (shown.first, shown.second):
        inside = []
        for axis, first, length, count in ((plan.y, 1, feature[0], bins[0]), (plan.x, 0, feature[1], bins[1])):
            ends = np.float32(box[first]), np.float32(box[first + 2])
            each, g = naive.axis_positions(*ends, count, ratio, 0.25, plan.semantics)
            flat = [at for one in each for at in one]
            kept = [naive.taps(at, length, plan.semantics) is not None for at in flat]
            assert axis.grid == max(g, 0)
            assert axis.positions.tolist() == [float(at) for at in flat]
            assert axis.kept.tolist() == kept
            assert axis.inside == sum(kept)
            inside.append(sum(kept))
        assert plan.dropped == plan.samples - inside[0] * inside[1]


def test_start_size_and_bin_by_hand():
    shown = explained((10, 20, 91, 60))
    assert shown.first.as_dict() == {
        "start": [2.0, 4.5],
        "size": [20.25, 10.0],
        "bin": [5.0625, pytest.approx(10 / 3)],
        "grid": [6.0, 4.0],
        "samples": 24 * 12,
        "dropped": 0,
    }
    assert shown.second.as_dict()["size"] == [20.5, 10.25]
    assert shown.second.as_dict()["grid"] == [5.0, 3.0]


def test_a_minimum_size_shows_in_size_and_bins():
    shown = explained(BOXES["tiny"], names=("onnx_output_half_pixel", "onnx_half_pixel"))
    assert (shown.first.x.size, shown.first.y.size) == (1, 1)
    assert (shown.second.x.size, shown.second.y.size) == (0.25, 0.5)


@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_the_difference_is_that_of_the_kernels_outputs(box):
    shown = explained(box)
    X, rois = noise_map((20, 30), "avg")[None, None], np.float32([box])
    answers = [
        native.roi_align(X, rois, np.zeros(1, np.int64), Attributes(3, 4, 0, 0.25, semantics=PRESETS[name]))
        for name in NAMES
    ]
    if np.isnan(answers[0]).any() != np.isnan(answers[1]).any():
        assert shown.difference == math.inf
    else:
        assert shown.difference == pytest.approx(np.nanmax(np.abs(answers[0] - answers[1]), initial=0), abs=1e-5)


@pytest.mark.parametrize("names", [("tvm_aligned", "openvino_asymmetric"), ("mmcv_aligned", "detectron2")])
def test_meanings_that_differ_in_their_maxima_show_it_in_mode_max(names):
    shown = explained(BOXES["inside"], mode="max", names=names)
    first, second = (PRESETS[name] for name in names)
    differing = [name for name in FIELDS if getattr(first, name) != getattr(second, name)]
    assert "max_start" in differing
    assert shown.fields == {name: (getattr(first, name), getattr(second, name)) for name in differing}
    X, rois = noise_map((20, 30), "max")[None, None], np.float32([BOXES["inside"]])
    assert -1 <= X.min() < -0.9
    assert -0.1 < X.max() < 0
    attributes = Attributes(3, 4, 0, 0.25, "max")
    answers = [
        native.roi_align(X, rois, np.zeros(1, np.int64), replace(attributes, semantics=one)) for one in (first, second)
    ]
    assert shown.difference == pytest.approx(np.abs(answers[0] - answers[1]).max(), abs=1e-5)
    assert shown.difference > 0.05


def test_a_maximum_that_starts_from_0_differs_by_the_maps_negative_values():
    samples = replace(PRESETS["tvm_aligned"], max_start=0.0)
    attributes = Attributes(3, 4, 2, 0.25, "max", PRESETS["tvm_aligned"])
    shown = explain(BOXES["inside"], (20, 30), attributes, samples)
    assert shown.fields == {"max_start": (None, 0.0)}
    assert not shown.second.answer.any()
    assert shown.difference == np.abs(shown.first.answer).max() > 0


def test_a_huge_rois_samples_are_counted_and_only_those_on_the_map_are_listed():
    plan = explained(BOXES["huge"], names=("onnx_half_pixel", "onnx_half_pixel")).first
    assert plan.x.grid > 6e7
    assert plan.x.inside == plan.x.positions.size == 26
    assert plan.x.kept.all()
    assert plan.dropped == pytest.approx(plan.samples)


def test_no_more_positions_are_kept_than_can_be_drawn():
    plan = explained((0, 0, 120, 80), ratio=MAX_POSITIONS).first
    assert plan.x.positions.size == MAX_POSITIONS
    assert plan.x.inside == 4 * MAX_POSITIONS


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((math.nan, 0, 1, 1), r"rois must be finite, got nan at row 0, column 0 \(x1\)"),
        ((0, 0, 1, math.inf), r"rois must be finite, got inf at row 0, column 3 \(y2\)"),
    ],
)
def test_a_coordinate_that_is_not_finite_is_refused(box, message):
    with pytest.raises(RoiAlignError, match=message):
        explained(box)
