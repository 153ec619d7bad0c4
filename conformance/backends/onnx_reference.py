"""onnx.reference with its own RoiAlign."""

from __future__ import annotations

from typing import Any

import onnx
import onnx.backend.base
from onnx.reference import ReferenceEvaluator

__all__ = ["Backend"]


class Backend(onnx.backend.base.Backend):
    """`onnx.reference.ReferenceEvaluator`."""

    name = "onnx-reference"
    version = onnx.__version__

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether the device is the CPU."""
        return device == "CPU"

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> _Prepared:
        """Returns an evaluator of the model."""
        return _Prepared(ReferenceEvaluator(model))


class _Prepared(onnx.backend.base.BackendRep):
    def __init__(self, evaluator: ReferenceEvaluator) -> None:
        self._evaluator = evaluator

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        names = self._evaluator.input_names
        return tuple(self._evaluator.run(None, dict(zip(names, inputs, strict=True))))
