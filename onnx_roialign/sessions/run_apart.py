"""Runs models on many inputs in another process, so that a crash does not end the caller."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import onnx
from numpy.typing import NDArray

from onnx_roialign.errors import RoiAlignError, one_line
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.options import quiet_options
from onnx_roialign.sessions.session import session

__all__ = ["Outcome", "run_apart"]

Array = NDArray[Any]
Outcome = list[Array] | str  # the outputs of a run, or why it has none

_SECONDS = 300


def run_apart(
    models: Sequence[onnx.ModelProto], feeds: Sequence[Mapping[str, Array]], outputs: Sequence[Sequence[str]]
) -> list[list[Outcome]]:
    """Runs each model on each feed, RoiAligns on the compiled library, all in one process that is no other's.

    Args:
        models: each runs on every feed.
        feeds: array by name.
        outputs: for each model, the names of the outputs to return.

    Returns:
        Of each model, in the order of the feeds, the outputs of its runs.

    Raises:
        RoiAlignError: the process crashed or took too long.
    """
    task = pickle.dumps(
        ([model.SerializeToString() for model in models], list(feeds), [list(names) for names in outputs])
    )
    try:
        done = subprocess.run([sys.executable, "-m", __name__], input=task, capture_output=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise RoiAlignError("model", "failed", f"must run in {_SECONDS} s, got one that has not ended") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RoiAlignError(
            "model", "failed", f"must run, got a process that ended with {done.returncode}: {' '.join(said[-1:])}"
        )
    result: list[list[Outcome]] = pickle.loads(done.stdout)
    return result


def _run(model: bytes, feeds: Sequence[Mapping[str, Array]], outputs: list[str]) -> list[Outcome]:
    try:
        running = session(model, quiet_options())
    except Exception as error:  # after any exception of onnxruntime, the model does not load
        return [f"does not load: {one_line(error)}"] * len(feeds)

    def outcome(feed: Mapping[str, Array]) -> Outcome:
        try:
            return run_session(running, feed, outputs)
        except Exception as error:
            return f"does not run: {one_line(error)}"

    return [outcome(feed) for feed in feeds]


def _serve() -> None:
    models, feeds, outputs = pickle.load(sys.stdin.buffer)
    results = [_run(model, feeds, names) for model, names in zip(models, outputs, strict=True)]
    pickle.dump(results, sys.stdout.buffer)


if __name__ == "__main__":
    _serve()
