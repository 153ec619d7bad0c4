"""The conformance suite passes on our backends, and the suite itself tells right from wrong."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest

from onnx_roialign.conformance.backends import Backend, Unsupported, all_backends
from onnx_roialign.conformance.cases import Case, literal_tolerance, onnx_cases
from onnx_roialign.conformance.known_failures import KnownFailure, known_failures
from onnx_roialign.conformance.report import exit_code, remarks, table
from onnx_roialign.conformance.runner import Status, compare, run
from onnx_roialign.engines.native import available_isas


@pytest.fixture(scope="module")
def cases():
    return onnx_cases()


@pytest.fixture(scope="module")
def results(cases):
    return run(cases, all_backends(), known_failures())


def made_case(expected, tolerance=1e-6, name="made/case"):
    return Case(
        name, "a case of these tests", onnx.ModelProto(), {}, {"Y": np.asarray(expected, np.float32)}, tolerance
    )


def returning(value, name="made", required=True):
    return Backend(name, lambda case: {"Y": np.asarray(value, np.float32)}, required)


def refusing(name="made", required=True):
    def answer(case):
        raise Unsupported("there is no kernel")

    return Backend(name, answer, required)


def test_onnx_publishes_three_vectors_and_each_is_asked_at_its_opset_and_at_16(cases):
    assert {case.id.partition("@")[0] for case in cases} == {
        "onnx/aligned_false",
        "onnx/aligned_true",
        "onnx/mode_max",
    }
    assert {case.id.partition("@")[2] for case in cases} >= {"16"}
    assert all(case.model.opset_import[0].version == int(case.id.partition("@")[2]) for case in cases)


def test_every_required_backend_passes_every_vector(results):
    required = [result for result in results if result.backend.required]
    assert [f"{r.backend.name}, {r.case.id}: {r.detail}" for r in required if r.status is not Status.PASS] == []
    assert exit_code(results) == 0


def test_the_required_backends_are_the_evaluator_every_instruction_set_and_the_python_op():
    required = [backend.name for backend in all_backends() if backend.required]
    assert required == ["evaluator", *(f"native {isa}" for isa in available_isas()), "Python op"]


def test_the_builtin_kernel_passes_at_opset_16_where_it_exists(results):
    at_16 = [r for r in results if r.backend.name == "builtin" and r.case.id.endswith("@16")]
    assert [r.status for r in at_16] == [Status.PASS] * 3


def test_the_table_has_a_row_per_case_and_a_column_per_backend(results, cases):
    made = table(results)
    assert made.row_count == len(cases)
    assert [column.header for column in made.columns] == ["case", *(backend.name for backend in all_backends())]


def test_a_value_off_by_twice_the_tolerance_fails_and_says_where(cases):
    case = cases[0]
    (name,) = case.expected
    wrong = case.expected[name].copy()
    wrong[1, 0, 2, 3] += 2 * case.tolerance
    backend = Backend("off", lambda case: {name: wrong}, True)
    (result,) = run([case], [backend])
    assert result.status is Status.FAIL
    assert "at (1, 0, 2, 3) (1 of 75 values wrong)" in result.detail
    assert exit_code([result]) == 1


@pytest.mark.parametrize(
    ("got", "message"),
    [
        (np.float32([1, 2, 3]), r"Y must be float32 \(2,\), got float32 \(3,\)"),
        (np.float64([1, 2]), r"Y must be float32 \(2,\), got float64 \(2,\)"),
        (np.float32([1, np.nan]), r"Y must be 2 within 1e-06, got nan at \(1,\)"),
        (np.float32([1, np.inf]), r"Y must be 2 within 1e-06, got inf at \(1,\)"),
    ],
)
def test_an_answer_of_another_shape_or_type_or_with_a_nan_is_wrong(got, message):
    assert re.match(message, compare({"Y": got}, made_case([1, 2])))


def test_a_nan_is_right_where_a_nan_is_expected_and_only_there():
    assert compare({"Y": np.float32([np.nan, 1])}, made_case([np.nan, 1])) is None
    assert compare({"Y": np.float32([0, 1])}, made_case([np.nan, 1])) is not None


def test_a_missing_output_is_wrong():
    assert compare({}, made_case([1])) == "outputs must be ['Y'], got []"


def test_an_unsupported_case_is_not_a_pass():
    (result,) = run([made_case([1])], [refusing()])
    assert result.status is Status.UNSUPPORTED
    assert result.detail == "there is no kernel"
    assert exit_code([result]) == 1


def test_a_required_failure_that_is_declared_as_known_still_fails_the_suite():
    known = [KnownFailure("made", "made/case", "because")]
    results = run([made_case([1])], [refusing()], known)
    assert (results[0].status, results[0].known, results[0].detail) == (Status.UNSUPPORTED, True, "because")
    assert exit_code(results) == 1


def test_a_backend_that_is_only_looked_at_does_not_fail_the_suite():
    results = run([made_case([1])], [returning([1]), returning([2], "other", required=False)])
    assert [result.status for result in results] == [Status.PASS, Status.FAIL]
    assert exit_code(results) == 0


def test_a_known_failure_that_passes_is_reported():
    known = [KnownFailure("made", "made/case", "because")]
    results = run([made_case([1])], [returning([1], required=False)], known)
    assert results[0].status is Status.UNEXPECTED_PASS
    assert list(remarks(results, known)) == ["made, made/case: unexpected pass: no longer true: because"]


def test_a_known_failure_of_a_case_that_no_longer_exists_is_reported():
    known = [KnownFailure("made", "made/gone", "because")]
    results = run([made_case([1])], [returning([1])], known)
    expected = "made, made/gone: declared as a known failure, but no such case ran: because"
    assert list(remarks(results, known)) == [expected]


def test_a_backend_that_raises_anything_fails_the_case_and_not_the_suite():
    def answer(case):
        raise MemoryError("no\nroom")

    results = run([made_case([1])], [Backend("made", answer, True), returning([1], "other")])
    assert [result.status for result in results] == [Status.FAIL, Status.PASS]
    assert results[0].detail == "MemoryError: no room"


def test_nothing_that_ran_is_not_a_success():
    assert exit_code([]) == 1
    assert exit_code(run([made_case([1])], [returning([1], required=False)])) == 1


def test_two_cases_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"case names must be unique, got \['made/case'\] more than once"):
        run([made_case([1]), made_case([2])], [returning([1])])


def test_the_tolerance_is_half_a_unit_of_the_last_printed_decimal():
    X = np.float32([0.0])
    assert literal_tolerance(np.float32([0.25, 1.1234]), X, X_was_rounded_too=False) == pytest.approx(5e-5)
    assert literal_tolerance(np.float32([0.5]), np.float32([0.125]), X_was_rounded_too=True) == pytest.approx(
        0.05 + 0.0005 + 2.5e-7
    )


def test_no_tolerance_is_looser_than_the_literals_force_it_to_be(cases):
    """The one vector with a wider tolerance needs it: ONNX's own evaluator is off by more than a literal's rounding."""
    (wide,) = {case.id.partition("@")[0] for case in cases if case.tolerance > 6e-5}
    assert wide == "onnx/aligned_false"
    case = next(case for case in cases if case.id == "onnx/aligned_false@16")
    (got,) = onnx.reference.ReferenceEvaluator(case.model).run(None, dict(case.inputs))
    (want,) = case.expected.values()
    assert np.count_nonzero(np.abs(got - want) > 6e-5) > 0


def test_the_module_prints_the_table_and_exits_0(monkeypatch, capsys, cases):
    from onnx_roialign.conformance import __main__ as command

    monkeypatch.setattr("onnx_roialign.conformance.cases.onnx_cases", lambda: cases)
    monkeypatch.setenv("COLUMNS", "160")
    assert command.main() == 0
    printed = capsys.readouterr().out
    assert "RoiAlign conformance" in printed
    assert "onnx/mode_max@16" in printed


def test_the_module_exits_1_where_a_backend_is_wrong(monkeypatch, capsys, cases):
    from onnx_roialign.conformance import __main__ as command

    monkeypatch.setattr("onnx_roialign.conformance.cases.onnx_cases", lambda: cases)
    monkeypatch.setattr("onnx_roialign.conformance.backends.all_backends", lambda: (refusing("evaluator"),))
    assert command.main() == 1
    assert "unsupported: there is no kernel" in capsys.readouterr().out.replace("\n", " ")
