"""The abilities of the installed versions of onnx and onnxruntime."""

from __future__ import annotations

import onnx
import onnxruntime
import pytest

from onnx_roialign.sessions.installed import loads_opset

# onnxruntime 1.20 has no such option in Python.
GLOBAL_POOL = pytest.mark.skipif(
    not hasattr(onnxruntime.SessionOptions, "use_per_session_threads"), reason="this onnxruntime has no global pool"
)


def newest_opset() -> int:
    """The newest opset that both this onnxruntime and onnx have."""
    return max(filter(loads_opset, range(21, onnx.defs.onnx_opset_version() + 1)))


# The opset of all session tests.
OPSETS = tuple(sorted({10, 11, 12, 13, 15, 16, 18, 20, 21, newest_opset()}))


def wrong_in_onnx_before(version: tuple[int, int], what: str) -> pytest.MarkDecorator:
    """Expects the test to fail with an older onnx, whose own reference evaluator is wrong, and nothing of ours."""
    installed = tuple(map(int, onnx.__version__.split(".")[:2]))
    return pytest.mark.xfail(installed < version, reason=f"onnx.reference before {version[0]}.{version[1]}: {what}")
