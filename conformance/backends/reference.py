"""onnx.reference with the RoiAlign of this package."""

from __future__ import annotations

from typing import Any

import onnx
import onnx.backend.base

import onnx_roialign
from onnx_roialign.conformance.own_backends import Prepared
from onnx_roialign.ops.evaluator import reference_evaluator

__all__ = ["Backend"]


class Backend(onnx.backend.base.Backend):
    """`onnx_roialign.reference_evaluator`."""

    name = "reference"
    version = onnx_roialign.__version__

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether the device is the CPU."""
        return device == "CPU"

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> Prepared:
        """Returns an evaluator of the model."""
        evaluator = reference_evaluator(model)
        names = evaluator.input_names
        return Prepared(lambda inputs: evaluator.run(None, dict(zip(names, inputs, strict=True))))
