"""An ONNX Runtime that is too old for the library: it says its version, and has a table with one function."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

_GetApi = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)
_GetVersion = ctypes.CFUNCTYPE(ctypes.c_void_p)
_CreateStatus = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)


class OldRuntime(ctypes.Structure):
    """An OrtApiBase.

    Args:
        version: what it says.
        has: whether it has a version of the API.

    Attributes:
        told: code and text of each status that the library made; a status is 1.
    """

    _fields_ = (("get_api", _GetApi), ("get_version", _GetVersion))

    def __init__(self, version: str, has: Callable[[int], bool]) -> None:
        self.told: list[tuple[int, str]] = []

        def create_status(code: int, text: bytes) -> int:
            self.told.append((code, text.decode()))
            return 1

        # Kept here: ctypes frees a function that Python no longer knows. CreateStatus is slot 0 of every table.
        self._kept: Any = _CreateStatus(create_status), ctypes.create_string_buffer(version.encode())
        self._table = (ctypes.c_void_p * 1)(ctypes.cast(self._kept[0], ctypes.c_void_p))
        super().__init__(
            _GetApi(lambda number: ctypes.addressof(self._table) if has(number) else None),
            _GetVersion(lambda: ctypes.addressof(self._kept[1])),
        )
