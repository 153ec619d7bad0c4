"""Tests that frameworks.mindspore returns what MindSpore did, raises its TypeErrors, and exports a model."""

from __future__ import annotations

import re

import framework_calls
import numpy as np
import pytest
import tolerances
from framework_calls import (
    CALL_ENGINES,
    PRIVATE,
    ROIS,
    STANDARD,
    X,
    assert_model_answers,
    five_columns,
    kinds_of_cases,
    operators,
    size,
)
from installed_versions import newest_opset

from onnx_roialign import RoiAlignError
from onnx_roialign.frameworks import mindspore


def operator_of(case):
    return mindspore.ROIAlign(
        *size(case), case.arguments["spatial_scale"], case.arguments["sampling_ratio"], int(case.preset[-1])
    )


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_every_recorded_case_returns_mindspores_result(engine):
    framework_calls.assert_every_case_is_right(
        "mindspore", lambda case: operator_of(case)(case.X, five_columns(case), engine=engine)
    )


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_the_documented_example(engine):
    features = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], np.float32)
    rois = np.array([[0, 0.2, 0.3, 0.2, 0.3]], np.float32)
    output = mindspore.ROIAlign(2, 2, 0.5, 2)(features, rois, engine=engine)
    np.testing.assert_allclose(output, [[[[1.775, 2.025], [2.275, 2.525]]]], rtol=0, atol=2.5 * tolerances.FLOAT32)
    assert str(output.round(6)) == "[[[[1.775 2.025]\n   [2.275 2.525]]]]"


def test_the_signature_is_mindspores():
    assert framework_calls.own_arguments(mindspore.ROIAlign) == [
        "pooled_height", "pooled_width", "spatial_scale", ("sample_num", 2), ("roi_end_mode", 1),
    ]  # fmt: skip
    assert framework_calls.own_arguments(mindspore.ROIAlign(1, 1, 1.0)) == ["features", "rois"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"pooled_height": 2.0}, "pooled_height must be an int, got 2 of type float"),
        ({"pooled_width": "2"}, "pooled_width must be an int, got '2' of type str"),
        ({"pooled_width": True}, "pooled_width must be an int, got True of type bool"),
        ({"sample_num": 2.0}, "sample_num must be an int, got 2 of type float"),
        ({"roi_end_mode": None}, "roi_end_mode must be an int, got None of type NoneType"),
        ({"spatial_scale": 1}, "spatial_scale must be a float, got 1 of type int"),
        ({"spatial_scale": "1"}, "spatial_scale must be a float, got '1' of type str"),
    ],
)
def test_a_number_of_the_wrong_type_is_a_type_error(arguments, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        mindspore.ROIAlign(**{"pooled_height": 2, "pooled_width": 2, "spatial_scale": 1.0, **arguments})


@pytest.mark.parametrize(("features", "rois"), [(X.tolist(), ROIS), (X, ROIS.tolist()), (X, None)])
def test_an_argument_that_is_not_an_array_is_a_type_error(features, rois):
    with pytest.raises(TypeError, match=r"(features|rois) must be an array, got (list|NoneType)"):
        mindspore.ROIAlign(2, 2, 1.0)(features, rois)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((2, 2, 1.0, 2, 2), "roi_end_mode must be 0 or 1, got 2"),
        ((0, 2, 1.0), "output_height must be at least 1, got 0"),
        ((2, 2, 0.0), "spatial_scale must be finite and > 0, got 0"),
    ],
)
def test_an_invalid_value_is_named(arguments, text):
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        mindspore.ROIAlign(*arguments)


@pytest.mark.parametrize(
    ("features", "rois", "text"),
    [
        (X[0], ROIS, "features must have rank 4 (N, C, H, W), got shape (3, 12, 16)"),
        (X.astype(np.float64), ROIS, "features must be float32 or float16, got float64"),
        (X, ROIS[:, 1:], "rois must have shape (rois_n, 5), got shape (4, 4)"),
        (X, ROIS.astype(np.float16), "rois must have features' type float32, got float16"),
        (X, ROIS + np.float32([2, 0, 0, 0, 0]), "batch_indices must be in [0, 2), got 2 at row 0"),
        (X, np.float32([[np.inf, 0, 0, 1, 1]]), "rois must be finite, got inf at row 0, column 0 (image)"),
    ],
)
def test_an_invalid_array_is_named(features, rois, text):
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        mindspore.ROIAlign(2, 2, 1.0)(features, rois)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(("image", "nearest"), [(0.25, 0), (0.5, 1), (0.75, 1), (1.25, 1)])
def test_an_image_is_rounded_to_the_nearest_in_the_call_and_in_its_model(image, nearest, dtype):
    features, row = X.astype(dtype), np.array([[image, 1, 2, 9, 7]], dtype)
    operator = mindspore.ROIAlign(2, 2, 1.0)
    want = operator(features[nearest : nearest + 1], row * np.array([0, 1, 1, 1, 1], dtype))
    assert np.array_equal(operator(features, row), want)
    assert_model_answers(operator.to_onnx(dtype=dtype), {"features": features, "rois": row}, want)


@pytest.mark.parametrize("sample_num", [0, -3])
def test_a_bin_shorter_than_a_pixel_is_nan_on_an_adaptive_grid(sample_num):
    short = np.float32([[0, 1, 1, 2.5, 9]])
    assert np.isnan(mindspore.ROIAlign(2, 2, 0.5, sample_num)(X, short)).all()
    assert np.isfinite(mindspore.ROIAlign(2, 2, 0.5, 2)(X, short)).all()


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_float16(engine):
    Y = mindspore.ROIAlign(3, 2, 0.5)(X.astype(np.float16), ROIS.astype(np.float16), engine=engine)
    assert Y.dtype == np.float16
    np.testing.assert_allclose(Y, mindspore.ROIAlign(3, 2, 0.5)(X, ROIS), rtol=0, atol=5e-3)


@pytest.mark.parametrize("case", kinds_of_cases("mindspore"))
def test_a_call_written_as_a_model_returns_mindspores_result(case):
    model = operator_of(case).to_onnx()
    standard = case.preset == "mindspore_0" and case.arguments["sampling_ratio"] > 0
    assert (STANDARD if standard else PRIVATE) in operators(model)
    assert_model_answers(model, {"features": case.X, "rois": five_columns(case)}, case.Y)


@pytest.mark.parametrize("opset", [10, 11, 16, newest_opset()])
@pytest.mark.parametrize("mode", [0, 1])
def test_a_model_of_every_opset(opset, mode):
    pooler = mindspore.ROIAlign(3, 2, 0.5, 2, mode)
    model = pooler.to_onnx(opset)
    assert (PRIVATE if mode else STANDARD) in operators(model)
    assert_model_answers(model, {"features": X, "rois": ROIS}, pooler(X, ROIS))
