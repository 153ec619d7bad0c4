"""Models run in another process: a crash or a hang ends that process and is an error here, and the next run goes on."""

from __future__ import annotations

import os
import signal
import sys

import numpy as np
import pytest
from calls import FEEDS, expected
from closeness import assert_close

from models import model
from onnx_roialign import RoiAlignError
from onnx_roialign.sessions import run_apart
from onnx_roialign.sessions.run_apart import Apart


def pid(apart):
    return apart._child._process.pid


def outputs(apart):
    ((found,),) = apart.run([model()], [FEEDS], [["Y"]])
    return found


def test_one_process_runs_task_after_task_and_ends_with_the_block():
    with Apart() as apart:
        for _ in range(3):
            assert_close(outputs(apart)[0], expected(16))
        first = pid(apart)
        outputs(apart)
        assert pid(apart) == first
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_what_does_not_load_or_run_is_a_text_and_the_process_stays():
    with Apart() as apart:
        ((refused,),) = apart.run([model(mode="median")], [FEEDS], [["Y"]])
        assert refused.startswith("does not load: mode must be 'avg' or 'max', got 'median'")
        ((failed,),) = apart.run([model()], [FEEDS | {"batch_indices": np.full(4, 5)}], [["Y"]])
        assert "batch_indices must be in [0, " in failed
        assert_close(outputs(apart)[0], expected(16))


def test_after_a_crash_the_next_run_starts_another_process():
    with Apart() as apart:
        outputs(apart)
        first = pid(apart)
        os.kill(first, signal.SIGSEGV)
        with pytest.raises(RoiAlignError, match="model must run, got a process that ended with -11"):
            outputs(apart)
        assert_close(outputs(apart)[0], expected(16))
        assert pid(apart) != first


def test_a_run_that_does_not_end_is_refused(monkeypatch):
    with Apart() as apart:
        outputs(apart)
        os.kill(pid(apart), signal.SIGSTOP)
        monkeypatch.setattr(run_apart, "_SECONDS", 0.5)
        with pytest.raises(RoiAlignError, match=r"model must run in 0\.5 s, got one that has not ended"):
            outputs(apart)


def test_a_frozen_app_does_not_start_itself(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with (
        Apart() as apart,
        pytest.raises(RoiAlignError, match="must be fused before an app is frozen"),
    ):
        outputs(apart)
