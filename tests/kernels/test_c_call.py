"""Tests the C call from C99, with all warnings of a compiler as errors, and from many threads."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from paths import PROGRAMS, ROOT

import onnx_roialign

# cc is usually one of the others
_FOUND = {Path(path).resolve(): name for name in ("cc", "gcc", "clang") if (path := shutil.which(name))}
COMPILERS = sorted(_FOUND.values())


@pytest.fixture(scope="module", params=COMPILERS)
def build(request, tmp_path_factory):
    """Builds a program of tests/ with the library and the public header, and runs it."""
    folder, library = tmp_path_factory.mktemp(request.param), Path(onnx_roialign.library_path())

    def run(source, *arguments):
        program = folder / source
        command = [request.param, "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O1"]
        command += ["-I", ROOT / "kernels" / "c", PROGRAMS / f"{source}.c", library, f"-Wl,-rpath,{library.parent}"]
        built = subprocess.run([*command, "-lm", "-pthread", "-o", program], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=200)

    return run


def test_there_is_a_c_compiler():
    assert COMPILERS


def test_the_c_call_keeps_its_promises(build):
    done = build("c_call", version("onnx_roialign"))
    assert (done.returncode, done.stdout) == (0, "every promise is kept\n"), done.stderr


def test_eight_threads_get_the_results_of_one(build):
    done = build("c_threads")
    assert (done.returncode, done.stdout) == (0, "every answer is that of one thread\n"), done.stderr


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the program puts its own malloc before glibc's")
def test_running_out_of_memory_anywhere_in_a_call_is_reported(build):
    done = build("c_memory")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("the call survived all of them\n")
