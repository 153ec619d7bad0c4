"""Tests cases as folders: this suite and onnx read them back, and a runtime's outputs are scored."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner
from planted_backends import Right

from onnx_roialign import RoiAlignError
from onnx_roialign.conformance import layout
from onnx_roialign.conformance.case import Tier
from onnx_roialign.conformance.cases import all_cases
from onnx_roialign.conformance.result import Status


@pytest.fixture(scope="module")
def cases():
    return all_cases()


@pytest.fixture(scope="module")
def exported(cases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "cases"
    layout.export_cases("--export", folder, cases)
    return folder


def same_arrays(a, b):
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].shape == b[name].shape
        assert a[name].tobytes() == b[name].tobytes()  # NaN and the sign of zero, too


def test_every_case_has_its_own_folder(cases):
    names = [layout.folder_name(case) for case in cases]
    assert len(set(names)) == len(names)


def test_what_is_written_is_read_back(cases, exported):
    read = {case.id: case for case in layout.read_cases(exported)}
    assert sorted(read) == sorted(case.id for case in cases)
    for case in cases:
        again = read[case.id]
        for name in ("clause", "tier", "source", "tolerance", "requires", "opset", "dtype", "scale"):
            assert getattr(again, name) == getattr(case, name), name
        assert again.model.SerializeToString() == case.model.SerializeToString()
        same_arrays(dict(again.inputs), {name: case.inputs[name] for name in again.inputs})
        assert set(again.inputs) == set(case.inputs)
        assert [(o.name, o.mentions) for o in again.outcomes] == [(o.name, o.mentions) for o in case.outcomes]
        for mine, theirs in zip(again.outcomes, case.outcomes, strict=True):
            assert (mine.outputs is None) == (theirs.outputs is None)
            if theirs.outputs is not None:
                assert set(mine.outputs) == set(theirs.outputs)
                same_arrays(dict(mine.outputs), {name: theirs.outputs[name] for name in mine.outputs})


def test_there_are_cases_of_every_type_and_without_elements(cases):
    """Tests that the cases of the test above hold values that are easily lost on the way."""
    arrays = [array for case in cases for array in case.inputs.values()]
    assert {"float16", "bfloat16", "float32", "float64"} <= {str(array.dtype) for array in arrays}
    assert any(array.size == 0 for array in arrays)
    assert any(np.isnan(array.astype(np.float64)).any() for array in arrays)
    assert any(np.isinf(array.astype(np.float64)).any() for array in arrays)


def test_the_index_lists_every_case_with_its_folder(cases, exported):
    index = json.loads((exported / "index.json").read_text())
    assert [entry["id"] for entry in index["cases"]] == [case.id for case in cases]
    assert all((exported / entry["folder"] / "model.onnx").is_file() for entry in index["cases"])


def test_onnx_reads_the_folder_as_its_own(cases, exported):
    for tier in Tier:
        loaded = load_model_tests(str(exported), tier.value)
        assert len(loaded) == sum(case.tier is tier for case in cases)
        assert all(test.name.startswith("test_") and test.rtol == 0 for test in loaded)


def test_onnx_runs_the_folder_with_its_own_runner(cases, exported, monkeypatch):
    """onnx's runner reads its own folders when it is built: its tests are replaced by these."""
    monkeypatch.setattr("onnx.backend.test.runner.load_model_tests", lambda kind: [])
    runner = Runner(Right)
    chosen = {layout.folder_name(case).partition("/")[2] for case in cases if case.id.startswith("onnx/")}
    wrong = {layout.folder_name(case).partition("/")[2] for case in cases if case.id == "attributes/all-omitted@10"}
    for test in load_model_tests(str(exported), "spec"):
        if test.name in chosen | wrong:
            runner._add_model_test(test, "Spec")
    suite = runner.tests
    tests = {name[:-4]: getattr(suite, name) for name in dir(suite) if name.startswith("test_") and name[-4:] == "_cpu"}
    assert set(tests) == chosen | wrong
    for name in chosen:
        tests[name](None)
    (name,) = wrong
    with pytest.raises(AssertionError):  # onnx.reference's own defaults at opset 10
        tests[name](None)


