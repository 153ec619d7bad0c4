"""A worker process: it is started, runs cases one by one, and is killed where one takes too much time or memory."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from onnx_roialign.errors import RoiAlignError, shown

from .result import Status

__all__ = ["Identity", "Launch", "Limits", "LostError", "Reply", "Worker"]

_FOLDERS = re.compile(r"(?<!\S)/(?:[^\s/]+/)+")  # of files in a stack trace: another machine has others
_START_SECONDS = 120.0  # imports of a large runtime on a busy machine
_STOP_SECONDS = 2.0
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal
_POLL_SECONDS = 0.1  # a process fills about 0.3 GB in this time
_LONGEST_LINE = 1 << 20
_LONGEST_REMARK = 300  # characters of what a process printed before it ended
_STATUSES = ("ok", "unsupported", "error")


@dataclass(frozen=True, slots=True)
class Launch:
    """How a worker is started.

    Attributes:
        name: what the user calls the backend.
        command: the program and its arguments; it speaks the protocol of workers/PROTOCOL.md.
        environment: variables that it gets besides this process's own.
        known: file of known deviations; None: there is none.
        options: of `onnx-roialign conform`, by which the user chose it.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    known: Path | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a case may take.

    Attributes:
        seconds: of wall-clock time.
        megabytes: of resident memory, of the worker with its child processes.
    """

    seconds: float = 20.0
    megabytes: int = 2048


@dataclass(frozen=True, slots=True)
class Identity:
    """What a worker says of itself.

    Attributes:
        name: of the backend.
        version: of the backend; empty where unknown.
        environment: what it runs on, such as the version of its language.
    """

    name: str
    version: str
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker says of a case: status "ok" (the outputs are written), "unsupported" or "error", and a text."""

    status: str
    text: str


class LostError(Exception):
    """The worker did not survive the case: it crashed, or it was killed at a limit."""

    def __init__(self, status: Status, text: str) -> None:
        super().__init__(text)
        self.status = status


