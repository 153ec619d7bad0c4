"""Tests that both engines return what the six frameworks returned, case by case."""

from __future__ import annotations

import golden
import numpy as np
import pytest
import tolerances


@pytest.mark.parametrize(
    ("framework", "count"),
    [("torchvision", 84), ("paddle", 81), ("mindspore", 84), ("onnxruntime", 210), ("openvino", 276), ("tvm", 170)],
)
def test_every_recorded_case_is_here(framework, count):
    assert len(golden.cases(framework)) == count
    assert all(case.X.size and case.Y.size and len(case.rois) for case in golden.cases(framework))


@pytest.mark.parametrize(
    ("framework", "count"), [("torchvision", 0), ("paddle", 2), ("mindspore", 32), ("openvino", 16), ("tvm", 0)]
)
def test_nan_was_answered_in_as_many_cases_as_recorded(framework, count):
    assert sum(bool(np.isnan(case.Y).any()) for case in golden.cases(framework)) == count


@pytest.mark.parametrize("framework", ["torchvision", "mindspore", "onnxruntime", "openvino", "tvm"])
def test_every_case_is_answered_as_the_framework_answered_it(engine, framework):
    wrong = {}
    for case in golden.cases(framework):
        worst = golden.difference(case, engine(case.X, case.rois, case.batch_indices, **case.arguments)).max()
        if not worst <= tolerances.FLOAT32:
            wrong[case.name] = worst
    assert wrong == {}


def test_paddle_is_answered_but_where_the_rounding_of_a_position_decides(engine):
    outputs = ill_conditioned = 0
    unexplained = []
    for case in golden.cases("paddle"):
        differences = golden.difference(case, engine(case.X, case.rois, case.batch_indices, **case.arguments))
        outputs += differences.size
        for place in np.argwhere(~(differences <= tolerances.FLOAT32)):
            ill_conditioned += 1
            allowed = tolerances.FLOAT32 + golden.sensitivity(case, *place) / np.abs(case.X).max()
            if not differences[tuple(place)] <= allowed:
                unexplained.append((case.name, *place.tolist(), differences[tuple(place)], allowed))
    assert unexplained == []
    assert ill_conditioned <= 5, f"{ill_conditioned} of {outputs} outputs"


def test_the_sensitivity_of_an_output_is_its_whole_value_at_a_cut_and_tiny_elsewhere():
    X = np.ones((1, 1, 8, 8), np.float32)
    arguments = {"output_height": 1, "output_width": 1, "sampling_ratio": 1, "spatial_scale": 1.0}
    rois = np.float32([[6, 2, 10, 4], [2.5, 2, 5, 4]])  # samples at x = 8, the cut-off, and at x = 3.75
    case = golden.Case("made", "paddle", "paddle_legacy", arguments, X, rois, np.zeros(2, np.int64), np.zeros(2))
    assert golden.sensitivity(case, 0, 0, 0, 0) == 1
    assert golden.sensitivity(case, 1, 0, 0, 0) < 1e-6
