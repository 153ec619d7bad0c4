"""Apache TVM: its ONNX frontend, compiled by LLVM for the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.backend.base
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

__all__ = ["Backend"]


class Backend(onnx.backend.base.Backend):
    """`relax.frontend.onnx.from_onnx`, `tvm.compile` and a virtual machine."""

    name = "tvm"
    version = tvm.__version__

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> _Prepared:
        """Returns a virtual machine.

        Raises:
            NotImplementedError: the frontend has not an operator.
        """
        try:
            module = from_onnx(model, keep_params_in_input=False)
        except Exception as error:
            if "not supported" in str(error):
                raise NotImplementedError(str(error)) from error
            raise
        return _Prepared(relax.VirtualMachine(tvm.compile(module, "llvm"), tvm.cpu()))


class _Prepared(onnx.backend.base.BackendRep):
    def __init__(self, machine: Any) -> None:
        self._machine = machine

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        found = self._machine["main"](*(tvm.runtime.tensor(np.require(array, requirements="C")) for array in inputs))
        outputs = [found] if hasattr(found, "numpy") else list(found)
        return tuple(value.numpy() for value in outputs)
