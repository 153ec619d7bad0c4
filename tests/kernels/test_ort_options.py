"""Tests what the library reads of session options (opset, threads, instruction set), and a runtime that is too old."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import tolerances
from calls import FEEDS, expected
from closeness import assert_close
from installed_versions import OPSETS, newest_opset
from old_runtime import OldRuntime
from paths import SUPPORT
from quiet import bare_options, bare_session, quiet_options, quiet_session, run

import onnx_roialign
from models import model
from onnx_roialign import RoiAlignError, errors
from onnx_roialign.engines import native


@pytest.mark.parametrize("opset", [10, 16, newest_opset()])
def test_the_bare_library_refuses_a_node_without_the_mode_and_without_the_opset_entry(opset):
    with pytest.raises(Exception, match=TRAP):
        bare_session(model(opset))


@pytest.mark.parametrize("opset", OPSETS)
def test_the_bare_library_reads_the_opset_from_the_entry(opset):
    assert_close(run(bare_session(model(opset), opset)), expected(opset))


def test_the_bare_library_needs_no_entry_if_the_mode_is_written():
    session = bare_session(model(16, coordinate_transformation_mode="output_half_pixel"))
    assert_close(run(session), expected(16, "output_half_pixel"))


TRAP = (
    "coordinate_transformation_mode must be set where the model's opset is unknown, got a node without it "
    r"\(node 'pool'\); set the session config entry 'onnx_roialign.opset' to the model's opset before registering"
)
NO_INTEGERS = {
    "sixteen": "'sixteen'",
    "": "''",
    "-": "'-'",
    "16 ": "'16 '",
    "1e3": "'1e3'",
    "it's\n": '"it\'s\\n"',
    "7" * 80 + "x": f"'{'7' * 63}...'",
}


@pytest.mark.parametrize("entry", ["opset", "threads"])
@pytest.mark.parametrize(("text", "shown"), NO_INTEGERS.items(), ids=range(len(NO_INTEGERS)))
def test_an_entry_that_is_no_integer_is_refused(entry, text, shown):
    assert shown == errors.shown(text)
    with pytest.raises(Exception, match=re.escape(f"onnx_roialign.{entry} must be an integer, got {shown}") + "$"):
        quiet_options(**{f"onnx_roialign__{entry}": text}).register_custom_ops_library(onnx_roialign.library_path())


@pytest.mark.parametrize("text", ["0", "-3", "-99999999999999999999"])
def test_an_invalid_opset_is_refused(text):
    options = quiet_options(onnx_roialign__opset=text)
    got = max(int(text), -(2**63))
    with pytest.raises(Exception, match=f"onnx_roialign.opset must be at least 1, got {got}$"):
        options.register_custom_ops_library(onnx_roialign.library_path())


@pytest.mark.parametrize("threads", [-1, 1025, 999999999, 2**40])
def test_a_number_of_threads_is_refused_in_the_words_of_the_other_checks(threads):
    options = quiet_options(onnx_roialign__threads=str(threads))
    with pytest.raises(RoiAlignError) as refused:
        onnx_roialign.roi_align(**FEEDS, threads=threads)
    with pytest.raises(Exception, match=re.escape(f"onnx_roialign.{refused.value}") + "$"):
        options.register_custom_ops_library(onnx_roialign.library_path())


@pytest.mark.parametrize("threads", ["0", "1", "3", "1024"])
def test_the_number_of_threads_changes_no_result(threads):
    options = quiet_options(onnx_roialign__threads=threads, onnx_roialign__opset="16")
    options.register_custom_ops_library(onnx_roialign.library_path())
    told = onnxruntime.InferenceSession(model(16).SerializeToString(), options)
    np.testing.assert_array_equal(run(told), run(bare_session(model(16), 16)))


def test_the_bare_library_registered_twice_reads_the_newer_entry_and_existing_sessions_keep_theirs():
    options = bare_options(10)
    old = onnxruntime.InferenceSession(model(10).SerializeToString(), options)
    options.add_session_config_entry("onnx_roialign.opset", "16")
    options.register_custom_ops_library(onnx_roialign.library_path())
    options.register_custom_ops_library(onnx_roialign.library_path())
    new = onnxruntime.InferenceSession(model(16).SerializeToString(), options)
    assert_close(run(old), expected(10))
    assert_close(run(new), expected(16))


def test_a_second_copy_of_the_library_is_refused_on_the_same_options(tmp_path):
    options, copy = bare_options(16), tmp_path / "copy.so"
    shutil.copy(onnx_roialign.library_path(), copy)
    with pytest.raises(Exception, match="must be registered from one file per session options, got a second copy"):
        options.register_custom_ops_library(str(copy))
    session = onnxruntime.InferenceSession(model(16).SerializeToString(), options)
    assert_close(run(session), expected(16))


def test_a_session_outlives_the_options_it_was_made_with():
    options = bare_options(16)
    session = onnxruntime.InferenceSession(model(16).SerializeToString(), options)
    del options
    assert_close(run(session), expected(16))


def test_a_runtime_without_the_functions_that_the_library_needs_is_refused_by_name():
    runtime = OldRuntime("1.16.3", lambda number: number == 1)
    library = ctypes.CDLL(onnx_roialign.library_path())
    library.RegisterCustomOps.restype = ctypes.c_void_p
    assert library.RegisterCustomOps(None, ctypes.byref(runtime)) == 1
    assert runtime.told == [(9, "onnx_roialign needs ONNX Runtime 1.17 or newer, got 1.16.3")]


def test_many_options_and_failed_sessions_do_not_hold_memory():
    program = """
