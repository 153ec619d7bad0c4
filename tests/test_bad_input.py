"""Every call that cannot be answered is refused, in one line that names the input, the rule and what was given."""

from __future__ import annotations

import re

import ml_dtypes
import numpy as np
import pytest

import onnx_roialign
from onnx_roialign import NativeLibraryError, RoiAlignError, native
from onnx_roialign.attributes import Attributes

NAN, INF = np.nan, np.inf


def good_call():
    return {
        "X": np.zeros((2, 3, 8, 9), np.float32),
        "rois": np.float32([[0, 0, 4, 4], [1, 1, 5, 5], [2, 2, 6, 6]]),
        "batch_indices": np.array([0, 1, 0]),
    }


def refused(roi_align, message, **changes):
    call = {**good_call(), **changes}
    arrays = [call.pop(name) for name in ("X", "rois", "batch_indices")]
    with pytest.raises(RoiAlignError, match=f"^{re.escape(message)}$"):
        roi_align(*arrays, **call)


def rois_with(row, column, value, dtype=np.float32):
    rois = good_call()["rois"].astype(dtype)
    rois[row, column] = value
    return rois


def test_the_call_that_the_others_spoil_is_answered(public_roi_align):
    arrays = good_call()
    assert public_roi_align(*arrays.values()).shape == (3, 3, 1, 1)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((3, 4), np.float32), "X must have rank 4 (N, C, H, W), got shape (3, 4)"),
        (np.zeros((1, 1, 3, 4, 1), np.float32), "X must have rank 4 (N, C, H, W), got shape (1, 1, 3, 4, 1)"),
        (np.zeros((2, 3, 8, 9), np.int32), "X must be float32, float64, float16 or bfloat16, got int32"),
        (np.zeros((2, 3, 8, 9), np.complex64), "X must be float32, float64, float16 or bfloat16, got complex64"),
        (np.zeros((2, 3, 8, 9), ">f4"), "X must be float32, float64, float16 or bfloat16, got >f4"),
        (np.zeros((2, 3, 0, 9), np.float32), "X must have H and W of at least 1, got shape (2, 3, 0, 9)"),
        (np.zeros((2, 3, 8, 0), np.float32), "X must have H and W of at least 1, got shape (2, 3, 8, 0)"),
    ],
)
def test_feature_maps_of_the_wrong_rank_type_or_size_are_refused(public_roi_align, X, message):
    refused(public_roi_align, message, X=X)


@pytest.mark.parametrize(
    ("rois", "message"),
    [
        (np.zeros((2, 5), np.float32), "rois must have shape (num_rois, 4), got shape (2, 5)"),
        (np.zeros(4, np.float32), "rois must have shape (num_rois, 4), got shape (4,)"),
        (np.zeros((3, 4), np.int64), "rois must be float32, float64, float16 or bfloat16, got int64"),
        (np.zeros((3, 4), ">f4"), "rois must be float32, float64, float16 or bfloat16, got >f4"),
        (np.zeros((2, 4), np.float32), "rois and batch_indices must have the same count, got 2 and 3"),
    ],
)
def test_rois_of_the_wrong_shape_type_or_count_are_refused(public_roi_align, rois, message):
    refused(public_roi_align, message, rois=rois)


@pytest.mark.parametrize(
    ("batch_indices", "message"),
    [
        (np.zeros((3, 1), np.int64), "batch_indices must have shape (num_rois,), got shape (3, 1)"),
        (np.zeros(3, np.int32), "batch_indices must be int64, got int32"),
        (np.zeros(3, np.float32), "batch_indices must be int64, got float32"),
        (np.zeros(5, np.int64), "rois and batch_indices must have the same count, got 3 and 5"),
        (np.array([0, 1, 2]), "batch_indices must be in [0, 2), got 2 at row 2"),
        (np.array([0, -1, 9]), "batch_indices must be in [0, 2), got -1 at row 1"),
        (np.array([2**62, 0, 0]), "batch_indices must be in [0, 2), got 4611686018427387904 at row 0"),
    ],
)
def test_batch_indices_of_the_wrong_shape_type_or_value_are_refused(public_roi_align, batch_indices, message):
    refused(public_roi_align, message, batch_indices=batch_indices)


