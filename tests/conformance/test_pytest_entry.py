"""pytest --pyargs onnx_roialign.conformance: one test for each case, with the case's id."""

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


def run_pytest(*arguments, folder):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rA", "--pyargs"]
    return subprocess.run(
        [*command, "onnx_roialign.conformance", *arguments], cwd=folder, capture_output=True, text=True, timeout=250
    )


def counts(done):
    last = done.stdout.strip().splitlines()[-1]
    return {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", last) if word != "in"}


@pytest.mark.parametrize("folder", ["checkout", "elsewhere"])
def test_every_case_is_a_test_with_its_id(folder, tmp_path):
    where = ROOT if folder == "checkout" else tmp_path
    done = run_pytest("--collect-only", folder=where)
    assert done.returncode == 0, done.stdout + done.stderr
    ids = re.findall(r"::test_case\[(.+)\]$", done.stdout, re.MULTILINE)
    assert ids == [case.id for case in all_cases()]


def test_a_right_backend_passes(tmp_path):
    done = run_pytest("--roialign-backend", f"{PLANTED}:Right", *VECTORS, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert counts(done)["passed"] == 3


def test_a_crash_fails_its_test_and_the_others_go_on(tmp_path):
    done = run_pytest("--roialign-backend", f"{PLANTED}:Aborts", *VECTORS, folder=tmp_path)
    assert done.returncode == 1
    assert (counts(done)["passed"], counts(done)["failed"]) == (2, 1)
    assert "crashed: SIGABRT: the roof is on fire" in done.stdout


def test_what_is_unsupported_is_skipped_with_the_reason(tmp_path):
    done = run_pytest("--roialign-backend", f"{PLANTED}:RefusesCase", *VECTORS, folder=tmp_path)
    assert done.returncode == 0
    assert (counts(done)["passed"], counts(done)["skipped"]) == (2, 1)
    assert "unsupported: BackendIsNotSupposedToImplementIt: mode max" in done.stdout


def test_a_known_deviation_is_an_expected_failure_and_strictly_so(tmp_path):
    known = tmp_path / "known.json"
    entry = {"case": "onnx/mode-max@16", "status": "crashed", "reason": "it burns"}
    known.write_text(json.dumps({"deviations": [entry]}))
    options = ("--roialign-known", str(known), *VECTORS)
    done = run_pytest("--roialign-backend", f"{PLANTED}:Aborts", *options, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert (counts(done)["passed"], counts(done)["xfailed"]) == (2, 1)
    assert "crashed, known: it burns" in done.stdout
    done = run_pytest("--roialign-backend", f"{PLANTED}:Right", *options, folder=tmp_path)
    assert done.returncode == 1
    assert "declared as crashed, but onnx/mode-max@16 passes now" in done.stdout
    known.write_text(json.dumps({"deviations": [{**entry, "case": "onnx/gone"}]}))
    done = run_pytest("--roialign-backend", f"{PLANTED}:Right", *options, folder=tmp_path)
    assert done.returncode == 1
    assert "onnx/gone: declared as crashed, but no case has this name" in done.stdout


def test_a_contested_case_passes_with_the_side_as_a_property(tmp_path):
    report = tmp_path / "report.xml"
    chosen = ("-k", "maximum-of-negative-features", f"--junitxml={report}")
    done = run_pytest("--roialign-backend", "reference", *chosen, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert '<property name="side" value="over weighted neighbours' in report.read_text()


@pytest.mark.parametrize("options", [[], ["--roialign-backend", "reference", "--roialign-worker", "x"]])
def test_without_a_backend_there_is_nothing_to_pass(options, tmp_path):
    done = run_pytest(*options, *VECTORS, folder=tmp_path)
    assert done.returncode == 1
    assert "one of --roialign-backend and --roialign-worker must be given" in done.stdout


def test_a_program_can_be_tested(tmp_path):
    worker = PLANTED.parents[2] / "conformance" / "workers" / "python_worker.py"
    done = run_pytest("--roialign-worker", f"{sys.executable} {worker} {PLANTED}:Right", *VECTORS, folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert counts(done)["passed"] == 3
