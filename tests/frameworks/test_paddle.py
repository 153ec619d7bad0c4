"""Tests that frameworks.paddle returns what Paddle did, refuses calls on which Paddle hangs, and exports a model."""

from __future__ import annotations

import re

import framework_calls
import golden
import numpy as np
import pytest
import tolerances
from framework_calls import (
    CALL_ENGINES,
    PRIVATE,
    STANDARD,
    assert_model_answers,
    grouped,
    kinds_of_cases,
    operators,
    size,
)
from installed_versions import newest_opset
from private_runs import run_model

from onnx_roialign import RoiAlignError
from onnx_roialign.frameworks import paddle

X = np.random.default_rng(0).standard_normal((3, 2, 12, 16)).astype(np.float32)
BOXES = np.float32([[1, 2, 30, 20], [0, 0, 8, 9.5], [5, 5, 5.5, 5.25], [-9, 3, 40, 8]])
COUNTS = np.int32([1, 0, 3])
LOD = [[0, 1, 1, 4]]


def aligned(case):
    return case.preset == "paddle_aligned"


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_every_recorded_case_returns_paddles_result_except_ill_conditioned_bins(engine):
    cases = golden.cases("paddle")
    assert len(cases) == 81
    ill_conditioned = 0
    for case in cases:
        boxes, counts, _ = grouped(case)
        arguments = size(case), case.arguments["spatial_scale"], case.arguments["sampling_ratio"], aligned(case)
        ordered = paddle.roi_align(case.X, boxes, counts, *arguments, engine=engine)
        Y = np.empty_like(ordered)
        Y[np.argsort(case.batch_indices, kind="stable")] = ordered
        differences = golden.difference(case, Y)
        for place in np.argwhere(~(differences <= tolerances.FLOAT32)):
            ill_conditioned += 1
            allowed = tolerances.FLOAT32 + golden.sensitivity(case, *place) / np.abs(case.X).max()
            assert differences[tuple(place)] <= allowed, case.name
    assert ill_conditioned <= 5


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize(
    ("aligned", "recorded"),
    [
        (True, [9.419531606137742, 9.343749720603187, 8.85671797014773, 12.77187483273451]),
        (False, [11.650468445681046, 9.393906242437659, 9.556250067800248, 9.184217303209017]),
    ],
)
def test_a_scale_is_a_float32_in_float64_calls_too(engine, aligned, recorded):
    """Recorded from Paddle 3.3.1: with 0.3 as a float64 the results are off by 1e-7."""
    X, boxes = (np.arange(36.0) ** 2 % 17).reshape(1, 1, 6, 6), np.array([[1.0, 2.0, 13.0, 17.0]])
    Y = paddle.roi_align(X, boxes, [1], 2, 0.3, 2, aligned, engine=engine)
    np.testing.assert_allclose(Y.ravel(), recorded, rtol=1e-14)
    if not aligned:
        fluid = paddle.fluid_roi_align(X, boxes, 2, 2, 0.3, 2, rois_num=[1], engine=engine)
        np.testing.assert_allclose(fluid.ravel(), recorded, rtol=1e-14)
    model = run_model(
        paddle.roi_align.to_onnx(2, 0.3, 2, aligned, dtype=np.float64),
        {"x": X, "boxes": boxes, "boxes_num": np.int32([1])},
        "native",
    )
    np.testing.assert_allclose(model.ravel(), recorded, rtol=1e-14)


@pytest.mark.parametrize("scale", [1e39, 1e-50])
def test_a_scale_beyond_float32_is_refused(scale):
    with pytest.raises(RoiAlignError, match=r"^spatial_scale must be finite and > 0 in float32, got "):
        paddle.roi_align(X.astype(np.float64), BOXES.astype(np.float64), COUNTS, 2, scale)


def test_the_signatures_are_paddles():
    assert framework_calls.own_arguments(paddle.roi_align) == [
        "x", "boxes", "boxes_num", "output_size",
        ("spatial_scale", 1.0), ("sampling_ratio", -1), ("aligned", True), ("name", None),
    ]  # fmt: skip
    assert framework_calls.own_arguments(paddle.fluid_roi_align) == [
        "input", "rois", ("pooled_height", 1), ("pooled_width", 1),
        ("spatial_scale", 1.0), ("sampling_ratio", -1), ("rois_num", None), ("name", None),
    ]  # fmt: skip


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_the_fluid_form_is_the_call_that_is_not_aligned(engine):
    want = paddle.roi_align(X, BOXES, COUNTS, (3, 2), 0.5, aligned=False, engine=engine)
    by_counts = paddle.fluid_roi_align(X, BOXES, 3, 2, 0.5, rois_num=COUNTS, engine=engine)
    assert np.array_equal(by_counts, want)
    assert want.shape == (4, 2, 3, 2)
    assert not np.allclose(want, paddle.roi_align(X, BOXES, COUNTS, (3, 2), 0.5, engine=engine))


