"""Both engines answer what torchvision, Paddle, MindSpore, ONNX Runtime, OpenVINO and TVM answered, case by case."""

from __future__ import annotations

import golden
import naive
import numpy as np
import pytest
import tolerances

from onnx_roialign import PRESETS


def difference(case, Y):
    """In units of max|X|; infinite where only one of the two is NaN."""
    off = np.where(np.isnan(case.Y) == np.isnan(Y), 0.0, np.inf)
    return np.fmax(np.abs(Y - case.Y) / np.abs(case.X).max(), off)


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
        worst = difference(case, engine(case.X, case.rois, case.batch_indices, **case.arguments)).max()
        if not worst <= tolerances.FLOAT32:
            wrong[case.name] = worst
    assert wrong == {}


def test_paddle_is_answered_but_where_the_rounding_of_a_position_decides(engine):
    outputs = ill_conditioned = 0
    unexplained = []
    for case in golden.cases("paddle"):
        differences = difference(case, engine(case.X, case.rois, case.batch_indices, **case.arguments))
        outputs += differences.size
        for place in np.argwhere(~(differences <= tolerances.FLOAT32)):
            ill_conditioned += 1
            allowed = tolerances.FLOAT32 + sensitivity(case, *place) / np.abs(case.X).max()
            if not differences[tuple(place)] <= allowed:
                unexplained.append((case.name, *place.tolist(), differences[tuple(place)], allowed))
    assert unexplained == []
    assert ill_conditioned <= 5, f"{ill_conditioned} of {outputs} outputs"


def sensitivity(case, k, c, p, q):
    """How far this output moves at most where each of its samples moves by the rounding of a position.

    Where a sample lies within that of a cut (-1, H, W), the move carries it across, and this is its whole value.
    """
    semantics, arguments = PRESETS[case.preset], case.arguments
    plane = case.X[case.batch_indices[k], c].astype(np.float64)
    axes = []
    for first, bins, own in ((1, "output_height", p), (0, "output_width", q)):
        ends = case.rois[k, first], case.rois[k, first + 2]
        grid = arguments[bins], arguments["sampling_ratio"], arguments["spatial_scale"]
        positions, _ = naive.axis_positions(*ends, *grid, semantics)
        reach = max(abs(at) for at in positions[0] + positions[-1])
        ulp = tolerances.POSITION_ULP * float(np.spacing(np.float32(reach)))
        axes.append([[float(at) + move for move in (0, -ulp, ulp)] for at in positions[own]])
    moves = []
    for ys in axes[0]:
        for xs in axes[1]:
            values = [sum(naive.corners(plane, np.float64(y), np.float64(x), semantics)) for y in ys for x in xs]
            moves.append(max(abs(value - values[0]) for value in values))
    return np.mean(moves)


def test_the_sensitivity_of_an_output_is_its_whole_value_at_a_cut_and_tiny_elsewhere():
    X = np.ones((1, 1, 8, 8), np.float32)
    arguments = {"output_height": 1, "output_width": 1, "sampling_ratio": 1, "spatial_scale": 1.0}
    rois = np.float32([[6, 2, 10, 4], [2.5, 2, 5, 4]])  # samples at x = 8, the cut, and at x = 3.75
    case = golden.Case("made", "paddle", "paddle_legacy", arguments, X, rois, np.zeros(2, np.int64), np.zeros(2))
    assert sensitivity(case, 0, 0, 0, 0) == 1
    assert sensitivity(case, 1, 0, 0, 0) < 1e-6
