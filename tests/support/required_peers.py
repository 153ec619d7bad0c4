"""Other RoIAligns that a test may need: skipped where one is missing, unless this environment is there to test it."""

from __future__ import annotations

import os

import pytest

REQUIRED = tuple(filter(None, os.environ.get("ONNX_ROIALIGN_PEERS", "").split(",")))


def skip_without(peer: str, reason: str) -> None:
    """Skips the test; fails it where $ONNX_ROIALIGN_PEERS (of names with commas) has the peer."""
    text = f"{peer} is not installed: {reason}"
    if peer in REQUIRED:
        pytest.fail(text)
    pytest.skip(text)
