"""Tests the command conform: its options, its table, its JSON and its exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from command_line import invoke
from conformance_runs import PLANTED

from onnx_roialign.conformance.cases import all_cases
from onnx_roialign.engines.native import available_isas

VECTORS = ("--case", "onnx/*@16")


@pytest.fixture(scope="module")
def cases():
    return all_cases()


@pytest.fixture(autouse=True)
def quick_and_wide(monkeypatch, cases):
    """Builds the cases once, which takes seconds, and keeps tables from wrapping lines that a test looks for."""
    monkeypatch.setattr("onnx_roialign.conformance.cases.all_cases", lambda: cases)
    monkeypatch.setenv("COLUMNS", "200")


def conform(name, *arguments):
    return invoke("conform", "--backend", f"{PLANTED}:{name}", *VECTORS, "--jobs", "1", *arguments)


def test_a_right_backend_exits_0_with_a_table():
    result = conform("Right")
    assert result.exit_code == 0, result.output
    assert "right 1.2.3" in result.stdout
    assert result.stdout.rstrip().endswith("passes")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("Aborts", "right: crashed: onnx/mode-max@16: SIGABRT: the roof is on fire"),
        ("NotANumber", "right: fail: onnx/mode-max@16: Y must be"),
        ("NotOnThisDevice", "right: unsupported: onnx/aligned-false@16 and 2 more: the backend does not support the"),
        ("NotOnThisDevice", "right: passes no case"),
    ],
)
def test_a_wrong_backend_exits_1_with_a_line_for_each_deviation(name, line):
    result = conform(name)
    assert result.exit_code == 1
    assert line in result.stdout
    assert result.stdout.rstrip().endswith("fails")


def test_an_unsupported_case_neither_passes_nor_fails():
    result = conform("RefusesCase")
    assert result.exit_code == 0
    assert "right: unsupported: onnx/mode-max@16: BackendIsNotSupposedToImplementIt: mode max" in result.stdout
    assert "1 unsupported" in result.stdout


def test_known_deviations_are_declared_and_checked(tmp_path):
    known = tmp_path / "known.json"
    entry = {"case": "onnx/mode-max@16", "status": "crashed", "reason": "it burns"}
    known.write_text(json.dumps({"deviations": [entry]}))
    assert conform("Aborts", "--known", known).exit_code == 0
    result = conform("Right", "--known", known)
    assert result.exit_code == 1
    line = "right: known deviations: onnx/mode-max@16: declared as crashed, but onnx/mode-max@16 passes now"
    assert line in result.stdout
    known.write_text(json.dumps({"deviations": [{**entry, "status": "hung"}]}))
    result = conform("Aborts", "--known", known)
    assert result.exit_code == 1
    assert "declared as hung, but onnx/mode-max@16 is crashed: SIGABRT" in result.stdout


def test_json_is_one_object_of_the_results():
    result = conform("NotANumber", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    (run,) = document["runs"]
    assert (run["backend"], run["version"]) == ("right", "1.2.3")
    assert {entry["case"]: entry["status"] for entry in run["results"]} == {
        "onnx/aligned-false@16": "pass",
        "onnx/aligned-true@16": "pass",
        "onnx/mode-max@16": "fail",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--backend", "none"], "--backend must be one of builtin, emx, mnn, native, "),
        (
            ["--backend", "no_such_module:X"],
            "--backend or --worker must be one that starts, got 'no_such_module:X' (",
        ),
        (["--backend", f"{PLANTED.with_name('dies_at_start.py')}:X"], "dies_at_start.py:X' (crashed: SIGABRT)"),
        (["--backend", "native:sse9"], "ONNX_ROIALIGN_ISA must be one of "),
        (["--worker", "'"], "--worker must be a command line, got "),
        (["--worker", ""], "--worker must be a command line, got ''"),
        (["--worker", "/no/such/program"], "(No such file or directory: /no/such/program)"),
        (["--python", "/no/python", "--backend", "reference"], "(No such file or directory: /no/python)"),
        (["--tier", "gold"], "--tier must be one of spec, settled, contested, robust, got 'gold'"),
        (["--case", "no/such*"], "--case must match the id of a case, got 'no/such*'"),
        (["--tier", "robust", "--case", "onnx/*"], "--tier and --case must leave a case, got none"),
        (["--jobs", "0"], "--jobs must be in [1, 256], got 0"),
        (["--timeout", "nan"], "--timeout must be in [0.1, 86400], got nan"),
        (["--memory", "1"], "--memory must be in [16, 16777216], got 1"),
        (["--cases", "none"], "--cases must be a folder with case.json files, got 'none'"),
        (["--import", "a", "--export", "b"], "--export and --import must not be given together, got both"),
        (["--import", "none"], "--import must be a folder that --export wrote, got 'none'"),
        (["--known", "none", "--backend", "reference"], "--known must be a file of known deviations, got 'none'"),
        (["--known", "none"], "--known must be given with one --backend or --worker, got more or none"),
        (
            ["--backend", "reference", "--backend", "reference"],
            "must have names that differ, got 'reference' more",
        ),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(arguments, message):
    result = invoke("conform", *arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_exported_cases_can_be_replayed_and_scored(tmp_path):
    folder = tmp_path / "cases"
    result = invoke("conform", "--export", folder, *VECTORS)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith(f"3 cases in {folder}\n")
    replayed = invoke("conform", "--backend", f"{PLANTED}:Aborts", "--cases", folder, "--jobs", "1")
    assert replayed.exit_code == 1
    assert "crashed: onnx/mode-max@16" in replayed.stdout
    (folder / "runtime.json").write_text('{"name": "mine", "version": "7"}')
    for output in folder.glob("*/*/test_data_set_0/output_0.pb"):
        shutil.copy(output, output.with_name("got_0.pb"))
    scored = invoke("conform", "--import", folder, *VECTORS)
    assert scored.exit_code == 0
    assert "mine 7" in scored.stdout
    shutil.copy(output.with_name("input_0.pb"), output.with_name("got_0.pb"))
    scored = invoke("conform", "--import", folder, *VECTORS)
    assert scored.exit_code == 1
    assert "mine: fail: onnx/" in scored.stdout


def test_the_suite_runs_every_instruction_set_and_the_packages_own_backends_by_default():
    result = invoke("conform", *VECTORS, "--json")
    assert result.exit_code == 0, result.output
    native = [f"native:{isa}" for isa in available_isas()]
    expected = [*native, "reference", "python-op", "builtin", "onnx-reference"]
    runs = json.loads(result.stdout)["runs"]
    assert [run["backend"] for run in runs] == expected
    assert all(entry["status"] == "pass" for run in runs for entry in run["results"])


def test_contested_cases_report_the_side_of_each_backend():
    result = invoke("conform", "--backend", "reference", "--case", "contested/maximum-of-negative-features")
    assert result.exit_code == 1  # a contested result is no pass
    assert "contested/maximum-of-negative-features: over weighted neighbours" in result.stdout
    assert ": reference\n" in result.stdout
    assert "reference: passes no case" in result.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["--backend", "reference", *VECTORS]])
def test_the_module_runs_the_command(arguments):
    command = [sys.executable, "-m", "onnx_roialign.conformance", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert ("--backend" in done.stdout) == (arguments == ["--help"])
    assert ("passes" in done.stdout) == (arguments != ["--help"])
