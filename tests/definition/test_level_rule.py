"""Tests that LevelRule computes the level of a box by equation 1 of the FPN paper, rounded as the frameworks do."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from boundaries import boundary_boxes, boxes_of_areas, neighbours

from onnx_roialign import RoiAlignError
from onnx_roialign.definition.pyramid import LevelRule, Pyramid


@pytest.mark.parametrize("canonical", [(224, 4), (96, 3), (160, 2), (100, 4), (7, 1)])
def test_boxes_whose_area_lies_on_a_boundary_go_to_the_coarser_level(canonical):
    scale, level = canonical
    rule = LevelRule(0, 12, scale, level)
    for k in range(1, 9):
        side = scale * 2.0 ** (k - level)
        # The epsilon of 1e-6 lifts values just below a boundary, too.
        areas = np.float32([side, side * (1 - 1e-5), side * (1 - 2e-7)]) ** 2
        assert rule.levels(boxes_of_areas(areas)).tolist() == [k, k - 1, k], (k, side)


def test_levels_stop_at_the_ends_of_the_pyramid_and_a_box_without_area_is_of_the_finest():
    rule = LevelRule(2, 5)
    with np.errstate(over="ignore"):
        areas = np.float32([0, 1, 111, 112, 224, 448, 1e6, np.inf]) ** 2
    assert rule.levels(boxes_of_areas(areas)).tolist() == [0, 0, 0, 1, 2, 3, 3, 3]
    assert rule.levels(boxes_of_areas(np.float32([-0.0, -3e-45, -5, np.nan]))).tolist() == [0, -1, -1, -1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("canonical", [(224, 4), (96, 3), (100, 1)])
def test_a_smallest_area_is_the_first_of_its_level(dtype, canonical):
    rule = LevelRule(1, 5, *canonical)
    for level, least in enumerate(rule.smallest_areas(dtype)[1:], 1):
        near = neighbours(least, 200)
        assert np.array_equal(rule.levels(boxes_of_areas(near)), np.where(near < least, level - 1, level))
        scale, first = canonical
        assert least == pytest.approx((scale * 2.0 ** (1 + level - first)) ** 2, rel=3e-6)


def test_boxes_of_16_bits_have_the_level_of_their_area_in_float32():
    boxes = np.float16([[0, 0, 448, 448], [0, 0, 447.75, 447.75], [0, 0, 60000, 60000]])
    assert LevelRule(2, 5).levels(boxes).tolist() == [3, 2, 3]


def test_between_maps_from_coarse_to_fine_no_box_has_a_level():
    boxes = boundary_boxes(LevelRule(2, 5), np.float32, 1)
    assert set(LevelRule(5, 2).levels(boxes).tolist()) == {-1}
    assert LevelRule(5, 2).smallest_areas(np.float32).size == 0


def test_of_two_maps_of_one_stride_boxes_are_of_the_first():
    boxes = boundary_boxes(LevelRule(2, 5), np.float32, 1)
    assert set(LevelRule(5, 5).levels(boxes).tolist()) == {0, -1}


@pytest.mark.parametrize("scale", [1e-45, 1e-38, 3e38])
def test_a_canonical_scale_at_the_ends_of_float32_raises_no_warning(scale):
    with np.errstate(all="raise"):
        assert LevelRule(2, 5, scale).levels(boxes_of_areas(np.float32([0, 1]))).min() >= 0


BAD = [
    ({"min_level": 1.5}, "min_level must be an integer, got a float"),
    ({"min_level": -1025}, r"min_level must be in \[-1024, 1024\], got -1025"),
    ({"max_level": 10**30}, r"max_level must be in \[-1024, 1024\], got 1000000000000000000000000000000"),
    ({"max_level": 18}, "max_level must be at most 15 above min_level, got 18 where min_level is 2"),
    ({"canonical_level": "4"}, "canonical_level must be an integer, got a str"),
    ({"canonical_scale": 0}, "canonical_scale must be finite and > 0, got 0"),
    ({"canonical_scale": 1e-300}, "canonical_scale must be finite and > 0 in float32, got 1e-300"),
    ({"canonical_scale": 1e300}, r"canonical_scale must be finite and > 0 in float32, got 1e\+300"),
    ({"canonical_scale": np.nan}, "canonical_scale must be finite and > 0, got nan"),
    ({"canonical_scale": "224"}, "canonical_scale must be a number, got a str"),
    ({"floor_epsilon": -1e-9}, r"floor_epsilon must be in \[0, 1\), got -1e-09"),
    ({"level_areas": (0, 4, 2)}, "level_areas must be ascending, got 2 at 2"),
    ({"level_areas": (0, np.nan)}, "level_areas must be ascending, got nan at 1"),
]


@pytest.mark.parametrize(("change", "match"), BAD)
def test_a_rule_that_cannot_be_is_refused(change, match):
    with pytest.raises(RoiAlignError, match=match):
        LevelRule(**change)


def test_a_rule_and_a_pyramid_pickle():
    for value in (LevelRule(0, 3, 56, 0, 1e-6, 0, (0.0, 4.0)), Pyramid((0.25,), LevelRule(5, 2))):
        assert pickle.loads(pickle.dumps(value)) == value
