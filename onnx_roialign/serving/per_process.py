"""One value for each key in each process: built at its first use, by one thread, and never taken over by a fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

__all__ = ["PerProcess"]

Value = TypeVar("Value")


class _Slot(Generic[Value]):
    """The value of one key; its lock is held while the value is built, so that other keys need not wait."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: Value | None = None


class PerProcess(Generic[Value]):
    """Values by key. Equal keys share a value in a process; a forked process starts without any.

    A session does not survive a fork: the threads of its pool exist only in the parent. Its destructor waits for them,
    so a forked process must not destroy the parent's sessions either.
    """

    def __init__(self) -> None:
        self._inherited: list[Any] = []
        self._begin()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[Hashable, _Slot[Value]] = {}

    def _forked(self) -> None:
        """Starts again: another thread of the parent may have held a lock, for ever in this process."""
        self._inherited.append(self._slots)
        self._begin()

    def get(self, key: Hashable, build: Callable[[], Value]) -> Value:
        """Returns the key's value in this process; builds it if there is none. An error of `build` leaves none."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
        with slot.lock:
            if slot.value is None:
                slot.value = build()
            return slot.value

    def drop(self, key: Hashable) -> None:
        """Forgets the key's value in this process, if there is one."""
        with self._lock:
            self._slots.pop(key, None)
