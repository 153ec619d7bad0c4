"""onnx2torch: the model as a PyTorch module."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import numpy as np
import onnx
import onnx.backend.base
import onnx2torch
import torch

__all__ = ["Backend"]


class Backend(onnx.backend.base.Backend):
    """`onnx2torch.convert`."""

    name = "onnx2torch"
    version = importlib.metadata.version("onnx2torch")
    environment = {"torch": torch.__version__}  # noqa: RUF012 as module constants, it is only read

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> _Prepared:
        """Returns a module; onnx2torch's NotImplementedError says that it has no converter."""
        torch.set_num_threads(1)
        return _Prepared(onnx2torch.convert(model))


class _Prepared(onnx.backend.base.BackendRep):
    def __init__(self, module: Any) -> None:
        self._module = module

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        # A copy: torch needs memory that can be written to, and keeps the shape () of a scalar.
        with torch.no_grad():
            found = self._module(*(torch.from_numpy(np.array(array, order="C")) for array in inputs))
        outputs = found if isinstance(found, (list, tuple)) else [found]
        return tuple(value.numpy() for value in outputs)
