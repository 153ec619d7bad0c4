"""Tests pytest --pyargs onnx_roialign.conformance: one test for each case, with the case's id."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from conformance_runs import PLANTED
from paths import ROOT

from onnx_roialign.conformance.cases import all_cases

VECTORS = ("-k", "test_case and onnx/ and 16")
OPTIONS = ("-p", "no:cacheprovider", "-q", "-rA", "--pyargs", "onnx_roialign.conformance")


@pytest.fixture
def run_pytest(pytester):
    """Runs pytest in this process, which has the cases already; returns its exit code, the counts and the output."""

    def run(*arguments):
        done = pytester.runpytest_inprocess(*OPTIONS, *arguments)
        return done.ret, done.parseoutcomes(), done.stdout.str()

    return run


@pytest.mark.parametrize("folder", ["checkout", "elsewhere"])
def test_every_case_is_a_test_with_its_id(folder, tmp_path):
    where = ROOT if folder == "checkout" else tmp_path
    command = [sys.executable, "-m", "pytest", *OPTIONS, "--collect-only"]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ids = re.findall(r"::test_case\[(.+)\]$", done.stdout, re.MULTILINE)
    assert ids == [case.id for case in all_cases()]


def test_a_right_backend_passes(run_pytest):
    code, counts, _ = run_pytest("--roialign-backend", f"{PLANTED}:Right", *VECTORS)
    assert code == 0
    assert counts["passed"] == 3


def test_a_crash_fails_its_test_and_the_others_go_on(run_pytest):
    code, counts, text = run_pytest("--roialign-backend", f"{PLANTED}:Aborts", *VECTORS)
    assert code == 1
    assert (counts["passed"], counts["failed"]) == (2, 1)
    assert "crashed: SIGABRT: the roof is on fire" in text


def test_an_unsupported_case_is_skipped_with_the_reason(run_pytest):
    code, counts, text = run_pytest("--roialign-backend", f"{PLANTED}:RefusesCase", *VECTORS)
    assert code == 0
    assert (counts["passed"], counts["skipped"]) == (2, 1)
    assert "unsupported: BackendIsNotSupposedToImplementIt: mode max" in text


def test_a_known_deviation_is_an_expected_failure_and_strictly_so(run_pytest, tmp_path):
    known = tmp_path / "known.json"
    entry = {"case": "onnx/mode-max@16", "status": "crashed", "reason": "it burns"}
    known.write_text(json.dumps({"deviations": [entry]}))
    options = ("--roialign-known", str(known), *VECTORS)
    code, counts, text = run_pytest("--roialign-backend", f"{PLANTED}:Aborts", *options)
    assert code == 0
    assert (counts["passed"], counts["xfailed"]) == (2, 1)
    assert "crashed, known: it burns" in text
    code, _, text = run_pytest("--roialign-backend", f"{PLANTED}:Right", *options)
    assert code == 1
    assert "declared as crashed, but onnx/mode-max@16 passes now" in text
    known.write_text(json.dumps({"deviations": [{**entry, "case": "onnx/gone"}]}))
    code, _, text = run_pytest("--roialign-backend", f"{PLANTED}:Right", *options)
    assert code == 1
    assert "onnx/gone: declared as crashed, but no case has this name" in text


def test_a_contested_case_passes_with_the_side_as_a_property(run_pytest, tmp_path):
    report = tmp_path / "report.xml"
    chosen = ("-k", "maximum-of-negative-features", f"--junitxml={report}")
    code, _, _ = run_pytest("--roialign-backend", "reference", *chosen)
    assert code == 0
    assert '<property name="side" value="over weighted neighbours' in report.read_text()


@pytest.mark.parametrize("options", [[], ["--roialign-backend", "reference", "--roialign-worker", "x"]])
def test_a_run_needs_exactly_one_backend(run_pytest, options):
    code, _, text = run_pytest(*options, *VECTORS)
    assert code == 1
    assert "one of --roialign-backend and --roialign-worker must be given" in text


def test_a_program_can_be_tested(run_pytest):
    worker = PLANTED.parents[2] / "conformance" / "workers" / "python_worker.py"
    code, counts, _ = run_pytest("--roialign-worker", f"{sys.executable} {worker} {PLANTED}:Right", *VECTORS)
    assert code == 0
    assert counts["passed"] == 3