import resource, onnxruntime
from models import model
from quiet import bare_options
def grown(work, times):
    for _ in range(50): work()
    before = resident()
    for _ in range(times): work()
    return resident() - before
def resident():
    with open("/proc/self/statm") as file: return int(file.read().split()[1]) * resource.getpagesize()
bad, options = model(16, mode="median").SerializeToString(), bare_options(16)
def fail():
    try: onnxruntime.InferenceSession(bad, options)
    except Exception as error: assert "mode must be" in str(error)
def mapped():
    with open("/proc/self/maps") as file: return "onnx_roialign" in file.read()
print(grown(fail, 300), grown(lambda: bare_options(16), 1000), mapped(), end=" ")
del options
print(mapped())
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=SUPPORT)
    failures, options, *mapped = done.stdout.split()
    assert int(failures) < 1 << 20
    assert int(options) < 4 << 20  # about 1 kB each before onnxruntime 1.24
    assert mapped == ["True", "False"]  # and onnxruntime unloads the library, which frees them


@pytest.mark.parametrize("name", ["avx1024", "sse", ""])
def test_an_unknown_instruction_set_is_refused_when_the_session_is_created(name, door):
    known = re.escape(", ".join(native.available_isas()))
    with pytest.raises(Exception, match=f"onnx_roialign.isa must be one of {known}, got '{name}'$"):
        onnx_roialign.session(model(), quiet_options(onnx_roialign__isa=name), door=door)


def test_every_instruction_set_runs_in_a_session_that_requests_it(door):
    want = run(quiet_session(model(), "reference"), FEEDS)
    for name in native.available_isas():
        Y = run(onnx_roialign.session(model(), quiet_options(onnx_roialign__isa=name), door=door), FEEDS)
        np.testing.assert_allclose(Y, want, rtol=0, atol=tolerances.FLOAT32 * np.abs(FEEDS["X"]).max())


def test_registered_options_keep_their_instruction_set():
    options = quiet_options(onnx_roialign__isa="baseline")
    onnx_roialign.register(options, model())
    options.add_session_config_entry("onnx_roialign.isa", native.available_isas()[0])
    with pytest.raises(Exception, match=r"onnx_roialign.isa must not change on options that are registered"):
        onnx_roialign.register(options, model())


IN_A_PROCESS = """
import os
from onnx_roialign import native
def answer():
    try:
        return native.active_isa()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
print(answer())
os.environ["ONNX_ROIALIGN_ISA"] = "mmx"
print(answer())
"""


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("baseline", "baseline"),
        ("", native.available_isas()[0]),
        (
            "avx1024",
            f"NativeLibraryError: ONNX_ROIALIGN_ISA must be one of {', '.join(native.available_isas())}, got 'avx1024'",
        ),
    ],
)
def test_the_environment_is_read_once_in_a_process(name, answer):
    environment = {**os.environ, "ONNX_ROIALIGN_ISA": name}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [answer, answer]
