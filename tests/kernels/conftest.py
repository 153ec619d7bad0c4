"""The library under AddressSanitizer and UndefinedBehaviorSanitizer, built once for the tests that need it."""

from __future__ import annotations

import pytest
from sanitized import ADDRESS, Sanitized, build_library, compiler_with_fuzzer


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory):
    """By the newest Clang that has libFuzzer, instrumented for that too, or else by GCC: minutes of compilation."""
    folder = tmp_path_factory.mktemp("sanitized")
    compiler = compiler_with_fuzzer(folder)
    sanitizers = ADDRESS if compiler is None else f"fuzzer-no-link,{ADDRESS}"
    library = build_library(folder / "build", sanitizers, compiler or "g++")
    return Sanitized(library, compiler or "g++", has_fuzzer=compiler is not None)
