"""onnxruntime's side of a session: its version, and the config entries of its options."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import onnxruntime

from onnx_roialign.errors import NativeLibraryError

__all__ = ["check_version", "config_entry", "temporary_entry", "version"]

_OLDEST = (1, 20)


def version() -> tuple[int, int]:
    """The major and minor version of onnxruntime."""
    found = re.match(r"(\d+)\.(\d+)", onnxruntime.__version__)
    return (int(found[1]), int(found[2])) if found else _OLDEST  # a build without a number: let it try


def check_version() -> None:
    """Refuses an onnxruntime that is too old.

    Raises:
        NativeLibraryError: the text says which version is needed.
    """
    if version() < _OLDEST:
        raise NativeLibraryError(
            f"onnxruntime must be {_OLDEST[0]}.{_OLDEST[1]} or newer, got {onnxruntime.__version__}: "
            "pip install -U onnxruntime"
        )


def config_entry(options: onnxruntime.SessionOptions, key: str) -> str | None:
    """A session config entry, None where there is none."""
    try:
        return str(options.get_session_config_entry(key))
    except RuntimeError:
        return None


@contextlib.contextmanager
def temporary_entry(options: onnxruntime.SessionOptions, key: str, value: str | None) -> Iterator[None]:
    """Sets a session config entry for a while; as onnxruntime cannot take one away, an empty text stays."""
    if value is None:
        yield
        return
    before = config_entry(options, key)
    options.add_session_config_entry(key, value)
    try:
        yield
    finally:
        options.add_session_config_entry(key, "" if before is None else before)
