"""Sessions without onnxruntime's log, so that errors that tests provoke are not printed."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from calls import FEEDS

import onnx_roialign
from onnx_roialign.sessions import own_provider
from onnx_roialign.sessions.silent import silent_options

# The doors by which the library comes into a session of the installed onnxruntime.
DOORS = ("custom_op", "provider") if own_provider.is_supported() else ("custom_op",)
# What runs the RoiAligns of a session: the library by each door, and the Python op.
ENGINES = (*DOORS, "reference")


def quiet_options(**entries: str) -> onnxruntime.SessionOptions:
    """Silent session options with config entries; a double underscore in a name stands for a dot."""
    options = silent_options()
    for key, value in entries.items():
        options.add_session_config_entry(key.replace("__", "."), value)
    return options


def bare_options(opset: int | None = None) -> onnxruntime.SessionOptions:
    """Options as a caller from C, C++, C# or Java prepares them: the library, and perhaps the opset's config entry."""
    options = quiet_options() if opset is None else quiet_options(onnx_roialign__opset=str(opset))
    options.register_custom_ops_library(onnx_roialign.library_path())
    return options


def bare_session(proto: onnx.ModelProto, opset: int | None = None) -> onnxruntime.InferenceSession:
    """A session with the library alone, as from C++; `opset` is the config entry."""
    return onnxruntime.InferenceSession(proto.SerializeToString(), bare_options(opset), ["CPUExecutionProvider"])


def quiet_session(proto: Any, engine: str = "native", **kwargs: Any) -> onnxruntime.InferenceSession:
    """onnx_roialign.session() without onnxruntime's log; the engine may be one of DOORS."""
    return onnx_roialign.session(proto, quiet_options(), **how(engine), **kwargs)


def how(engine: str) -> dict[str, str]:
    """The arguments of onnx_roialign.session() for an engine or one of DOORS."""
    return {"engine": "native", "door": engine} if engine in DOORS else {"engine": engine}


def run(session: onnxruntime.InferenceSession, feeds: dict[str, np.ndarray] | None = None) -> np.ndarray:
    return session.run(None, FEEDS if feeds is None else feeds)[0]


def run_all(model: Any, feeds: dict[str, Any], **arguments: Any) -> list[Any]:
    """Runs a model in a session of this package and returns every output."""
    return quiet_session(model, **arguments).run(None, feeds)
