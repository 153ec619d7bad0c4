"""Tests that frameworks.torchvision returns what torchvision did, accepts the same arguments, and exports a model."""

from __future__ import annotations

import re

import framework_calls
import numpy as np
import pytest
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

from onnx_roialign import RoiAlignError, roi_align
from onnx_roialign.frameworks import torchvision


def call_of(case):
    aligned = case.preset == "torchvision_aligned"
    return size(case), case.arguments["spatial_scale"], case.arguments["sampling_ratio"], aligned


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_every_recorded_case_returns_torchvisions_result(engine):
    framework_calls.assert_every_case_is_right(
        "torchvision", lambda case: torchvision.roi_align(case.X, five_columns(case), *call_of(case), engine=engine)
    )


def test_the_signatures_are_torchvisions():
    assert framework_calls.own_arguments(torchvision.roi_align) == [
        "input", "boxes", "output_size", ("spatial_scale", 1.0), ("sampling_ratio", -1), ("aligned", False),
    ]  # fmt: skip
    assert framework_calls.own_arguments(torchvision.RoIAlign) == [
        "output_size", "spatial_scale", "sampling_ratio", ("aligned", False),
    ]  # fmt: skip
    assert framework_calls.own_arguments(torchvision.MultiScaleRoIAlign) == [
        "featmap_names", "output_size", "sampling_ratio", ("canonical_scale", 224), ("canonical_level", 4),
    ]  # fmt: skip


def test_the_function_keeps_its_documentation():
    assert torchvision.roi_align.__name__ == "roi_align"
    assert "torchvision.ops.roi_align" in torchvision.roi_align.__doc__
    assert repr(torchvision.roi_align) == "<function onnx_roialign.frameworks.torchvision.roi_align with to_onnx>"


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_boxes_are_rows_with_an_image_or_one_matrix_per_image(engine):
    order = np.argsort(ROIS[:, 0], kind="stable")
    rows = torchvision.roi_align(X, ROIS[order], (3, 2), 0.5, engine=engine)
    apart = [ROIS[ROIS[:, 0] == image, 1:] for image in (0, 1)]
    assert np.array_equal(torchvision.roi_align(X, apart, (3, 2), 0.5, engine=engine), rows)
    assert np.array_equal(torchvision.roi_align(X, tuple(apart), (3, 2), 0.5, engine=engine), rows)
    assert rows.shape == (4, 3, 3, 2)


def test_an_image_may_have_no_boxes():
    apart = [np.zeros((0, 4), np.float32), ROIS[:2, 1:]]
    want = torchvision.roi_align(X, np.column_stack([[1, 1], ROIS[:2, 1:]]).astype(np.float32), 2)
    assert np.array_equal(torchvision.roi_align(X, apart, 2), want)
    assert torchvision.roi_align(X, np.zeros((0, 5), np.float32), 2).shape == (0, 3, 2, 2)
    assert torchvision.roi_align(X, apart[:1], 2).shape == (0, 3, 2, 2)


@pytest.mark.parametrize("output_size", [3, np.int64(3), (3, 3), [3, 3]])
def test_output_size_is_a_number_or_a_pair(output_size):
    want = roi_align(
        X, ROIS[:, 1:], ROIS[:, 0].astype(int), output_height=3, output_width=3, semantics="torchvision_legacy"
    )
    assert np.array_equal(torchvision.roi_align(X, ROIS, output_size), want)


@pytest.mark.parametrize("sampling_ratio", [0, -1, -7])
def test_a_sampling_ratio_of_0_or_less_is_adaptive(sampling_ratio):
    want = torchvision.roi_align(X, ROIS, 3, 0.5)
    assert np.array_equal(torchvision.roi_align(X, ROIS, 3, 0.5, sampling_ratio), want)
    assert not np.array_equal(torchvision.roi_align(X, ROIS, 3, 0.5, 2), want)


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_other_float_types(dtype, engine):
    Y = torchvision.roi_align(X.astype(dtype), ROIS.astype(dtype), (3, 2), 0.5, aligned=True, engine=engine)
    assert Y.dtype == dtype
    want = torchvision.roi_align(X, ROIS, (3, 2), 0.5, aligned=True)
    np.testing.assert_allclose(Y, want, rtol=0, atol=5e-3 if dtype == "float16" else 1e-5)


def test_an_image_index_is_truncated_to_an_integer():
    rows = ROIS + np.float32([0.75, 0, 0, 0, 0])
    assert np.array_equal(torchvision.roi_align(X, rows, 2), torchvision.roi_align(X, ROIS, 2))


