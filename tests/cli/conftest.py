"""The fixtures that all tests of the command line use."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # wide, so that no table wraps a line that a test looks for
