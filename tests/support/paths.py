"""The folders of the checkout and of the tests' own files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
SUPPORT = ROOT / "tests" / "support"
PROGRAMS = ROOT / "tests" / "kernels"  # in C and C++
