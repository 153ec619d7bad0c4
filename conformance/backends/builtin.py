"""ONNX Runtime's own kernel, in the same sessions as ours."""

from __future__ import annotations

import onnxruntime

from onnx_roialign.conformance.own_backends import SessionBackend

__all__ = ["Backend"]


class Backend(SessionBackend):
    """`onnx_roialign.session` with engine "builtin"."""

    name = "builtin"
    version = onnxruntime.__version__
    engine = "builtin"
