"""Sessions without onnxruntime's log of the errors that tests ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from calls import FEEDS

import onnx_roialign


def quiet_options(**entries: str) -> onnxruntime.SessionOptions:
    """Session options that keep onnxruntime's log of the errors that tests ask for off the screen."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    for key, value in entries.items():
        options.add_session_config_entry(key.replace("__", "."), value)
    return options


def bare_options(opset: int | None = None) -> onnxruntime.SessionOptions:
    """What a caller from C, C++, C# or Java has: the library, and perhaps the one config entry."""
    options = quiet_options() if opset is None else quiet_options(onnx_roialign__opset=str(opset))
    options.register_custom_ops_library(onnx_roialign.library_path())
    return options


def bare_session(proto: onnx.ModelProto, opset: int | None = None) -> onnxruntime.InferenceSession:
    """A session on the bare library, as from C++; the opset is what the config entry says."""
    return onnxruntime.InferenceSession(proto.SerializeToString(), bare_options(opset), ["CPUExecutionProvider"])


def quiet_session(proto: Any, engine: str = "native", **kwargs: Any) -> onnxruntime.InferenceSession:
    """onnx_roialign.session() without onnxruntime's log."""
    return onnx_roialign.session(proto, quiet_options(), engine=engine, **kwargs)


def run(session: onnxruntime.InferenceSession, feeds: dict[str, np.ndarray] | None = None) -> np.ndarray:
    return session.run(None, FEEDS if feeds is None else feeds)[0]


def run_all(model: Any, feeds: dict[str, Any], **arguments: Any) -> list[Any]:
    """Every output of a model in a session of ours."""
    return quiet_session(model, **arguments).run(None, feeds)
