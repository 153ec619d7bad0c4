"""libFuzzer on onnx_roialign_call, from the kept corpus; any crash, overrun or undefined step fails with its input.

    ONNX_ROIALIGN_FUZZ_SECONDS=3600 pytest tests/kernels/test_fuzz.py

tests/kernels/fuzz_corpus.tar.xz holds inputs that between them reach all that has been reached. After a long run:

    fuzz_call -merge=1 NEW CORPUS... && tar -cJf tests/kernels/fuzz_corpus.tar.xz -C NEW .
"""

from __future__ import annotations

import os
import re
import subprocess
import tarfile

import pytest
from paths import PROGRAMS
from sanitized import ADDRESS, build_program

SECONDS = int(os.environ.get("ONNX_ROIALIGN_FUZZ_SECONDS", "60"))

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400 + SECONDS)]


def test_no_input_crashes_the_c_call(tmp_path, sanitized):
    if not sanitized.has_fuzzer:
        pytest.skip("no clang++ with libFuzzer (Debian: clang-NN and libclang-rt-NN-dev)")
    program = tmp_path / "fuzz_call"
    source, sanitizers = PROGRAMS / "fuzz_call.cpp", f"fuzzer,{ADDRESS}"
    build_program(program, source, sanitized.library, sanitizers, sanitized.compiler, "-std=c++17")
    corpus, found = tmp_path / "corpus", tmp_path / "found"
    found.mkdir()
    with tarfile.open(PROGRAMS / "fuzz_corpus.tar.xz") as archive:
        archive.extractall(corpus)
    kept = len(list(corpus.iterdir()))
    assert kept > 100
    command = [program, f"-max_total_time={SECONDS}", "-timeout=30", "-rss_limit_mb=4096", "-max_len=1024"]
    command += [f"-artifact_prefix={found}/", "-print_final_stats=1", corpus]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS + 600)
    inputs = {path.name: path.read_bytes().hex() for path in found.iterdir()}
    assert (done.returncode, inputs) == (0, {}), done.stderr[-6000:]
    (executed,) = map(int, re.search(r"number_of_executed_units: (\d+)", done.stderr).groups())
    assert executed > kept
