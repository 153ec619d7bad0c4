"""Tests the library under sanitizers: malformed calls under AddressSanitizer and UBSan, eight threads under TSan."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest
from malformed_models import SESSIONS
from paths import PROGRAMS, SUPPORT
from sanitized import THREAD, build_library, build_program

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


def test_eight_threads_have_no_data_race(tmp_path):
    library = build_library(tmp_path / "library", THREAD)
    program = tmp_path / "c_threads"
    build_program(program, PROGRAMS / "c_threads.c", library, THREAD, "gcc", "-std=c99")
    done = subprocess.run([program], capture_output=True, text=True, timeout=1200)
    assert (done.returncode, done.stdout) == (0, "every answer is that of one thread\n"), done.stderr[-4000:]
