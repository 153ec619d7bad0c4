"""Each case runs in a process that can be killed: what ends it is a status, and the run goes on."""

from __future__ import annotations

import contextlib
import re
import time
import uuid

import psutil
import pytest
from conformance_runs import LIMITS, PLANTED, planted, run_planted, three_cases

from onnx_roialign import RoiAlignError
from onnx_roialign.conformance.backends import find_backend, find_worker
from onnx_roialign.conformance.process import Limits
from onnx_roialign.conformance.result import Status
from onnx_roialign.conformance.runner import identify, run

PASS = Status.PASS


def one_odd(name, **options):
    """The result of the case on which the planted backend misbehaves; the cases before and after must pass."""
    found = run_planted(name, **options)
    first, odd, last = found.results
    assert (first.status, last.status) == (PASS, PASS), (first.text, last.text)
    return odd


def test_a_right_backend_passes_and_has_its_identity():
    found = run_planted("Right")
    assert [result.status for result in found.results] == [PASS] * 3
    assert (found.backend, found.version) == ("right", "1.2.3")
    assert {"python", "numpy", "onnx", "platform"} <= set(found.environment)


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("Aborts", Status.CRASHED, "SIGABRT: the roof is on fire"),
        ("AbortsWithAStack", Status.CRASHED, "SIGABRT: frame 1: pool + 7 in libpool.so"),
        ("Segfaults", Status.CRASHED, "SIGSEGV"),
        ("Leaves", Status.CRASHED, "exit code 0 without a reply"),
        ("LeavesAChild", Status.CRASHED, "exit code 3 without a reply"),
        ("Hangs", Status.HUNG, "no result within 2 s"),
        ("HangsInAStream", Status.HUNG, "no result within 2 s"),
        ("Raises", Status.FAIL, "RuntimeError: no idea"),
        ("RefusesCase", Status.UNSUPPORTED, "BackendIsNotSupposedToImplementIt: mode max"),
        ("NotCompatible", Status.UNSUPPORTED, "the backend is not compatible with the model"),
        ("NotPrepared", Status.UNSUPPORTED, "NotImplementedError: mode max"),
        ("OfAnotherType", Status.FAIL, "Y must be of type float32, got float64"),
        ("OfAnotherShape", Status.FAIL, "Y must have the shape (3, 1, 5, 5), got (3, 1, 5, 1)"),
        ("TwoOutputs", Status.FAIL, "outputs must be Y, got Y, output 1"),
        ("NoOutputs", Status.FAIL, "outputs must be Y, got none"),
    ],
)
def test_each_failure_of_a_backend_gives_a_status_with_a_text(name, status, text):
    odd = one_odd(name)
    assert (odd.status, odd.text) == (status, text)


def test_a_nan_is_a_wrong_value_with_its_place():
    odd = one_odd("NotANumber")
    assert odd.status is Status.FAIL
    assert re.fullmatch(
        r"Y must be 0\.\d+ within .+ ULP of the largest feature, got nan at \(0, 0, 1, 2\) \(1 of 75 values wrong\)",
        odd.text,
    )
    assert odd.ulps is None
    assert odd.got["Y"].shape == (3, 1, 5, 5)


def test_an_output_that_is_not_an_array_is_an_error():
    odd = one_odd("NoArray")
    assert odd.status is Status.FAIL
    assert "object" in odd.text


@pytest.mark.parametrize("name", ["Allocates", "ChildAllocates"])
def test_memory_past_the_bound_is_exhausted_in_the_process_and_in_its_children(name):
    odd = one_odd(name, limits=Limits(seconds=60.0, megabytes=600))
    assert odd.status is Status.EXHAUSTED
    assert re.fullmatch(r"took \d+ MB, more than 600", odd.text)


