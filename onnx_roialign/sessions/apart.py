"""Runs a trial in another process: a crash there is the trial's result and does not end the calling process."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from onnx_roialign.arrays import Array
from onnx_roialign.errors import one_line
from onnx_roialign.sessions.child import Child, ChildEndedError, Parent
from onnx_roialign.sessions.trial import Trial, try_engine

__all__ = ["try_engine_apart"]

_COMMAND = (sys.executable, "-m", "onnx_roialign.sessions.apart")
_LONGEST = 200  # characters of the last output of a process that ended


def try_engine_apart(
    model: Path,
    inputs: Mapping[str, Array],
    engine: str,
    *,
    repeat: int = 1,
    after_run: Callable[[], None] = lambda: None,
) -> Trial:
    """`trial.try_engine` in another process of this Python.

    ONNX Runtime's kernels crash on some inputs that they do not check; the crash becomes the trial's refusal.

    Args:
        model: path.
        inputs: arrays by input name.
        engine: one of `by_name.SESSION_ENGINES`.
        repeat: measured runs, at least 1.
        after_run: called after each of the 1 + `repeat` runs.
    """
    with Child(_COMMAND) as child:
        try:
            child.send((str(model), dict(inputs), engine, repeat))
            while True:
                message = child.receive()
                if isinstance(message, Trial):
                    return message
                after_run()
        except ChildEndedError as ended:
            return _crash(engine, ended)


def _crash(engine: str, ended: ChildEndedError) -> Trial:
    code = ended.code
    name = signal.Signals(-code).name if code < 0 and -code in set(signal.Signals) else f"exit code {code}"
    reason = f": {' '.join(ended.last_line.split())[:_LONGEST]}" if ended.last_line else ""
    return Trial(engine, f"crashed ({name}){reason}", {}, 0.0, None)


def _serve() -> None:
    """Runs in the other process: receives a task, sends a 1 for each run and then the trial."""
    parent = Parent()
    model, inputs, engine, repeat = parent.receive()
    try:
        parent.send(try_engine(model, inputs, engine, repeat=repeat, after_run=lambda: parent.send(1)))
    except Exception as error:  # raised outside the engine, whose own exceptions the trial already holds
        parent.send(Trial(engine, f"does not run: {one_line(error)}", {}, 0.0, None))


if __name__ == "__main__":
    _serve()
