"""MNN: the model is converted, then run as a module."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import _tools  # of MNN's wheel: its console script mnnconvert does more, and reaches the network
import MNN
import numpy as np
import onnx
import onnx.backend.base

__all__ = ["Backend"]

_STDOUT, _STDERR = 1, 2
# The types of inputs that MNN's Python makes, which has int64 as int32.
_TYPES: dict[int, tuple[Any, Any]] = {
    onnx.TensorProto.FLOAT: (np.float32, MNN.numpy.float32),
    onnx.TensorProto.INT64: (np.int32, MNN.numpy.int32),
}


class Backend(onnx.backend.base.Backend):
    """`mnnconvert`, then `MNN.nn.load_module_from_file`."""

    name = "mnn"
    version = MNN.version()

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> bool:
        """Whether MNN's Python can make the inputs."""
        return all(value.type.tensor_type.elem_type in _TYPES for value in _inputs(model))

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> _Prepared:
        """Returns a module.

        Raises:
            ValueError: MNN cannot convert the model.
            NotImplementedError: because of an operator that it has not.
        """
        with tempfile.TemporaryDirectory() as folder:
            source, target, printed = (os.path.join(folder, name) for name in ("model.onnx", "model.mnn", "printed"))
            onnx.save(model, source)
            with _printing_to(printed):
                _tools.mnnconvert(["", "-f", "ONNX", "--modelFile", source, "--MNNModel", target, "--bizCode", "x"])
            if not os.path.exists(target):
                with open(printed, encoding="utf-8", errors="replace") as lines:
                    text = " ".join(lines.read().split())[-300:]
                raise (NotImplementedError if "Not Support" in text else ValueError)(f"mnnconvert: {text}")
            inputs = [value.name for value in _inputs(model)]
            outputs = [output.name for output in model.graph.output]
            return _Prepared(MNN.nn.load_module_from_file(target, inputs, outputs), model)


class _Prepared(onnx.backend.base.BackendRep):
    def __init__(self, module: Any, model: onnx.ModelProto) -> None:
        self._module = module
        self._types = [_TYPES[value.type.tensor_type.elem_type] for value in _inputs(model)]

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        given = [
            MNN.expr.const(array.astype(type_), list(array.shape), MNN.expr.NCHW, kind)
            for array, (type_, kind) in zip(inputs, self._types, strict=True)
        ]
        found = self._module.forward(given)
        outputs = found if isinstance(found, (list, tuple)) else [found]
        return tuple(np.array(MNN.expr.convert(value, MNN.expr.NCHW).read()) for value in outputs)


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


@contextlib.contextmanager
def _printing_to(path: str) -> Iterator[None]:
    """What C++ prints goes to a file: it is the reason where the model is not converted, and noise elsewhere."""
    kept = [os.dup(stream) for stream in (_STDOUT, _STDERR)]
    with open(path, "wb") as file:
        for stream in (_STDOUT, _STDERR):
            os.dup2(file.fileno(), stream)
        try:
            yield
        finally:
            for stream, original in zip((_STDOUT, _STDERR), kept, strict=True):
                os.dup2(original, stream)
                os.close(original)
