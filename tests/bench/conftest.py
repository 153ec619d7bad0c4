"""What every test of the benchmark needs."""

from __future__ import annotations

import pytest

from onnx_roialign.bench import floor
from onnx_roialign.cli import bench as bench_command


@pytest.fixture(autouse=True)
def quick_copy(monkeypatch):
    """The floor's 512 MB copies take half a second; 1 MB is as good where no number is looked at."""
    monkeypatch.setattr(bench_command, "copy_bandwidth", lambda threads: floor.copy_bandwidth(threads, size=1 << 20))
