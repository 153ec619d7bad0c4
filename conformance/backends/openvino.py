"""OpenVINO on the CPU, in float32 precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.backend.base
import openvino

__all__ = ["Backend"]

_BFLOAT16 = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16)


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
            if "not supported" in str(error).lower() or "No conversion rule found" in str(error):
                raise NotImplementedError(str(error)) from error
            raise
        return _Prepared(compiled)


class _Prepared(onnx.backend.base.BackendRep):
    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        # Copies: OpenVINO refuses scalars that cannot be written to.
        result = self._compiled([np.array(array) for array in inputs])
        return tuple(_of_its_type(result[output], output) for output in self._compiled.outputs)


def _of_its_type(array: Any, output: Any) -> Any:
    """OpenVINO gives NumPy the bits of bfloat16 as float16."""
    return array.view(_BFLOAT16) if output.get_element_type() == openvino.Type.bf16 else array
