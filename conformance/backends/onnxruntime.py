"""ONNX Runtime as it is installed, in an environment that need not have this package."""

from __future__ import annotations

from typing import Any

import onnx
import onnx.backend.base
import onnxruntime

__all__ = ["Backend"]

_SILENT = 4  # severity fatal
_NEWER_OPSET = "is under development and support for this is limited"


onnxruntime.set_default_logger_severity(_SILENT)


class Backend(onnx.backend.base.Backend):
    """An `InferenceSession` with the CPU provider."""

    name = "onnxruntime"
    version = onnxruntime.__version__

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> _Prepared:
        """Returns a session; onnxruntime's exception NotImplemented says that it has no kernel.

        Raises:
            NotImplementedError: the model's opset is newer than this onnxruntime.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _SILENT
        options.intra_op_num_threads = 1
        try:
            return _Prepared(onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"]))
        except Exception as error:
            if _NEWER_OPSET in str(error):
                raise NotImplementedError(str(error)) from error
            raise


class _Prepared(onnx.backend.base.BackendRep):
    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        names = [given.name for given in self._session.get_inputs()]
        return tuple(self._session.run(None, dict(zip(names, inputs, strict=True))))
