"""Runs trials in other processes: a crash there is the trial's result and does not end the calling process."""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from onnx_roialign.arrays import Array
from onnx_roialign.errors import one_line
from onnx_roialign.sessions.child import Child, ChildEndedError, Parent
from onnx_roialign.sessions.settled import settle
from onnx_roialign.sessions.trial import Trial, try_engine

__all__ = ["try_engines_apart"]

_COMMAND = (sys.executable, "-m", "onnx_roialign.sessions.apart")
_LONGEST = 200  # characters of the last output of a process that ended


def try_engines_apart(
    model: Path,
    inputs: Mapping[str, Array],
    engines: Sequence[str],
    *,
    repeat: int = 1,
    after_run: Callable[[], None] = lambda: None,
) -> list[Trial]:
    """`trial.try_engine` on several engines, each in another process of this Python, timed in turns.

    ONNX Runtime's kernels crash on some inputs that they do not check; the crash becomes the trial's refusal. A
    temporarily slow machine slows all engines: in each turn every engine runs once, in a random, seeded order. Each
    process holds the model until all are timed.

    Args:
        model: path.
        inputs: arrays by input name.
        engines: some of `by_name.SESSION_ENGINES`, each once.
        repeat: measured runs per engine, at least 1.
        after_run: called after each of the 1 + `repeat` turns of each engine.

    Returns:
        A trial for each engine, in their order.
    """
    trials: dict[str, Trial] = {}
    order, rng = list(engines), random.Random(0)
    with contextlib.ExitStack() as stack:
        children = {engine: stack.enter_context(Child(_COMMAND)) for engine in engines}

        def take_turn(engine: str, message: object) -> None:
            result = _result(children[engine], engine, message)
            if result is not None:
                trials[engine] = result

        for engine in engines:
            take_turn(engine, (str(model), dict(inputs), engine, repeat))
            after_run()
        for _ in range(repeat):
            rng.shuffle(order)
            for engine in order:
                if engine not in trials:
                    take_turn(engine, None)
                after_run()
        for engine in engines:
            if engine not in trials:
                take_turn(engine, None)
    return [trials[engine] for engine in engines]


def _result(child: Child, engine: str, message: object) -> Trial | None:
    """Sends a message; returns the trial if it has ended, None if the process waits for its next turn."""
    try:
        child.send(message)
        result: Trial | None = child.receive()
    except ChildEndedError as ended:
        return _crash(engine, ended)
    return result


def _crash(engine: str, ended: ChildEndedError) -> Trial:
    code = ended.code
    name = signal.Signals(-code).name if code < 0 and -code in set(signal.Signals) else f"exit code {code}"
    reason = f": {' '.join(ended.last_line.split())[:_LONGEST]}" if ended.last_line else ""
    return Trial(engine, f"crashed ({name}){reason}", {}, (), None)


def _serve() -> None:
    """Runs in the other process: receives a task, sends None at the end of each turn, and at last the trial."""
    parent = Parent()
    model, inputs, engine, repeat = parent.receive()
    turns = itertools.count()

    def end_turn() -> None:
        if next(turns) % 2 == 0:  # after the first run, and after every second one from then on
            settle()
            parent.send(None)
            parent.receive()

    try:
        # Two runs in a turn, the first without counting: other engines ran since, so that caches are cold.
        trial = try_engine(model, inputs, engine, repeat=2 * repeat, after_run=end_turn)
        parent.send(replace(trial, milliseconds=trial.milliseconds[1::2]))
    except Exception as error:  # raised outside the engine, whose own exceptions the trial already holds
        parent.send(Trial(engine, f"does not run: {one_line(error)}", {}, (), None))


if __name__ == "__main__":
    _serve()
