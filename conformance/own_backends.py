"""The common parts of this package's own backends: onnx's backend interface around its sessions and evaluators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx
import onnx.backend.base
import onnxruntime

import onnx_roialign
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.installed import loads_opset
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import NOTHING, log_only, silent_options

__all__ = ["Prepared", "SessionBackend"]


class Prepared(onnx.backend.base.BackendRep):
    """A model that is ready to run: a function of the inputs in the order of the graph's inputs."""

    def __init__(self, run: Callable[[Sequence[Any]], Any]) -> None:
        self._run = run

    def run(self, inputs: Sequence[Any], **_: Any) -> tuple[Any, ...]:
        """Returns the outputs in the order of the graph's outputs."""
        return tuple(self._run(inputs))


class SessionBackend(onnx.backend.base.Backend):
    """`onnx_roialign.session` with the engine of a subclass."""

    engine = ""
    version = onnx_roialign.__version__
    environment = {"onnxruntime": onnxruntime.__version__}  # noqa: RUF012 as module constants, it is only read

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> bool:
        """Whether the installed onnxruntime supports the model's opset."""
        return all(loads_opset(entry.version) for entry in model.opset_import if entry.domain == "")

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether the device is the CPU."""
        return device == "CPU"

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> Prepared:
        """Returns a session of the model; onnxruntime raises NotImplemented if it has no kernel."""
        log_only(NOTHING)
        options = silent_options()
        options.intra_op_num_threads = 1  # cases are small and run in parallel
        running = session(model, options, engine=cls.engine)
        names = [graph_input.name for graph_input in running.get_inputs()]
        return Prepared(lambda inputs: run_session(running, dict(zip(names, inputs, strict=True))))
