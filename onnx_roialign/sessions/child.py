"""A Python process that exchanges objects with this one, so that a crash in it does not end this process."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

__all__ = ["Child", "ChildEndedError", "Parent"]


class ChildEndedError(Exception):
    """The process ended before it sent what was expected.

    Attributes:
        code: its exit code; negative: the number of the signal that ended it.
        last_line: the last line that it wrote to stderr; empty: none.
        late: whether `Child.ask` ended it, because it took too long.
    """

    def __init__(self, code: int, last_line: str, *, late: bool = False) -> None:
        super().__init__(code, last_line)
        self.code = code
        self.last_line = last_line
        self.late = late


class Child:
    """A process that runs a command of Python, which talks to this process through a `Parent`."""

    def __init__(self, command: Sequence[str]) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 -- `end` closes it
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._stderr)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def send(self, message: object) -> None:
        """Sends an object that can be pickled.

        Raises:
            ChildEndedError: the process has ended.
        """
        assert self._process.stdin is not None
        try:
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None

    def receive(self) -> Any:
        """Waits for an object from the process.

        Raises:
            ChildEndedError: the process ended first.
        """
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError):
            raise self._ended() from None

    def ask(self, message: object, seconds: float) -> Any:
        """Sends an object and returns the process's reply; after so many seconds the process is ended.

        Raises:
            ChildEndedError: the process ended first, or took too long.
        """
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            self.send(message)
            return self.receive()
        except ChildEndedError as ended:
            raise ChildEndedError(ended.code, ended.last_line, late=late.is_set()) from None
        finally:
            timer.cancel()

    def end(self) -> None:
        """Ends the process, if it still runs, and closes its pipes."""
        self._process.kill()
        self._process.communicate()
        self._stderr.close()

    def _ended(self) -> ChildEndedError:
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return ChildEndedError(code, lines[-1] if lines else "")


class Parent:
    """The other end of a `Child`, in its process. Whatever libraries print to stdout goes to stderr."""

    def __init__(self) -> None:
        self._messages = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)

    def receive(self) -> Any:
        """Waits for an object from the parent process.

        Raises:
            EOFError: the parent has ended or wants nothing more.
        """
        return pickle.load(sys.stdin.buffer)

    def send(self, message: object) -> None:
        """Sends an object to the parent process."""
        pickle.dump(message, self._messages)
        self._messages.flush()