@pytest.mark.parametrize("rois", [(BOXES, LOD), paddle.LoDTensor(BOXES, LOD), (BOXES, [[0, 3], *LOD])])
def test_fluid_boxes_are_grouped_by_lod_offsets(rois):
    want = paddle.fluid_roi_align(X, BOXES, 3, 2, 0.5, rois_num=COUNTS)
    assert np.array_equal(paddle.fluid_roi_align(X, rois, 3, 2, 0.5), want)
    # Counts take precedence, as in Paddle.
    assert np.array_equal(paddle.fluid_roi_align(X, (BOXES, [[0, 4, 4, 4]]), 3, 2, 0.5, rois_num=COUNTS), want)
    assert not np.allclose(paddle.fluid_roi_align(X, (BOXES, [[0, 4, 4, 4]]), 3, 2, 0.5), want)


def test_the_documented_example():
    rois = np.float32([[0, 0, 20, 30], [4, 4, 40, 20], [1, 1, 60, 60]])
    data = np.random.default_rng(0).random((2, 256, 32, 32), np.float32)
    pooled = paddle.fluid_roi_align(
        input=data, rois=rois, pooled_height=7, pooled_width=7, spatial_scale=0.5, sampling_ratio=-1,
        rois_num=np.int32([1, 2]),
    )  # fmt: skip
    assert pooled.shape == (3, 256, 7, 7)


def test_boxes_of_size_0_are_nan_on_an_adaptive_grid():
    point = np.float32([[5, 5, 5, 5]])
    assert np.isnan(paddle.roi_align(X[:1], point, [1], 2)).all()
    assert np.isfinite(paddle.roi_align(X[:1], point, [1], 2, sampling_ratio=2)).all()
    assert np.isfinite(paddle.roi_align(X[:1], point, [1], 2, aligned=False)).all()


@pytest.mark.parametrize("box", [[9, 2, 1, 8], [2, 9, 8, 1], [9, 9, 1, 1]])
@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_a_box_from_which_paddle_does_not_return_is_an_error(box, engine):
    boxes = np.float32([[1, 1, 5, 5], box])
    text = (
        "boxes must have x2 >= x1 and y2 >= y1 where aligned=True and the grid is adaptive, because Paddle crashes "
        f"or never returns on others, got {[float(c) for c in box]} at row 1; pass a sampling_ratio > 0"
    )
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        paddle.roi_align(X[:1], boxes, [2], 3, engine=engine)
    for arguments in ({"sampling_ratio": 2}, {"aligned": False}):
        Y = paddle.roi_align(X[:1], boxes, [2], 3, engine=engine, **arguments)
        assert Y.shape == (2, 2, 3, 3)
        assert np.isfinite(Y).all()
        assert np.array_equal(Y[:1], paddle.roi_align(X[:1], boxes[:1], [1], 3, engine=engine, **arguments))


def test_a_box_mirrored_by_less_than_a_bin_is_nan():
    # ceil(-2 / 3) is 0 samples: Paddle returns, with 0 / 0.
    assert np.isnan(paddle.roi_align(X[:1], np.float32([[5, 2, 3, 8]]), [1], 3)).all()


@pytest.mark.parametrize("counts", [COUNTS, COUNTS.astype(np.int64), [1, 0, 3]])
def test_counts_of_any_integer_type(counts):
    assert np.array_equal(paddle.roi_align(X, BOXES, counts, 2), paddle.roi_align(X, BOXES, COUNTS, 2))


def test_no_boxes():
    assert paddle.roi_align(X, BOXES[:0], [0, 0, 0], 2).shape == (0, 2, 2, 2)


