"""The compiled kernel in a session, with the instruction set in $ONNX_ROIALIGN_ISA."""

from __future__ import annotations

from onnx_roialign.conformance.own_backends import SessionBackend
from onnx_roialign.engines.native import active_isa

__all__ = ["Backend"]


class Backend(SessionBackend):
    """`onnx_roialign.session` with engine "native"."""

    name = f"native:{active_isa()}"
    engine = "native"
