"""Runs a trial in another process: a crash there is the trial's result and does not end the calling process."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from onnx_roialign.arrays import Array
from onnx_roialign.errors import one_line
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
    with tempfile.TemporaryFile() as stderr:
        with subprocess.Popen(_COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr) as process:
            try:
                trial = _follow(process, (str(model), dict(inputs), engine, repeat), after_run)
            finally:
                process.kill()  # it has ended, or the caller was interrupted
        return trial if trial is not None else _crash(engine, process.returncode, stderr)


def _follow(process: subprocess.Popen[bytes], task: tuple[Any, ...], after_run: Callable[[], None]) -> Trial | None:
    """Sends the task and reads until the trial arrives; None if the process ends before."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pickle.dump(task, process.stdin)
        process.stdin.close()
        while True:
            message = pickle.load(process.stdout)
            if isinstance(message, Trial):
                return message
            after_run()
    except (EOFError, BrokenPipeError, pickle.UnpicklingError):
        process.wait()
        return None


def _crash(engine: str, code: int, stderr: IO[bytes]) -> Trial:
    name = signal.Signals(-code).name if code < 0 and -code in set(signal.Signals) else f"exit code {code}"
    stderr.seek(0)
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    reason = f": {' '.join(lines[-1].split())[:_LONGEST]}" if lines else ""
    return Trial(engine, f"crashed ({name}){reason}", {}, 0.0, None)


def _serve() -> None:
    """Runs in the other process: reads a task from stdin, writes a 1 to stdout for each run and then the trial."""
    model, inputs, engine, repeat = pickle.load(sys.stdin.buffer)
    with os.fdopen(os.dup(1), "wb") as messages:
        os.dup2(2, 1)  # what libraries print must not mix with the messages

        def send(message: object) -> None:
            pickle.dump(message, messages)
            messages.flush()

        try:
            send(try_engine(model, inputs, engine, repeat=repeat, after_run=lambda: send(1)))
        except Exception as error:  # raised outside the engine, whose own exceptions the trial already holds
            send(Trial(engine, f"does not run: {one_line(error)}", {}, 0.0, None))


if __name__ == "__main__":
    _serve()
