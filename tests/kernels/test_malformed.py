"""Tests a few hundred of the malformed calls of test_sanitizers.py on the installed library."""

from __future__ import annotations

import re
import subprocess
import sys

from malformed_models import SESSIONS
from paths import SUPPORT

import onnx_roialign

CALLS, MODELS_EACH = 400, 30


def test_the_library_and_the_reference_agree_on_malformed_calls():
    models = MODELS_EACH * len(SESSIONS)
    command = [sys.executable, SUPPORT / "malformed.py", onnx_roialign.library_path(), str(CALLS), str(models)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    assert sum(map(int, re.findall(r"^direct \w+: (\d+)$", done.stdout, re.MULTILINE))) == CALLS
    for name in SESSIONS:
        for outcome in ("answered", "refused"):
            assert re.search(rf"^{name} {outcome}: \d+$", done.stdout, re.MULTILINE), f"{name} {outcome}"