BAD = [
    ({"x": X[0]}, "x must have rank 4 (N, C, H, W), got shape (2, 12, 16)"),
    ({"x": X.astype(np.float16)}, "x must be float32 or float64, got float16"),
    ({"boxes": np.zeros((4, 5), np.float32)}, "boxes must have shape (K, 4), got shape (4, 5)"),
    ({"boxes": BOXES.astype(np.float64)}, "boxes must have x's type float32, got float64"),
    ({"boxes_num": None}, "boxes_num must be one count per image, got None"),
    ({"boxes_num": [4]}, "boxes_num must have shape (3,), one count per image, got shape (1,)"),
    ({"boxes_num": [1.0, 0.0, 3.0]}, "boxes_num must be int32 or int64, got float64"),
    ({"boxes_num": [1, 0, 4]}, "boxes_num must add up to the number of boxes 4, got 5"),
    ({"boxes_num": [5, -1, 0]}, "boxes_num must be at least 0, got -1 at image 1"),
    ({"boxes": np.float32([[0, np.inf, 1, 1]] * 4)}, "rois must be finite, got inf at row 0, column 1 (y1)"),
    ({"output_size": (2,)}, "output_size must be an integer or a pair (height, width), got (2,)"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
def test_an_invalid_argument_is_named(arguments, text):
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        paddle.roi_align(**{"x": X, "boxes": BOXES, "boxes_num": COUNTS, "output_size": 2, **arguments})


@pytest.mark.parametrize(
    ("rois", "text"),
    [
        (BOXES, "rois must have LoD offsets where rois_num is not given, got an array without"),
        ((BOXES, []), "rois must have LoD offsets that begin with 0, such as [[0, 2, 5]], got []"),
        ((BOXES, [[1, 1, 4, 4]]), "rois must have LoD offsets that begin with 0, such as [[0, 2, 5]], got"),
        ((BOXES, [[0, 4, 1, 4]]), "rois must have LoD offsets that never fall, got [[0, 4, 1, 4]]"),
        ((BOXES, [[0, 4]]), "rois' LoD must have shape (3,), one count per image, got shape (1,)"),
        ((BOXES, [[0, 1, 1, 9]]), "rois' LoD must add up to the number of boxes 4, got 9"),
    ],
)
def test_boxes_that_nothing_groups_are_refused(rois, text):
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        paddle.fluid_roi_align(X, rois, 2, 2)


@pytest.mark.parametrize("case", kinds_of_cases("paddle"))
def test_a_call_written_as_a_model_returns_the_calls_result(case):
    boxes, counts, _ = grouped(case)
    arguments = size(case), case.arguments["spatial_scale"], case.arguments["sampling_ratio"], aligned(case)
    want = paddle.roi_align(case.X, boxes, counts, *arguments)
    model = paddle.roi_align.to_onnx(*arguments)
    adaptive = case.arguments["sampling_ratio"] == 0
    assert (PRIVATE if adaptive and aligned(case) else STANDARD) in operators(model)
    assert_model_answers(model, {"x": case.X, "boxes": boxes, "boxes_num": counts}, want)


@pytest.mark.parametrize(
    ("opset", "is_aligned", "operator"),
    [(10, False, STANDARD), (11, True, PRIVATE), (16, True, STANDARD), (newest_opset(), True, STANDARD)],
)
def test_a_model_has_onnxs_own_roi_align_if_its_opset_can_express_the_call(opset, is_aligned, operator):
    model = paddle.roi_align.to_onnx((3, 2), 0.5, 2, is_aligned, opset=opset)
    assert operator in operators(model)
    want = paddle.roi_align(X, BOXES, COUNTS, (3, 2), 0.5, 2, is_aligned)
    assert_model_answers(model, {"x": X, "boxes": BOXES, "boxes_num": COUNTS}, want)


@pytest.mark.parametrize("opset", [10, 16])
def test_the_fluid_form_written_as_a_model(opset):
    want = paddle.fluid_roi_align(X, BOXES, 3, 2, 0.5, rois_num=COUNTS)
    model = paddle.fluid_roi_align.to_onnx(3, 2, 0.5, opset=opset)
    assert operators(model) >= {STANDARD}
    assert_model_answers(model, {"input": X, "rois": BOXES, "rois_num": COUNTS}, want)
    model = paddle.fluid_roi_align.to_onnx(3, 2, 0.5, opset=opset, grouped_by="lod")
    assert_model_answers(model, {"input": X, "rois": BOXES, "lod": np.asarray(LOD[0])}, want)


def test_a_model_without_boxes():
    model = paddle.roi_align.to_onnx((3, 2))
    feeds = {"x": X, "boxes": BOXES[:0], "boxes_num": np.int32([0, 0, 0])}
    assert_model_answers(model, feeds, np.zeros((0, 2, 3, 2), np.float32))


def test_counts_that_do_not_add_up_fail_in_the_model_too():
    feeds = {"x": X, "boxes": BOXES, "boxes_num": np.int32([1, 0, 2])}
    with pytest.raises(Exception, match="rois and batch_indices must have the same count, got 4 and 3"):
        run_model(paddle.roi_align.to_onnx(2), feeds, "native")


def test_an_unknown_grouping_is_refused():
    with pytest.raises(RoiAlignError, match="grouped_by must be 'rois_num' or 'lod', got 'image'"):
        paddle.fluid_roi_align.to_onnx(grouped_by="image")