def test_the_class_is_the_function_with_stored_arguments():
    pooler = torchvision.RoIAlign((3, 2), 0.5, 2, aligned=True)
    assert np.array_equal(pooler(X, ROIS), torchvision.roi_align(X, ROIS, (3, 2), 0.5, 2, True))
    assert repr(pooler) == "RoIAlign(output_size=(3, 2), spatial_scale=0.5, sampling_ratio=2, aligned=True)"


BAD = [
    ({"input": X[0]}, "input must have rank 4 (N, C, H, W), got shape (3, 12, 16)"),
    ({"input": X.astype(int)}, "input must be float32 or float64 or float16, got int64"),
    ({"boxes": ROIS[:, 1:]}, "boxes must have shape (K, 5), got shape (4, 4)"),
    ({"boxes": ROIS.astype(np.float64)}, "boxes must have input's type float32, got float64"),
    ({"boxes": [ROIS[:, 1:], ROIS]}, "boxes[1] must have shape (L, 4), got shape (4, 5)"),
    ({"boxes": []}, "boxes must be (K, 5) or one (L, 4) per image, got an empty list"),
    ({"boxes": [ROIS[:1, 1:]] * 3}, "batch_indices must be in [0, 2), got 2 at row 2"),
    ({"boxes": np.float32([[np.nan, 0, 0, 1, 1]])}, "boxes must be finite, got nan at row 0, column 0 (image)"),
    ({"boxes": np.float32([[1e30, 0, 0, 1, 1]])}, "batch_indices must be in [0, 2), got 4611686018427387904"),
    ({"boxes": np.float32([[0, 0, np.nan, 1, 1]])}, "rois must be finite, got nan at row 0, column 1 (y1)"),
    ({"output_size": (1, 2, 3)}, "output_size must be an integer or a pair (height, width), got (1, 2, 3)"),
    ({"output_size": 2.5}, "output_size must be an integer or a pair (height, width), got 2.5"),
    ({"output_size": 0}, "output_height must be at least 1, got 0"),
    ({"sampling_ratio": 1.5}, "sampling_ratio must be an integer, got a float"),
    ({"spatial_scale": 0.0}, "spatial_scale must be finite and > 0, got 0"),
    ({"engine": "torch"}, "engine must be one of native, reference, got 'torch'"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
def test_an_invalid_argument_is_named(arguments, text):
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        torchvision.roi_align(**{"input": X, "boxes": ROIS, "output_size": 2, **arguments})


@pytest.mark.parametrize("case", kinds_of_cases("torchvision"))
def test_a_call_written_as_a_model_returns_torchvisions_result(case):
    model = torchvision.roi_align.to_onnx(*call_of(case))
    assert operators(model) >= {STANDARD}
    assert_model_answers(model, {"input": case.X, "boxes": five_columns(case)}, case.Y)


@pytest.mark.parametrize(
    ("opset", "aligned", "operator"),
    [
        (10, False, STANDARD),
        (11, False, STANDARD),
        (15, True, PRIVATE),
        (16, True, STANDARD),
        (16, False, STANDARD),
        (newest_opset(), True, STANDARD),
    ],
)
def test_a_model_has_onnxs_own_roi_align_if_its_opset_can_express_the_call(opset, aligned, operator):
    model = torchvision.roi_align.to_onnx((3, 2), 0.5, -1, aligned, opset=opset)
    assert operator in operators(model)
    assert model.opset_import[0].version == opset
    want = torchvision.roi_align(X, ROIS, (3, 2), 0.5, aligned=aligned)
    assert_model_answers(model, {"input": X, "boxes": ROIS}, want)


@pytest.mark.parametrize("opset", [10, 16])
def test_a_model_accepts_one_matrix_per_image(opset):
    model = torchvision.RoIAlign((3, 2), 0.5, 2).to_onnx(opset, images=2)
    apart = [ROIS[ROIS[:, 0] == image, 1:] for image in (0, 1)]
    feeds = {"input": X, "boxes_0": apart[0], "boxes_1": apart[1]}
    assert_model_answers(model, feeds, torchvision.roi_align(X, apart, (3, 2), 0.5, 2))


def test_a_model_of_float64():
    model = torchvision.RoIAlign((3, 2), 0.5, 2, True).to_onnx(dtype=np.float64)
    feeds = {"input": X.astype(np.float64), "boxes": ROIS.astype(np.float64)}
    assert_model_answers(model, feeds, torchvision.roi_align(*feeds.values(), (3, 2), 0.5, 2, True))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"opset": 9}, "opset must be in [10, "),
        ({"opset": 1000}, "got 1000"),
        ({"dtype": "int32"}, "dtype must be float32 or float64 or float16, got int32"),
        ({"images": 0}, "images must be in [1, 65536], got 0"),
    ],
)
def test_an_invalid_model_is_refused(arguments, text):
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        torchvision.roi_align.to_onnx(2, **arguments)
