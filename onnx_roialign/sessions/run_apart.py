"""Runs models on many inputs in another process, so that a crash does not end the calling process."""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from typing import IO

import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.errors import RoiAlignError, one_line
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import silent_options

__all__ = ["Apart", "Outcome"]

Outcome = list[Array] | str  # the outputs of a run, or the reason why it has none

_SECONDS = 300


class Apart:
    """A process that runs models. It starts with the first run, starts again after a crash, and ends with `close`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None  # what it writes to stderr
        self._files = contextlib.ExitStack()

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self, models: Sequence[onnx.ModelProto], feeds: Sequence[Mapping[str, Array]], outputs: Sequence[Sequence[str]]
    ) -> list[list[Outcome]]:
        """Runs each model on each feed, RoiAligns on the compiled library.

        Args:
            models: the models; each runs on every feed.
            feeds: arrays by input name.
            outputs: for each model, the names of the outputs to return.

        Returns:
            For each model its outcomes, in the order of the feeds.

        Raises:
            RoiAlignError: the process crashed or took too long, or this is a frozen app, which has no Python to start.
        """
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        task = ([model.SerializeToString() for model in models], list(feeds), [list(names) for names in outputs])
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(_SECONDS, end)
        timer.start()
        try:
            pickle.dump(task, process.stdin)
            process.stdin.flush()
            result: list[list[Outcome]] = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self._failure(late=late.is_set()) from None
        except BaseException:  # a part of a task may have been written
            self.close()
            raise
        finally:
            timer.cancel()
        return result

    def close(self) -> None:
        """Ends the process, if there is one."""
        if self._process is None:
            return
        self._process.kill()
        self._process.communicate()
        self._process = None
        self._files.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if getattr(sys, "frozen", False):
            raise RoiAlignError("model", "unsupported", "must be fused before an app is frozen, got a frozen app")
        if self._process is None:
            self._errors = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 -- the stack closes it
            command = [sys.executable, "-m", __name__]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._errors)
        return self._process

    def _failure(self, *, late: bool) -> RoiAlignError:
        assert self._process is not None
        assert self._errors is not None
        code = self._process.wait(_SECONDS)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        self.close()
        if late:
            return RoiAlignError("model", "failed", f"must run in {_SECONDS} s, got one that has not ended")
        return RoiAlignError(
            "model", "failed", f"must run, got a process that ended with {code}: {' '.join(lines[-1:])}"
        )


def _run(model: bytes, feeds: Sequence[Mapping[str, Array]], outputs: list[str]) -> list[Outcome]:
    try:
        running = session(model, silent_options())
    except Exception as error:  # onnxruntime raises exceptions of any type
        return [f"does not load: {one_line(error)}"] * len(feeds)

    def outcome(feed: Mapping[str, Array]) -> Outcome:
        try:
            return run_session(running, feed, outputs)
        except Exception as error:
            return f"does not run: {one_line(error)}"

    return [outcome(feed) for feed in feeds]


def _serve() -> None:
    """Runs tasks from stdin until it ends."""
    while True:
        try:
            models, feeds, outputs = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        results = [_run(model, feeds, names) for model, names in zip(models, outputs, strict=True)]
        pickle.dump(results, sys.stdout.buffer)
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
