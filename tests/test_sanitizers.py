"""The library under AddressSanitizer and UBSan: 10,000 malformed calls, and 50 threads on one session."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800), pytest.mark.xdist_group("sanitizers")]


def runtime_of(compiler, name):
    """Path of a sanitizer's runtime, which must be in the process before any library that was built for it."""
    return subprocess.run(
        [compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def sanitized_library(tmp_path_factory):
    build = tmp_path_factory.mktemp("sanitized")
    configure = [
        "cmake",
        "-S",
        ROOT,
        "-B",
        build,
        "-G",
        "Ninja",
        "-DONNX_ROIALIGN_SANITIZE=ON",
        "-DCMAKE_CXX_COMPILER=g++",
    ]
    subprocess.run(configure, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    return build / "kernels" / "libonnx_roialign.so"


def run_under_sanitizers(program, *arguments):
    environment = {
        **os.environ,
        "LD_PRELOAD": ":".join(runtime_of("g++", name) for name in ("libasan.so", "libubsan.so")),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter keeps what it has until it ends
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
    }
    return subprocess.run(
        [sys.executable, program, *arguments], env=environment, capture_output=True, text=True, timeout=600
    )


def test_ten_thousand_malformed_calls_and_fifty_threads_stay_inside_their_buffers(sanitized_library):
    done = run_under_sanitizers(ROOT / "tests" / "malformed.py", sanitized_library)
    assert done.returncode == 0, done.stderr[-4000:]
    answered, invalid, unsupported = map(int, re.search(r"direct: (\d+) .* (\d+) .* (\d+)", done.stdout).groups())
    assert answered + invalid + unsupported == 10_000
    assert min(answered, invalid) > 2_000
    assert unsupported > 0
    answered, refused = map(int, re.search(r"session: (\d+) .* (\d+)", done.stdout).groups())
    assert answered + refused == 50 * 20
    assert min(answered, refused) > 100
