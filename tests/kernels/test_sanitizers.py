"""Tests the library under AddressSanitizer and UBSan, by malformed calls and by sessions, and threads under TSan."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from malformed_models import SESSIONS
from paths import PROGRAMS, ROOT, SUPPORT
from sanitized import THREAD, build_library, build_program

import onnx_roialign

# The library takes minutes to build under each.
pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

CALLS, MODELS, PROCESSES = 20_000, 2_500, 2


def counted(outputs):
    """The counts that the processes printed, summed by name."""
    total = Counter()
    for output in outputs:
        for name, number in re.findall(r"^(.+): (\d+)$", output, re.MULTILINE):
            total[name] += int(number)
    return total


def test_malformed_calls_stay_inside_their_buffers_and_python_says_the_same(sanitized):
    parts = [
        subprocess.Popen(
            [sys.executable, SUPPORT / "malformed.py", sanitized.library, str(CALLS), str(MODELS), f"{i}/{PROCESSES}"],
            env=sanitized.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(PROCESSES)
    ]
    outputs = []
    for part in parts:
        output, errors = part.communicate(timeout=1800)
        assert part.returncode == 0, errors[-4000:]
        outputs.append(output)
    count = counted(outputs)
    assert sum(count[f"direct {outcome}"] for outcome in ("answered", "invalid", "unsupported")) == CALLS
    assert min(count["direct answered"], count["direct invalid"]) > CALLS / 4
    assert count["direct unsupported"] > CALLS / 200
    for op in SESSIONS:
        for outcome in ("answered", "refused"):
            assert count[f"{op} {outcome}"] > MODELS / 10, f"{op} {outcome}"
    assert count["poolers answered"] > 100
    answered, refused = count["threads answered"], count["threads refused"]
    assert answered + refused == 50 * 20 * PROCESSES
    assert min(answered, refused) > 100


# Random calls are left out, which malformed.py makes too, and tests of Python alone.
SESSION_TESTS = (
    *(
        f"sessions/test_{name}.py"
        for name in ("both_doors", "fused_at_load", "opsets", "pasting_at_load", "provider", "running", "session")
    ),
    *(f"kernels/test_ort_{name}.py" for name in ("errors", "ops", "provider")),
)


def test_sessions_stay_inside_their_buffers(sanitized, tmp_path):
    """Runs the tests of both doors with a copy of the package in which the library is the sanitized one."""
    copy = tmp_path / "onnx_roialign"
    shutil.copytree(Path(onnx_roialign.__file__).parent, copy)
    library = copy / Path(onnx_roialign.library_path()).name
    shutil.copy(sanitized.library, library)

    def run_python(*arguments):
        environment = {**sanitized.environment(), "PYTHONPATH": f"{tmp_path}:{SUPPORT}"}
        command = [sys.executable, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT / "tests")

    assert run_python("-c", "import onnx_roialign as o; print(o.library_path())").stdout.strip() == str(library)
    # Those that are long measure memory, of which the sanitizer takes its own.
    # Not captured, so that the sanitizer's report is seen.
    options = ("-q", "--capture=no", "-p", "no:cacheprovider", "-p", "without_arena", "-m", "not long")
    done = run_python("-m", "pytest", *options, *SESSION_TESTS)
    assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-4000:]}"


def test_eight_threads_have_no_data_race(tmp_path):
    library = build_library(tmp_path / "library", THREAD)
    program = tmp_path / "c_threads"
    build_program(program, PROGRAMS / "c_threads.c", library, THREAD, "gcc", "-std=c99")
    done = subprocess.run([program], capture_output=True, text=True, timeout=1200)
    assert (done.returncode, done.stdout) == (0, "every answer is that of one thread\n"), done.stderr[-4000:]