def test_a_case_for_a_worker_has_no_expected_outputs(cases, tmp_path):
    layout.write_question(tmp_path / "case", cases[0])
    names = sorted(path.name for path in (tmp_path / "case").rglob("*") if path.is_file())
    assert names == ["input_0.pb", "input_1.pb", "input_2.pb", "model.onnx"]


def test_a_folder_with_content_is_not_written_to(cases, exported):
    with pytest.raises(RoiAlignError, match="--export must be a new or empty folder, got "):
        layout.export_cases("--export", exported, cases[:1])
    file = exported / "index.json"
    with pytest.raises(RoiAlignError, match="--export must be a folder to write to, got "):
        layout.export_cases("--export", file, cases[:1])


def test_a_damaged_case_is_named(cases, tmp_path):
    layout.write_case(tmp_path / "one", cases[0])
    (tmp_path / "one" / "test_data_set_0" / "input_1.pb").write_bytes(b"\xff\xff")
    with pytest.raises(RoiAlignError, match=r"--cases must hold cases, got '.*one' \(DecodeError"):
        layout.read_cases(tmp_path)
    with pytest.raises(RoiAlignError, match=r"--cases must be a folder with case\.json files, got "):
        layout.read_cases(tmp_path / "none")


@pytest.fixture
def replayed(cases, tmp_path):
    """A few exported cases with a runtime's outputs: right, wrong, an error, unsupported, damaged and missing."""
    chosen = [case for case in cases if case.tier is Tier.SPEC][:6]
    layout.export_cases("--export", tmp_path / "cases", chosen)
    data = [tmp_path / "cases" / layout.folder_name(case) / "test_data_set_0" for case in chosen]
    shutil.copy(data[0] / "output_0.pb", data[0] / "got_0.pb")
    value = onnx.load_tensor(data[1] / "output_0.pb")
    onnx.save_tensor(numpy_helper.from_array(numpy_helper.to_array(value) + 1, value.name), data[1] / "got_0.pb")
    (data[2] / "error.txt").write_text("no\nmemory\n")
    (data[3] / "unsupported.txt").write_text("no kernel\n")
    (data[4] / "got_0.pb").write_bytes(b"\xff")
    return tmp_path / "cases", chosen


def test_outputs_that_a_runtime_wrote_are_scored(replayed):
    folder, chosen = replayed
    results = layout.import_results(folder, chosen)
    statuses = [Status.PASS, Status.FAIL, Status.FAIL, Status.UNSUPPORTED, Status.FAIL, Status.FAIL]
    assert [result.status for result in results] == statuses
    assert results[2].text == "no memory"
    assert results[3].text == "no kernel"
    assert results[4].text.startswith("got_0.pb must be a TensorProto, got DecodeError")
    assert results[5].text == "no result: neither got_0.pb nor error.txt nor unsupported.txt"


def test_a_folder_without_any_result_is_an_error_and_no_pass(cases, exported):
    with pytest.raises(RoiAlignError, match=r"--import must be a folder with results, got_0\.pb, error\.txt or"):
        layout.import_results(exported, cases)
    with pytest.raises(RoiAlignError, match="--import must be a folder that --export wrote, got "):
        layout.import_results(exported / "none", cases)


def test_the_runtime_may_give_its_name_and_version(replayed):
    folder, _ = replayed
    assert (layout.read_identity(folder).name, layout.read_identity(folder).version) == ("cases", "")
    (folder / "runtime.json").write_text('{"name": "mine", "version": "3.1"}')
    assert (layout.read_identity(folder).name, layout.read_identity(folder).version) == ("mine", "3.1")
    (folder / "runtime.json").write_text("[]")
    with pytest.raises(RoiAlignError, match=r"runtime\.json must be an object with name and version, got "):
        layout.read_identity(folder)


def test_outputs_with_another_name_or_none(cases, tmp_path):
    (array,) = cases[0].outcomes[0].outputs.values()
    for index, name in enumerate(("", "Z")):
        (tmp_path / f"output_{index}.pb").write_bytes(numpy_helper.from_array(array, name).SerializeToString())
    assert list(layout.read_outputs(tmp_path, ["Y"])) == ["Y", "Z"]
