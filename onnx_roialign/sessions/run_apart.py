"""Runs models on many inputs in another process, so that a crash does not end the calling process."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.errors import RoiAlignError, one_line
from onnx_roialign.sessions.child import Child, ChildEndedError, Parent
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import silent_options

__all__ = ["Apart", "Outcome"]

Outcome = list[Array] | str  # the outputs of a run, or the reason why it has none

_SECONDS = 300


class Apart:
    """A process that runs models. It starts with the first run, starts again after a crash, and ends with `close`."""

    def __init__(self) -> None:
        self._child: Child | None = None

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
        if getattr(sys, "frozen", False):
            raise RoiAlignError("model", "unsupported", "must be fused before an app is frozen, got a frozen app")
        if self._child is None:
            self._child = Child((sys.executable, "-m", __name__))
        task = ([model.SerializeToString() for model in models], list(feeds), [list(names) for names in outputs])
        try:
            result: list[list[Outcome]] = self._child.ask(task, _SECONDS)
        except BaseException as error:  # a part of a task or of its result may have been read
            self.close()
            if not isinstance(error, ChildEndedError):
                raise
            rule = f"must run, got a process that ended with {error.code}: {error.last_line}"
            if error.late:
                rule = f"must run in {_SECONDS} s, got one that has not ended"
            raise RoiAlignError("model", "failed", rule) from None
        return result

    def close(self) -> None:
        """Ends the process, if there is one."""
        if self._child is not None:
            self._child.end()
            self._child = None


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
    """Runs tasks until the parent process wants nothing more."""
    parent = Parent()
    while True:
        try:
            models, feeds, outputs = parent.receive()
        except EOFError:
            return
        parent.send([_run(model, feeds, names) for model, names in zip(models, outputs, strict=True)])


if __name__ == "__main__":
    _serve()
