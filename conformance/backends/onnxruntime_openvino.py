"""ONNX Runtime with OpenVINO's execution provider (the package onnxruntime-openvino).

The provider leaves a model of a single RoiAlign to the CPU provider, so X is added to 0 before; and a case that the
provider does not take as a whole is unsupported, for ONNX Runtime's own kernel would compute it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.backend.base
import onnxruntime
from onnx import helper, numpy_helper

__all__ = ["Backend"]

_SILENT = 4  # severity fatal
_PROVIDER = "OpenVINOExecutionProvider"


class Backend(onnx.backend.base.Backend):
    """An `InferenceSession` with OpenVINO's provider alone."""

    name = "onnxruntime-openvino"
    version = onnxruntime.__version__

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> _Prepared:
        """Returns a session.

        Raises:
            NotImplementedError: the provider leaves a node to the CPU provider.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _SILENT
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        provider = (_PROVIDER, {"device_type": "CPU", "precision": "FP32"})
        try:
            session = onnxruntime.InferenceSession(_with_addition(model).SerializeToString(), options, [provider])
        except Exception as error:
            if "fallback" in str(error):
                raise NotImplementedError(str(error)) from error
            raise
        return _Prepared(session)


def _with_addition(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with Add(X, 0) before a single RoiAlign of the graph's input X."""
    if len(model.graph.node) != 1 or model.graph.input[0].name != "X":
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    kind = model.graph.input[0].type.tensor_type.elem_type
    zero = numpy_helper.from_array(np.zeros((), helper.tensor_dtype_to_np_dtype(kind)), "zero")
    made.graph.initializer.append(zero)
    made.graph.node[0].input[0] = "X_added"
    made.graph.node.insert(0, helper.make_node("Add", ["X", "zero"], ["X_added"]))
    return made


class _Prepared(onnx.backend.base.BackendRep):
    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        names = [given.name for given in self._session.get_inputs()]
        return tuple(self._session.run(None, dict(zip(names, inputs, strict=True))))
