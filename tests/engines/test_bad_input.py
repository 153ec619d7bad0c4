"""Tests that every invalid call is refused in one line that names the input, the rule and the given value."""

from __future__ import annotations

import ml_dtypes
import naive
import numpy as np
import pytest
import tolerances
from spoiled import good_call, refused, rois_with

import onnx_roialign
from onnx_roialign import NativeLibraryError, RoiAlignError
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.engines import native

NAN, INF = np.nan, np.inf
OTHER_TYPES = "float64, float16 or bfloat16"
ENGINES = ("reference", "native")


def test_the_call_that_the_others_spoil_is_answered(public_roi_align):
    arrays = good_call()
    want = naive.roi_align(*arrays.values(), Attributes())
    Y = public_roi_align(*arrays.values())
    assert Y.dtype == np.float32
    np.testing.assert_allclose(Y, want, rtol=0, atol=tolerances.FLOAT32 * arrays["X"].max())


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((3, 4), np.float32), "X must have rank 4 (N, C, H, W), got shape (3, 4)"),
        (np.zeros((1, 1, 3, 4, 1), np.float32), "X must have rank 4 (N, C, H, W), got shape (1, 1, 3, 4, 1)"),
        (np.zeros((2, 3, 8, 9), np.int32), "X must be float32, float64, float16 or bfloat16, got int32"),
        (np.zeros((2, 3, 8, 9), np.complex64), "X must be float32, float64, float16 or bfloat16, got complex64"),
        (np.zeros((2, 3, 8, 9), np.longdouble), f"X must be float32, {OTHER_TYPES}, got {np.dtype(np.longdouble)}"),
        (np.zeros((2, 3, 8, 9), bool), f"X must be float32, {OTHER_TYPES}, got bool"),
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
        (np.zeros((2, 4), np.float32), "rois and batch_indices must have the same count, got 2 and 3"),
    ],
)
def test_rois_of_the_wrong_shape_type_or_count_are_refused(public_roi_align, rois, message):
    refused(public_roi_align, message, rois=rois)


@pytest.mark.parametrize(
    ("batch_indices", "message"),
    [
        (np.zeros((3, 1), np.int64), "batch_indices must have shape (num_rois,), got shape (3, 1)"),
        (np.zeros(3, bool), "batch_indices must be int64, got bool"),
        (np.zeros(3, np.float32), "batch_indices must be int64, got float32"),
        ([0.0, 0.0, 0.0], "batch_indices must be int64, got float64"),
        (np.uint64([0, 2**63, 0]), "batch_indices must fit into int64, got 9223372036854775808 at row 1"),
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
    rois, X = rois_with(0, 2, 1e300, np.float64), call["X"].astype(np.float64)
    Y = public_roi_align(X, rois, call["batch_indices"])
    others = public_roi_align(X, rois[1:], call["batch_indices"][1:])
    np.testing.assert_array_equal(Y[1:], others, strict=True)
    np.testing.assert_allclose(Y[0], 0, rtol=0, atol=1e-200)  # nearly all samples lie outside the map


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"output_height": 0, "spatial_scale": NAN, "mode": "x", "threads": -1},
            "output_height must be at least 1, got 0",
        ),
        ({"spatial_scale": NAN, "mode": "x"}, "spatial_scale must be finite and > 0, got nan"),
        ({"mode": "x", "threads": -1}, "mode must be 'avg' or 'max', got 'x'"),
        ({"threads": -1, "X": np.zeros(3)}, "threads must be in [0, 1024], got -1"),
        (
            {"X": np.zeros((2, 3, 0, 9), np.float32), "rois": np.zeros((3, 5), np.float32), "spatial_scale": 1e39},
            "rois must have shape (num_rois, 4), got shape (3, 5)",
        ),
        (
            {"X": np.zeros((2, 3, 0, 9), np.float32), "spatial_scale": 1e39},
            "spatial_scale must be finite and > 0 in float32, got 1e+39",
        ),
        (
            {"X": np.zeros((2, 3, 0, 9), np.float32), "batch_indices": [0, 9, 0]},
            "X must have H and W of at least 1, got shape (2, 3, 0, 9)",
        ),
        (
            {"batch_indices": [0, 0, 9], "rois": np.full((3, 4), NAN, np.float32)},
            "batch_indices must be in [0, 2), got 9 at row 2",
        ),
        (
            {"rois": np.float32([[0, 0, 3e38, 1], [NAN, 0, 1, 1], [0, 0, 1, 1]]), "spatial_scale": 1e10},
            "rois must stay finite when scaled by 1e+10, got 3.00000001e+38 at row 0, column 2 (x2)",
        ),
    ],
)
def test_of_two_faults_both_engines_name_the_same_one(public_roi_align, changes, message):
    refused(public_roi_align, message, **changes)


