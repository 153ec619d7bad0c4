"""onnxruntime: sessions in which every RoiAlign of a model runs on the engine that was asked for."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import onnx
import onnxruntime

from onnx_roialign import model as models
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.model import Model
from onnx_roialign.native import library_path
from onnx_roialign.options import check_version, config_entry

__all__ = ["ENGINES", "register", "session"]

ENGINES = ("native", "reference", "builtin")

# The keys of kernels/register.cpp: the first tells the kernels the opset, the second is the library's own mark.
_OPSET_ENTRY = "onnx_roialign.opset"
_LIBRARY_ENTRY = "onnx_roialign.registration"


def register(sess_options: onnxruntime.SessionOptions, model: Model) -> None:
    """Makes a session of these options run every RoiAlign of this model on the compiled library.

    Registers the library and tells it the model's opset, on which the meaning of a RoiAlign without
    coordinate_transformation_mode depends. Options can be registered again, for the same model or another; each session
    keeps the meaning that held when it was created.

    Args:
        sess_options: options to build an `onnxruntime.InferenceSession` from; not shared with another thread meanwhile.
        model: path, bytes or ModelProto of the session's model. External data is not read.

    Raises:
        RoiAlignError: no model, or nodes without the attribute at opsets that disagree on what it means.
        NativeLibraryError: the compiled library is missing, or onnxruntime is too old for it.
    """
    _register(sess_options, models.parse(model))


def session(
    model: Model,
    sess_options: onnxruntime.SessionOptions | None = None,
    *,
    engine: str = "native",
    providers: Sequence[Any] = ("CPUExecutionProvider",),
    **kwargs: Any,
) -> onnxruntime.InferenceSession:
    """Builds an onnxruntime session in which every RoiAlign, the private ones of this package too, runs on one engine.

    Args:
        model: path, bytes or ModelProto. Models with external data, and so those over 2 GB, work from a path.
        sess_options: the session's options, which gain what the engine needs and can be passed again, with the same
            engine or another; not shared with another thread meanwhile.
        engine: "native", the compiled library in the place of onnxruntime's own kernel; "reference", NumPy inside the
            session (slow; runs of one session wait for each other); "builtin", onnxruntime's own kernel, which knows no
            private op.
        providers: execution providers, best first.
        **kwargs: further arguments of `onnxruntime.InferenceSession`.

    Returns:
        The session. The model itself is never changed.

    Raises:
        RoiAlignError: an unknown engine, no model, options that carry another engine, or with engine "reference" a
            RoiAlign that cannot be answered, which the native library refuses through onnxruntime's exceptions.
        NativeLibraryError: the compiled library is missing, or onnxruntime is too old for it.
    """
    if engine not in ENGINES:
        raise RoiAlignError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    options = onnxruntime.SessionOptions() if sess_options is None else sess_options
    if engine == "builtin":
        if config_entry(options, _LIBRARY_ENTRY) is not None:
            raise RoiAlignError(
                "sess_options must not carry onnx_roialign's library with engine 'builtin', "
                "got options that it was registered on; pass new ones"
            )
        return onnxruntime.InferenceSession(_source(model), options, list(providers), **kwargs)
    check_version()
    proto = models.parse(model)
    _warn_of_other_providers(proto, engine, providers)
    if engine == "reference":
        from onnx_roialign import python_op  # the one engine that needs onnxruntime-extensions

        folder = None if isinstance(model, (bytes, onnx.ModelProto)) else os.path.dirname(os.path.abspath(model))
        return python_op.session(proto, folder, options, list(providers), **kwargs)
    _register(options, proto)
    return onnxruntime.InferenceSession(_source(model), options, list(providers), **kwargs)


def _register(options: onnxruntime.SessionOptions, proto: onnx.ModelProto) -> None:
    check_version()
    path = library_path()
    opset = models.session_opset(proto)
    if opset is not None and config_entry(options, _OPSET_ENTRY) != str(opset):
        options.add_session_config_entry(_OPSET_ENTRY, str(opset))
    options.register_custom_ops_library(path)


def _source(model: Model) -> str | bytes:
    if isinstance(model, onnx.ModelProto):
        return models.to_bytes(model)
    return model if isinstance(model, bytes) else os.fspath(model)


def _warn_of_other_providers(proto: onnx.ModelProto, engine: str, providers: Sequence[Any]) -> None:
    names = [provider if isinstance(provider, str) else provider[0] for provider in providers]
    others = [name for name in names if name != "CPUExecutionProvider"]
    if others and any(models.is_ours(node) for scope in models.scopes(proto) for node in scope.nodes):
        warnings.warn(
            f"engine {engine!r} runs RoiAlign on the CPU: {', '.join(others)} must copy its inputs and outputs; "
            "use engine='builtin' to leave it to onnxruntime",
            stacklevel=3,
        )