class Worker:
    """A worker process, which is started for the first case and again after each that it did not survive."""

    def __init__(self, launch: Launch, limits: Limits) -> None:
        self._launch = launch
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._remarks: collections.deque[str] = collections.deque(maxlen=20)
        self._threads: tuple[threading.Thread, ...] = ()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Identity:
        """Starts the process and returns what it says of itself.

        Raises:
            RoiAlignError: the program cannot be started, or it did not come up.
        """
        try:
            self._open()
            reply = self._ask({"do": "start"}, _START_SECONDS)
        except OSError as error:
            raise self._not_started(f"{error.strerror}: {error.filename}") from error
        except LostError as error:
            raise self._not_started(f"{error.status.value}: {error}") from error
        if reply.get("status", "ok") != "ok" or not isinstance(reply.get("name"), str):
            self.kill()
            raise self._not_started(_text(reply) or f"the reply {shown(reply)}")
        environment = reply.get("environment")
        known = environment if isinstance(environment, dict) else {}
        version = reply.get("version")
        return Identity(
            reply["name"], "" if version is None else str(version), {str(k): str(v) for k, v in known.items()}
        )

    def run(self, folder: Path) -> Reply:
        """Has the worker run the case in a folder, which is started before if it is not there.

        Raises:
            LostError: the worker did not survive, or could not be started again.
        """
        if self._process is None or self._process.poll() is not None:
            self.kill()
            try:
                self.start()
            except RoiAlignError as error:
                raise LostError(Status.CRASHED, str(error)) from error
        reply = self._ask({"do": "run", "folder": str(folder)}, self._limits.seconds)
        status = reply.get("status")
        if status not in _STATUSES:
            return Reply("error", f"the worker must reply with a status of {', '.join(_STATUSES)}, got {shown(reply)}")
        return Reply(status, _text(reply))

    def stop(self) -> None:
        """Ends the process: with the request `stop`, or else by force."""
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(OSError):
                self._send({"do": "stop"})
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Kills the process and its children, where there is one."""
        process, self._process = self._process, None
        if process is None:
            return
        for member in _tree(process.pid):
            with contextlib.suppress(psutil.Error):
                member.kill()
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)  # children of a process that has ended are in its group still
        process.wait()
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # what could not be sent is flushed once more
            process.stdin.close()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)  # each closes its pipe

    def _open(self) -> None:
        self._process = process = subprocess.Popen(
            self._launch.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **self._launch.environment},
            start_new_session=True,  # a group of its own, which can be killed as a whole
        )
        assert process.stdout is not None
        assert process.stderr is not None
        self._replies, self._remarks = queue.Queue(), collections.deque(maxlen=20)
        self._threads = (
            threading.Thread(target=_read, args=(process.stdout, self._replies), daemon=True),
            threading.Thread(target=_keep, args=(process.stderr, self._remarks), daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def _send(self, request: Mapping[str, str]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()

    def _ask(self, request: Mapping[str, str], seconds: float) -> dict[str, Any]:
        """Returns the reply to a request; the process is killed where there is none."""
        process = self._process
        assert process is not None
        while not self._replies.empty():  # a second reply to the request before
            if self._replies.get() is None:
                raise self._crashed()
        with contextlib.suppress(OSError):  # the process has ended, which is seen below
            self._send(request)
        deadline = time.monotonic() + seconds
        while True:
            ended = process.poll() is not None  # before the last look for a reply, which it may have left
            try:
                reply = self._replies.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if ended:  # a child process of it has the pipe open
                    raise self._crashed() from None
                self._check_memory()
                if time.monotonic() >= deadline:
                    self.kill()
                    raise LostError(Status.HUNG, f"no result within {seconds:g} s") from None
                continue
            if reply is None:
                raise self._crashed()
            return reply

    def _check_memory(self) -> None:
        assert self._process is not None
        megabytes = _resident(self._process.pid) / 2**20
        if megabytes > self._limits.megabytes:
            self.kill()
            raise LostError(Status.EXHAUSTED, f"took {megabytes:.0f} MB, more than {self._limits.megabytes}")

    def _crashed(self) -> LostError:
        """The error of a process that ended, or closed its output, without a reply."""
        process = self._process
        assert process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        code = process.poll()
        self.kill()
        if code is None:
            end = "its output was closed without a reply"
        elif code < 0:
            end = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        else:
            end = f"exit code {code} without a reply"
        remark = _FOLDERS.sub("", _words(self._remarks[-1]))[:_LONGEST_REMARK] if self._remarks else ""
        return LostError(Status.CRASHED, f"{end}: {remark}" if remark else end)

    def _not_started(self, reason: str) -> RoiAlignError:
        return RoiAlignError(
            "--backend or --worker", "failed", f"must be one that starts, got {self._launch.name!r} ({reason})"
        )


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The reply in a line; None where the line is none, but something that a library printed."""
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        reply = json.loads(line)
    except ValueError:
        return None
    return reply if isinstance(reply, dict) and not reply.keys().isdisjoint({"status", "name"}) else None


def _text(reply: Mapping[str, Any]) -> str:
    return _words(str(reply.get("text", "")))


def _words(text: str) -> str:
    return " ".join(_COLOURS.sub("", text).split())


def _read(pipe: IO[bytes], replies: queue.Queue[dict[str, Any] | None]) -> None:
    with pipe, contextlib.suppress(ValueError):
        while line := pipe.readline(_LONGEST_LINE):
            if (reply := _parsed(line)) is not None:
                replies.put(reply)
    replies.put(None)


def _keep(pipe: IO[bytes], remarks: collections.deque[str]) -> None:
    with pipe, contextlib.suppress(ValueError):
        while line := pipe.readline(_LONGEST_LINE):
            if line.strip():
                remarks.append(line.decode(errors="replace"))


def _tree(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:  # it has ended
        return []


def _resident(pid: int) -> int:
    total = 0
    for member in _tree(pid):
        with contextlib.suppress(psutil.Error):
            total += int(member.memory_info().rss)
    return total
