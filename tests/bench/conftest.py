"""The fixtures that all tests of the benchmark use."""

from __future__ import annotations

import pytest

from onnx_roialign.bench import floor
from onnx_roialign.cli import bench as bench_command


@pytest.fixture(autouse=True)
def quick_copy(monkeypatch):
    """Makes the floor's copies small: 512 MB take half a second, and no test reads the numbers."""
    monkeypatch.setattr(bench_command, "copy_bandwidth", lambda threads: floor.copy_bandwidth(threads, size=1 << 20))


@pytest.fixture(autouse=True)
def wide_output(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")  # of a wide terminal, so that no line wraps