def test_there_is_no_image_for_a_roi_where_there_are_none(public_roi_align):
    refused(public_roi_align, "batch_indices must be in [0, 0), got 0 at row 0", X=np.zeros((0, 3, 8, 9), np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize(("value", "text"), [(NAN, "nan"), (INF, "inf"), (-INF, "-inf")])
@pytest.mark.parametrize(("row", "column", "name"), [(0, 0, "x1"), (2, 1, "y1"), (1, 2, "x2"), (2, 3, "y2")])
def test_a_coordinate_that_is_not_finite_names_its_row_and_column(
    public_roi_align, dtype, value, text, row, column, name
):
    refused(
        public_roi_align,
        f"rois must be finite, got {text} at row {row}, column {column} ({name})",
        X=good_call()["X"].astype(dtype),
        rois=rois_with(row, column, value, dtype),
    )


def test_the_first_of_many_bad_coordinates_is_named(public_roi_align):
    rois = np.full((3, 4), NAN, np.float32)
    rois[0, :3] = 1
    refused(public_roi_align, "rois must be finite, got nan at row 0, column 3 (y2)", rois=rois)


@pytest.mark.parametrize(
    ("column", "name", "value"), [(0, "x1", -3e38), (1, "y1", 3e38), (2, "x2", 3e38), (3, "y2", -3e38)]
)
def test_a_coordinate_that_overflows_when_scaled_names_its_row_and_column(public_roi_align, column, name, value):
    refused(
        public_roi_align,
        f"rois must stay finite when scaled by 1e+10, got {np.float32(value):.9g} at row 1, column {column} ({name})",
        rois=rois_with(1, column, value),
        spatial_scale=1e10,
    )


def test_a_width_that_overflows_is_blamed_on_its_end(public_roi_align):
    rois = np.float32([[0, 0, 4, 4], [0, -3e38, 4, 3e38], [0, 0, 4, 4]])
    message = f"rois must stay finite when scaled by 1, got {np.float32(3e38):.9g} at row 1, column 3 (y2)"
    refused(public_roi_align, message, rois=rois)


def test_a_float64_coordinate_is_as_large_as_float64_holds(public_roi_align):
    call = good_call()
    rois = rois_with(0, 2, 1e300, np.float64)
    assert public_roi_align(call["X"].astype(np.float64), rois, call["batch_indices"]).shape == (3, 3, 1, 1)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("mode", "foo", "mode must be 'avg' or 'max', got 'foo'"),
        ("mode", 1, "mode must be 'avg' or 'max', got 1"),
        (
            "coordinate_transformation_mode",
            "asymmetric",
            "coordinate_transformation_mode must be 'half_pixel' or 'output_half_pixel', got 'asymmetric'",
        ),
        ("sampling_ratio", -1, "sampling_ratio must be in [0, 16384], got -1"),
        ("sampling_ratio", 16385, "sampling_ratio must be in [0, 16384], got 16385"),
        ("sampling_ratio", 2.0, "sampling_ratio must be an integer, got a float"),
        ("sampling_ratio", np.float32(2), "sampling_ratio must be an integer, got a float"),
        ("output_height", 0, "output_height must be at least 1, got 0"),
        ("output_width", -3, "output_width must be at least 1, got -3"),
        ("output_width", "7", "output_width must be an integer, got a str"),
        ("output_height", np.zeros(2), "output_height must be an integer, got a ndarray"),
        ("spatial_scale", -1, "spatial_scale must be finite and > 0, got -1"),
        ("spatial_scale", 0.0, "spatial_scale must be finite and > 0, got 0"),
        ("spatial_scale", NAN, "spatial_scale must be finite and > 0, got nan"),
        ("spatial_scale", INF, "spatial_scale must be finite and > 0, got inf"),
        ("spatial_scale", "1", "spatial_scale must be a number, got a str"),
    ],
)
def test_an_attribute_of_the_wrong_type_or_out_of_range_is_refused(public_roi_align, attribute, value, message):
    refused(public_roi_align, message, **{attribute: value})


def test_an_unknown_preset_is_refused(public_roi_align):
    names = ", ".join(onnx_roialign.PRESETS)
    refused(public_roi_align, f"semantics must be a Semantics or one of {names}, got 'caffe'", semantics="caffe")


def test_attributes_take_a_semantics_and_not_its_name():
    with pytest.raises(RoiAlignError, match=r"^semantics must be a Semantics, got a str$"):
        Attributes(semantics="torchvision_aligned")


def test_a_coordinate_mode_and_semantics_exclude_each_other(public_roi_align):
    refused(
        public_roi_align,
        "coordinate_transformation_mode must not be given together with semantics, "
        "got 'output_half_pixel' and 'mmcv_aligned'",
        coordinate_transformation_mode="output_half_pixel",
        semantics="mmcv_aligned",
    )


def test_semantics_replaces_the_coordinate_mode(public_roi_align):
    call = good_call()
    X = np.random.default_rng(0).standard_normal(call["X"].shape).astype(np.float32)
    arrays = X, call["rois"], call["batch_indices"]
    by_mode = public_roi_align(*arrays, coordinate_transformation_mode="output_half_pixel")
    assert np.array_equal(public_roi_align(*arrays, semantics="onnx_output_half_pixel"), by_mode)
    assert np.array_equal(public_roi_align(*arrays, semantics=onnx_roialign.PRESETS["torchvision_legacy"]), by_mode)
    assert not np.array_equal(public_roi_align(*arrays), by_mode)


def test_lists_are_taken_for_the_arrays_that_numpy_makes_of_them(public_roi_align):
    X = [[[[1.0, 2.0], [3.0, 4.0]]]]
    assert public_roi_align(X, [[0.0, 0.0, 2.0, 2.0]], [0]).tolist() == [[[[2.5]]]]


def test_an_unknown_engine_is_refused():
    arrays = good_call().values()
    with pytest.raises(RoiAlignError, match=r"^engine must be 'native' or 'reference', got 'cuda'$"):
        onnx_roialign.roi_align(*arrays, engine="cuda")


def test_fewer_than_one_thread_is_refused():
    arrays = good_call().values()
    with pytest.raises(RoiAlignError, match=r"^threads must be at least 1, got 0$"):
        onnx_roialign.roi_align(*arrays, threads=0)


def test_without_a_compiled_library_the_reference_works_and_native_says_what_to_install(monkeypatch):
    def missing():
        raise NativeLibraryError("the compiled library is missing: reinstall with a C++17 compiler")

    monkeypatch.setattr(native, "_library", missing)
    arrays = tuple(good_call().values())
    assert onnx_roialign.roi_align(*arrays, engine="reference").shape == (3, 3, 1, 1)
    with pytest.raises(NativeLibraryError, match="reinstall with a C"):
        onnx_roialign.roi_align(*arrays)
