"""The library under AddressSanitizer and UndefinedBehaviorSanitizer, built once for the tests that need it."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
from paths import ROOT
from sanitized import ADDRESS, Sanitized, build_library, compiler_with_fuzzer


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory):
    """By the newest Clang that has libFuzzer, instrumented for that too, or else by GCC: minutes of compilation."""
    compiler = compiler_with_fuzzer(tmp_path_factory.mktemp("sanitized"))
    sanitizers = ADDRESS if compiler is None else f"fuzzer-no-link,{ADDRESS}"
    folder = ROOT / "build" / "sanitized" / Path(compiler or "g++").name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # xdist's other worker waits, and finds it built
        library = build_library(folder, sanitizers, compiler or "g++")
    return Sanitized(library, compiler or "g++", has_fuzzer=compiler is not None)
