"""OpenCV's DNN module (the package opencv-python-headless, version 5 or newer)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import onnx
import onnx.backend.base

__all__ = ["Backend"]


class Backend(onnx.backend.base.Backend):
    """`cv2.dnn.readNetFromONNX`; inputs are set by their names."""

    name = "opencv"
    version = cv2.__version__

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> _Prepared:
        """Returns the network.

        Raises:
            NotImplementedError: OpenCV has no layer for an operator.
        """
        cv2.setNumThreads(1)
        try:
            net = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
        except cv2.error as error:
            if "Can't create layer" in str(error):
                raise NotImplementedError(str(error)) from error
            raise
        weights = {tensor.name for tensor in model.graph.initializer}
        names = [given.name for given in model.graph.input if given.name not in weights]
        return _Prepared(net, names, [output.name for output in model.graph.output])


class _Prepared(onnx.backend.base.BackendRep):
    def __init__(self, net: Any, inputs: list[str], outputs: list[str]) -> None:
        self._net, self._inputs, self._outputs = net, inputs, outputs

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        for name, array in zip(self._inputs, inputs, strict=True):
            self._net.setInput(array, name)
        return tuple(self._net.forward(self._outputs))
