"""The judge: a right result passes, a wrong one fails with its place, and contested cases name the side."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from onnx import helper

from onnx_roialign.conformance.case import Case, Outcome, Tier, Tolerance
from onnx_roialign.conformance.comparing import judge_error, judge_outputs, unit
from onnx_roialign.conformance.result import Status

ANY = Tolerance(2.0, "two roundings")


def made(*outcomes, tier=Tier.SPEC, largest=1.0, dtype=np.float32, tolerance=ANY):
    """A case whose largest feature is `largest`; only its input X and its output's type are looked at."""
    X = np.full((1, 1, 1, 1), largest, dtype)
    kind = helper.np_dtype_to_tensor_dtype(X.dtype)
    value = helper.make_tensor_value_info("Y", kind, None)
    graph = helper.make_graph([], "g", [helper.make_tensor_value_info("X", kind, [1, 1, 1, 1])], [value])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)])
    return Case("made/case", "A clause.", tier, "a test", model, {"X": X}, outcomes, tolerance)


def expecting(*values, name="", dtype=np.float32):
    return Outcome({"Y": np.array(values, dtype)}, name)


def judged(case, *values, dtype=np.float32):
    return judge_outputs(case, {"Y": np.array(values, dtype)})


def test_the_tolerance_is_in_units_of_the_largest_feature_and_inclusive():
    ulp = 2.0**-23
    case = made(expecting(1.0, 0.0))
    assert judged(case, 1 + 2 * ulp, 0).status is Status.PASS
    assert judged(case, 1 + 2 * ulp, 0).ulps == 2.0
    assert judged(case, 1 + 3 * ulp, 0).status is Status.FAIL
    assert judged(case, 1.0, 3 * ulp).status is Status.FAIL
    assert judged(made(expecting(1.0, 0.0), largest=64.0), 1.0, 64 * 2 * ulp).status is Status.PASS


def test_a_wrong_value_has_its_place_and_the_number_of_others():
    result = judged(made(expecting(1.0, 2.0, 3.0)), 1.0, 2.5, 3.25)
    assert result.status is Status.FAIL
    assert result.text == ("Y must be 2 within 2 ULP of the largest feature, got 2.5 at (1,) (2 of 3 values wrong)")
    assert result.ulps == 0.5 * 2**23
    assert result.got["Y"].tolist() == [1.0, 2.5, 3.25]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_equals_only_itself(value):
    case = made(expecting(value, 1.0))
    assert judged(case, value, 1.0).status is Status.PASS
    for other in {np.nan, np.inf, -np.inf, 0.0} - {value}:
        if not (np.isnan(other) and np.isnan(value)):
            result = judged(case, other, 1.0)
            assert (result.status, result.ulps) == (Status.FAIL, None)
    assert judged(made(expecting(0.0, 1.0)), value, 1.0).status is Status.FAIL


def test_the_sign_of_zero_is_no_difference():
    assert judged(made(expecting(0.0)), -0.0).status is Status.PASS


@pytest.mark.parametrize(
    ("dtype", "ulp"),
    [(np.float64, 2.0**-52), (np.float32, 2.0**-23), (np.float16, 2.0**-10), (ml_dtypes.bfloat16, 2.0**-7)],
)
def test_the_unit_is_that_of_the_type(dtype, ulp):
    assert unit(np.dtype(dtype), 1.0) == ulp
    case = made(expecting(1.0, dtype=dtype), dtype=dtype)
    assert judged(case, 1 + 2 * ulp, dtype=dtype).status is Status.PASS
    assert judged(case, 1 + 4 * ulp, dtype=dtype).status is Status.FAIL


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_the_largest_number_of_a_type_has_a_unit(dtype):
    largest = ml_dtypes.finfo(dtype).max
    before = np.nextafter(largest, dtype(0))
    assert unit(np.dtype(dtype), float(largest)) == float(largest) - float(before) > 0


def test_outputs_without_elements_pass_by_their_shape():
    empty = Outcome({"Y": np.zeros((0, 3, 2, 2), np.float32)})
    assert judge_outputs(made(empty), {"Y": np.zeros((0, 3, 2, 2), np.float32)}).status is Status.PASS
    assert judge_outputs(made(empty), {"Y": np.zeros((0, 3, 2, 1), np.float32)}).status is Status.FAIL


def test_an_integer_output_must_be_equal():
    case = made(Outcome({"Y": np.array([3], np.int64)}))
    assert judge_outputs(case, {"Y": np.array([3], np.int64)}).status is Status.PASS
    assert judge_outputs(case, {"Y": np.array([6], np.int64)}).status is Status.FAIL


@pytest.mark.parametrize(
    ("got", "text"),
    [
        ({"Y": np.zeros(2, np.float64)}, "Y must be float32 (1,), got float64 (2,)"),
        ({"Y": np.zeros(1, np.float64)}, "Y must be of type float32, got float64"),
        ({"Y": np.zeros(2, np.float32)}, "Y must have the shape (1,), got (2,)"),
        ({"Z": np.zeros(1, np.float32)}, "outputs must be Y, got Z"),
        ({}, "outputs must be Y, got none"),
    ],
)
def test_another_type_shape_or_name_is_wrong(got, text):
    result = judge_outputs(made(expecting(0.0)), got)
    assert (result.status, result.text) == (Status.FAIL, text)


def test_outputs_fail_if_an_error_is_expected_and_vice_versa():
    result = judged(made(Outcome(None), tier=Tier.ROBUST), 1.0)
    assert (result.status, result.text) == (Status.FAIL, "the case must end in an error, got Y float32 (1,)")
    result = judge_error(made(expecting(1.0)), "no memory")
    assert (result.status, result.text) == (Status.FAIL, "no memory")


def test_an_error_must_mention_one_of_the_words():
    case = made(Outcome(None, "refused", ("batch_indices", "batch index")), tier=Tier.ROBUST)
    assert judge_error(case, "the Batch Index is 7").status is Status.PASS
    result = judge_error(case, "index 427 is out of bounds")
    assert result.status is Status.FAIL
    assert result.text == "the error must mention batch index or batch_indices, got 'index 427 is out of bounds'"


def test_a_robust_case_may_accept_an_error_or_a_result():
    case = made(expecting(0.0, name="zero"), Outcome(None, "refused"), tier=Tier.ROBUST)
    assert [judged(case, 0.0).side, judge_error(case, "no").side] == ["zero", "refused"]
    assert judged(case, 1.0).status is Status.FAIL


def test_a_contested_case_names_the_side_and_fails_for_none():
    case = made(expecting(0.0, name="A"), expecting(1.0, name="B"), Outcome(None, "C"), tier=Tier.CONTESTED)
    for result, side in ((judged(case, 0.0), "A"), (judged(case, 1.0), "B"), (judge_error(case, "no"), "C")):
        assert (result.status, result.side) == (Status.PASS, side)
    result = judged(case, 5.0)
    assert (result.status, result.side) == (Status.PASS, "")
    assert result.text.startswith("none of the sides (A, B, C): Y must be 1 within 2 ULP of the largest feature, got 5")


def test_the_side_of_a_case_with_one_outcome_is_empty():
    assert judged(made(expecting(0.0, name="ONNX")), 0.0).side == ""


def test_another_type_than_the_largest_features_is_compared_in_its_own():
    case = made(Outcome({"Y": np.array([1.0], np.float16)}), dtype=np.float32)
    assert judge_outputs(case, {"Y": np.array([1 + 2.0**-9], np.float16)}).status is Status.PASS
