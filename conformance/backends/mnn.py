"""MNN: the model is converted, then run as a module."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import _tools  # of MNN's wheel: its console script mnnconvert does more, and reaches the network
import MNN
import numpy as np
import onnx
import onnx.backend.base

__all__ = ["Backend"]


class Backend(onnx.backend.base.Backend):
    """`mnnconvert`, then `MNN.nn.load_module_from_file`."""

    name = "mnn"
    version = MNN.version()

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> _Prepared:
        """Returns a module.

        Raises:
            ValueError: MNN cannot convert the model.
        """
        with tempfile.TemporaryDirectory() as folder:
            source, target = (os.path.join(folder, name) for name in ("model.onnx", "model.mnn"))
            onnx.save(model, source)
            _tools.mnnconvert(["", "-f", "ONNX", "--modelFile", source, "--MNNModel", target, "--bizCode", "x"])
            if not os.path.exists(target):
                raise ValueError("the model must be one that mnnconvert writes, got no file")
            weights = {tensor.name for tensor in model.graph.initializer}
            inputs = [given.name for given in model.graph.input if given.name not in weights]
            outputs = [output.name for output in model.graph.output]
            return _Prepared(MNN.nn.load_module_from_file(target, inputs, outputs))


class _Prepared(onnx.backend.base.BackendRep):
    def __init__(self, module: Any) -> None:
        self._module = module

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        kinds = {np.dtype(np.float32): MNN.numpy.float32, np.dtype(np.int64): MNN.numpy.int32}
        given = []
        for array in inputs:
            if array.dtype not in kinds:
                raise TypeError(f"inputs must be float32 or int64, got {array.dtype}")
            plain = array.astype(np.int32) if array.dtype == np.int64 else array
            given.append(MNN.expr.const(plain, list(plain.shape), MNN.expr.NCHW, kinds[array.dtype]))
        found = self._module.forward(given)
        outputs = found if isinstance(found, (list, tuple)) else [found]
        return tuple(np.array(MNN.expr.convert(value, MNN.expr.NCHW).read()) for value in outputs)
