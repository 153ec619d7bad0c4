"""OpenVINO on the CPU, in float32 precision."""

from __future__ import annotations

from typing import Any

import onnx
import onnx.backend.base
import openvino

__all__ = ["Backend"]


class Backend(onnx.backend.base.Backend):
    """`Core.compile_model` with INFERENCE_PRECISION_HINT f32: its default may be less than the model's type."""

    name = "openvino"
    version = openvino.__version__.split("-")[0]

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> _Prepared:
        """Returns a compiled model.

        Raises:
            NotImplementedError: OpenVINO does not convert an operator, or its CPU plugin has none.
        """
        core = openvino.Core()
        try:
            compiled = core.compile_model(
                core.read_model(model.SerializeToString()),
                "CPU",
                {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1},
            )
        except Exception as error:
            if "not supported" in str(error).lower():
                raise NotImplementedError(str(error)) from error
            raise
        return _Prepared(compiled)


class _Prepared(onnx.backend.base.BackendRep):
    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        result = self._compiled(list(inputs))
        return tuple(result[output] for output in self._compiled.outputs)