@pytest.mark.parametrize("name", ["ChildAllocates", "LeavesAChild", "Hangs"])
def test_no_process_is_left_when_the_run_is_over(name, monkeypatch):
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    mark = uuid.uuid4().hex
    monkeypatch.setenv("ROIALIGN_TEST_RUN", mark)  # tests beside this one start planted backends too
    run_planted(name)
    deadline = time.monotonic() + 10
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert marked(mark) == set()
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def marked(mark):
    """The processes that inherited the mark in their environment, also those whose parent has ended."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("ROIALIGN_TEST_RUN") == mark:
                found.add(process.pid)
    return found


def test_printed_lines_are_not_replies():
    assert [result.status for result in run_planted("Prints").results] == [PASS] * 3


@pytest.mark.parametrize("name", ["OnlyRunModel", "ByName"])
def test_a_backend_may_have_run_model_alone_or_return_outputs_by_name(name):
    assert [result.status for result in run_planted(name).results] == [PASS] * 3


def test_a_backend_that_does_not_support_the_device_supports_no_case():
    found = run_planted("NotOnThisDevice")
    assert {(result.status, result.text) for result in found.results} == {
        (Status.UNSUPPORTED, "the backend does not support the device CPU")
    }


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("no_such_module:Class", r"'no_such_module:Class' \(ModuleNotFoundError: No module named 'no_such_module'\)"),
        ("json:Nothing", r"\(AttributeError: module 'json' has no attribute 'Nothing'\)"),
        ("none/such.py:Class", r"\(FileNotFoundError: no file 'none/such.py'\)"),
        (f"{PLANTED.with_name('dies_at_start.py')}:Class", r"\(crashed: SIGABRT\)"),
    ],
)
def test_a_backend_that_does_not_start_gives_one_line(backend, message):
    (launch,) = find_backend(backend)
    with pytest.raises(RoiAlignError, match=rf"--backend or --worker must be one that starts, got .*{message}"):
        identify(launch, LIMITS)


def test_a_missing_program_or_one_without_the_protocol_gives_one_line():
    with pytest.raises(RoiAlignError, match=r"one that starts, got '/no/such' \(No such file or directory: /no/such\)"):
        identify(find_worker("/no/such"), LIMITS)
    with pytest.raises(RoiAlignError, match=r"got 'echo hello' \(crashed: exit code 0 without a reply\)"):
        identify(find_worker("echo hello"), LIMITS)


def test_a_worker_that_never_survives_a_case_ends_after_ten():
    named = [rename(case, index) for index, case in enumerate(three_cases() * 10)]
    found = run_planted("AlwaysAborts", named)
    assert {result.status for result in found.results} == {Status.CRASHED}
    texts = [result.text for result in found.results]
    assert texts[:10] == ["SIGABRT"] * 10
    assert set(texts[10:]) == {"not run: the worker did not survive 10 cases in a row"}


def rename(case, index):
    from dataclasses import replace

    return replace(case, id=f"{case.id}/{index}")


def test_several_workers_give_the_same_results_in_the_order_of_the_cases():
    named = [rename(case, index) for index, case in enumerate(three_cases() * 4)]
    single, three = (run_planted("Aborts", named, jobs=jobs) for jobs in (1, 3))
    assert [result.case for result in three.results] == [case.id for case in named]
    assert [(r.status, r.text, r.ulps) for r in single.results] == [(r.status, r.text, r.ulps) for r in three.results]


def test_a_worker_that_cannot_start_again_loses_the_case(tmp_path):
    once = tmp_path / "once.py"
    once.write_text(
        "import os, sys\n"
        f"sys.path.insert(0, {str(PLANTED.parent)!r})\n"
        "from planted_backends import Aborts\n"
        f"mark = {str(tmp_path / 'mark')!r}\n"
        "if os.path.exists(mark): raise ImportError('only once')\n"
        "class Backend(Aborts): pass\n"
    )
    (launch,) = find_backend(f"{once}:Backend")
    limits = Limits(seconds=20.0)
    identity = identify(launch, limits)
    cases = three_cases()

    def after_each():
        (tmp_path / "mark").touch()

    found = run(cases, launch, identity, limits=limits, after_each=after_each)
    assert [result.status for result in found.results] == [PASS, Status.CRASHED, Status.CRASHED]
    assert "ImportError: only once" in found.results[2].text


def test_the_interpreter_can_be_another(tmp_path):
    (launch,) = find_backend(f"{PLANTED}:Right", python="/some/python")
    assert launch.command[0] == "/some/python"
    assert "PYTHONPATH" not in launch.environment
    assert planted("Right").environment["PYTHONPATH"]