@pytest.mark.parametrize("size", [2**22 + 1, 2**31])
def test_a_map_whose_taps_could_not_be_counted_is_refused(public_roi_align, size):
    X = np.broadcast_to(np.float32(1), (1, 1, 1, size))
    message = f"X must have H and W of at most 4194304, got shape {X.shape}"
    refused(public_roi_align, message, X=X, rois=np.zeros((1, 4), np.float32), batch_indices=[0])


def test_an_output_that_cannot_be_addressed_or_held_is_refused(public_roi_align):
    X = np.broadcast_to(np.float32(1), (1, 2**40, 1, 1))
    call = {"X": X, "rois": np.zeros((1, 4), np.float32), "batch_indices": [0]}
    message = f"rois must leave an output that can be addressed, got 1 rois of {2**40} channels"
    refused(public_roi_align, message, **call, output_height=2**15, output_width=2**15)


def test_without_memory_for_the_answer_the_call_is_refused(public_roi_align, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    arrays = tuple(good_call().values())
    monkeypatch.setattr(np, "empty", no_memory)
    with pytest.raises(RoiAlignError, match=r"^rois must leave an output that fits into memory, got 3 rois of 3 chan"):
        public_roi_align(*arrays)


def test_what_loses_nothing_when_it_is_converted_is_converted(public_roi_align):
    call = good_call()
    X = np.random.default_rng(0).standard_normal(call["X"].shape).astype(np.float32)
    rois, indices = call["rois"], call["batch_indices"]
    want = public_roi_align(X, rois, indices)
    assert np.ptp(want) > 0
    big_endian = X.astype(">f4"), rois.astype(">f4"), indices.astype(">i8")
    unaligned = np.frombuffer(b"." + rois.tobytes(), np.float32, offset=1).reshape(rois.shape)
    for arrays in (
        big_endian,
        (X, rois.tolist(), indices.tolist()),
        (X, [[int(x) for x in row] for row in rois], tuple(indices)),
        (X, unaligned, indices),
        *((X, rois, indices.astype(kind)) for kind in (np.int8, np.uint8, np.int32, np.uint32, np.uint64, ">u2")),
    ):
        assert np.array_equal(public_roi_align(*arrays), want)
    assert public_roi_align(X, np.zeros((0, 4), np.float32), []).shape == (0, 3, 1, 1)


@pytest.mark.parametrize(
    ("dtype", "value", "text"),
    [(np.float32, 1e39, "1e+39"), (np.float16, 1e39, "1e+39"), (np.float32, -1e300, "-1e+300")],
)
def test_a_number_in_a_list_that_is_too_large_for_the_type_of_x_is_named(public_roi_align, dtype, value, text):
    rois = good_call()["rois"].tolist()
    rois[1][2] = value
    message = f"rois must be finite in float32, got {text} at row 1, column 2 (x2)"
    refused(public_roi_align, message, X=good_call()["X"].astype(dtype), rois=rois)


@pytest.mark.parametrize("name", ["X", "rois", "batch_indices"])
def test_lists_that_make_no_array_are_refused(public_roi_align, name):
    arrays = good_call() | {name: [[1, 2], [3]]}
    with pytest.raises(
        RoiAlignError, match=f"^{name} must be an array, got a value that NumPy cannot convert to one: .*inhomogeneous"
    ):
        public_roi_align(*arrays.values())


def test_lists_are_taken_for_the_arrays_that_numpy_makes_of_them(public_roi_align):
    X = [[[[1.0, 2.0], [3.0, 4.0]]]]
    assert public_roi_align(X, [[0.0, 0.0, 2.0, 2.0]], [0]).tolist() == [[[[2.5]]]]


def test_without_a_compiled_library_the_reference_works_and_native_says_what_to_install(monkeypatch):
    def missing():
        raise NativeLibraryError("the compiled library is missing: reinstall with a C++17 compiler")

    monkeypatch.setattr(native, "_library", missing)
    arrays = tuple(good_call().values())
    want = naive.roi_align(*arrays, Attributes())
    np.testing.assert_allclose(onnx_roialign.roi_align(*arrays, engine="reference"), want, rtol=1e-6, atol=0)
    with pytest.raises(NativeLibraryError, match="reinstall with a C"):
        onnx_roialign.roi_align(*arrays)
