"""Sessions in which the execution provider fuses, and in which it does not."""

from __future__ import annotations

import numpy as np
from quiet import quiet_session
from tolerances import PASTED_FUSED

import onnx_roialign

NAME = onnx_roialign.ep_name()
CPU = "CPUExecutionProvider"


def by_provider(proto, fuse):
    return quiet_session(proto, "provider", providers=[(NAME, {"fuse": str(int(fuse))}), CPU])


def outcome(session, feeds):
    """The outputs of a run; None where it fails."""
    try:
        return session.run(None, feeds)
    except Exception:  # onnxruntime's have no common base
        return None


def assert_alike(got, want, *, pasted=True):
    """Two outcomes are the same: to the bit, or, where masks are pasted, as near as Resize is."""
    assert (got is None) == (want is None)
    for one, other in zip(got or [], want or [], strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        if pasted:
            np.testing.assert_allclose(one, other, rtol=PASTED_FUSED, atol=PASTED_FUSED)
        else:
            assert one.tobytes() == other.tobytes()
