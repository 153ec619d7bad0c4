"""Loads a model in another process with nothing but the library, as a server does, and runs it there."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import onnxruntime

from onnx_roialign.arrays import Array
from onnx_roialign.errors import ModelError, RoiAlignError, one_line
from onnx_roialign.sessions.child import Child, ChildEndedError, Parent
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.run_apart import Outcome
from onnx_roialign.sessions.silent import silent_options

__all__ = ["LoadedApart", "Tensor"]

_SECONDS = 300  # in which the model must load, and its runs must end


class Tensor(NamedTuple):
    """An input or output as ONNX Runtime reports it.

    Attributes:
        name: its name.
        type: such as "tensor(float)" or "seq(tensor(float))".
        shape: for each dimension its number, its name, or None; empty for a scalar and for an unknown rank.
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...]


class LoadedApart:
    """A session of another process, with the CPU provider and the library as only option.

    Args:
        model: path.
        library: path of the compiled library.

    Attributes:
        inputs: what a caller must pass.
        outputs: what a run returns.

    Raises:
        RoiAlignError: the model does not load, or this is a frozen app, which has no Python to start.
    """

    def __init__(self, model: str, library: str) -> None:
        if getattr(sys, "frozen", False):
            raise RoiAlignError("model", "unsupported", "must be deployed before an app is frozen, got a frozen app")
        self._child = Child((sys.executable, "-m", __name__))
        loaded = self._ask((model, library))
        if isinstance(loaded, str):
            self._child.end()
            raise ModelError("model", "failed", f"must load with the library alone, got {loaded}")
        self.inputs, self.outputs = (tuple(Tensor(*value) for value in values) for values in loaded)

    def __enter__(self) -> LoadedApart:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.end()

    def run(self, feeds: Sequence[Mapping[str, Array]]) -> list[Outcome]:
        """Returns the outcome of each feed; a crash or too much time is the outcome of all."""
        outcomes: list[Outcome] | str = self._ask(list(feeds))
        return [outcomes] * len(feeds) if isinstance(outcomes, str) else outcomes

    def _ask(self, question: object) -> Any:
        """Returns the process's reply, or the reason why it has none as a text."""
        try:
            return self._child.ask(question, _SECONDS)
        except ChildEndedError as ended:
            return " ".join(f"a process that ended with {ended.code}: {ended.last_line}".split())


def _outcome(session: onnxruntime.InferenceSession, feeds: Mapping[str, Array]) -> Outcome:
    try:
        return run_session(session, feeds)
    except Exception as error:  # onnxruntime raises exceptions of any type
        return one_line(error)


def _serve() -> None:
    """Runs in the other process: loads one model, then runs it until the parent wants nothing more."""
    parent = Parent()
    model, library = parent.receive()
    options = silent_options()
    options.register_custom_ops_library(library)
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        parent.send(one_line(error))
        return
    found = session.get_inputs(), session.get_outputs()  # as tuples: a class of this program's has another name there
    parent.send([[(value.name, value.type, tuple(value.shape)) for value in values] for values in found])
    while True:
        try:
            feeds = parent.receive()
        except EOFError:
            return
        parent.send([_outcome(session, one) for one in feeds])


if __name__ == "__main__":
    _serve()
