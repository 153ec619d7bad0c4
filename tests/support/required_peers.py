"""Other RoIAligns that a test may need: skipped if one is missing, unless this environment exists to test it."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest

REQUIRED = tuple(filter(None, os.environ.get("ONNX_ROIALIGN_PEERS", "").split(",")))


def skip_without(peer: str, reason: str) -> None:
    """Skips the test; fails it where $ONNX_ROIALIGN_PEERS (of names with commas) has the peer."""
    text = f"{peer} is not installed: {reason}"
    if peer in REQUIRED:
        pytest.fail(text)
    pytest.skip(text)


def imported(module: str) -> ModuleType:
    """The module of a peer; skips the test without it, or fails it, as `skip_without` does."""
    peer = module.partition(".")[0]
    try:
        if peer == "paddle":
            _mindspore_first()
        return importlib.import_module(module)
    except Exception as error:  # a broken installation may raise any exception
        skip_without(peer, str(error))
        raise


def _mindspore_first() -> None:
    """MindSpore does not load into a process with Paddle, which has another oneDNN."""
    try:
        importlib.import_module("mindspore")
    except Exception:  # the test that needs it reports why
        return
