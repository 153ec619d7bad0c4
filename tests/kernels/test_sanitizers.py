"""The library under sanitizers: malformed calls under AddressSanitizer and UBSan, eight threads under TSan."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from paths import PROGRAMS, SUPPORT
from sanitized import ADDRESS, THREAD, build_library, build_program

# The library takes minutes to build under each.
pytestmark = [pytest.mark.long, pytest.mark.timeout(2400), pytest.mark.xdist_group("sanitizers")]

CALLS, SESSIONS = 20_000, 2_500


def runtime_of(compiler, name):
    """Path of a sanitizer's runtime, which must be in the process before any library that was built for it."""
    return subprocess.run(
        [compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True
    ).stdout.strip()


def run_under_sanitizers(program, *arguments):
    environment = {
        **os.environ,
        "LD_PRELOAD": ":".join(runtime_of("g++", name) for name in ("libasan.so", "libubsan.so")),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter keeps what it has until it ends
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }
    return subprocess.run(
        [sys.executable, program, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=1800
    )


def test_malformed_calls_stay_inside_their_buffers_and_python_says_the_same(tmp_path):
    library = build_library(tmp_path, ADDRESS)
    done = run_under_sanitizers(SUPPORT / "malformed.py", library, CALLS, SESSIONS)
    assert done.returncode == 0, done.stderr[-4000:]
    answered, invalid, unsupported = map(int, re.search(r"direct: (\d+) .* (\d+) .* (\d+)", done.stdout).groups())
    assert answered + invalid + unsupported == CALLS
    assert min(answered, invalid) > CALLS / 4
    assert unsupported > CALLS / 200
    for op in ("RoiAlign", "AnyRoiAlign", "QLinearRoiAlign"):
        for outcome in ("answered", "refused"):
            (number,) = map(int, re.search(rf"^{op} {outcome}: (\d+)$", done.stdout, re.MULTILINE).groups())
            assert number > SESSIONS / 10, f"{op} {outcome}"
    answered, refused = map(int, re.search(r"threads: (\d+) .* (\d+)", done.stdout).groups())
    assert answered + refused == 50 * 20
    assert min(answered, refused) > 100


def test_eight_threads_share_nothing_that_one_of_them_writes(tmp_path):
    library = build_library(tmp_path / "library", THREAD)
    program = tmp_path / "c_threads"
    build_program(program, PROGRAMS / "c_threads.c", library, THREAD, "gcc", "-std=c99")
    done = subprocess.run([program], capture_output=True, text=True, timeout=1200)
    assert (done.returncode, done.stdout) == (0, "every answer is that of one thread\n"), done.stderr[-4000:]
