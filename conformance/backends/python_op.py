"""The NumPy reference as a Python operator in a session."""

from __future__ import annotations

from onnx_roialign.conformance.own_backends import SessionBackend

__all__ = ["Backend"]


class Backend(SessionBackend):
    """`onnx_roialign.session` with engine "reference"."""

    name = "python-op"
    engine = "reference"
