"""Files that commands read and write: no pipe is waited for, no input is written over, and a file is replaced whole."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from onnx_roialign.errors import RoiAlignError

__all__ = ["check_output", "check_outputs", "read_file", "write_file"]


def read_file(path: Path) -> bytes:
    """Returns the content of a regular file; a pipe or a device, which might never end, is an error.

    Raises:
        OSError: it cannot be read.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return path.read_bytes()


def check_output(option: str, path: Path | None, others: Mapping[str, Path | None]) -> None:
    """Refuses a file that cannot be written, before the work whose result goes into it.

    Args:
        option: that names the file, for messages.
        path: of the file; None: the option is not given.
        others: the command's other files by their options, None where not given; the file must be none of them.

    Raises:
        RoiAlignError: the file is one of the others, is a folder, or its folder cannot be written to.
    """
    if path is None:
        return
    for name, other in others.items():
        if other is not None and _is_same(path, other):
            raise RoiAlignError(option, "conflict", f"must be another file than {name}, got {str(path)!r}")
    with _refused(option, path):
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with contextlib.suppress(FileNotFoundError):  # a name may be too long
            os.lstat(path)
        if not os.path.lexists(path) or os.path.isfile(path):
            with _beside(Path(os.path.realpath(path))):
                pass


def check_outputs(outputs: Mapping[str, Path | None], inputs: Mapping[str, Path | None]) -> None:
    """Refuses files as `check_output`, and outputs that are the same file.

    Args:
        outputs: the files to write by their options, None where not given.
        inputs: the files to read, likewise.
    """
    others = dict(inputs)
    for option, path in outputs.items():
        check_output(option, path, others)
        others[option] = path


def write_file(option: str, path: Path, data: bytes) -> None:
    """Writes a file: whole, or it stays what it was. Into a pipe or a device, the bytes are written as they are.

    Raises:
        RoiAlignError: it cannot be written, such as a pipe that nobody reads; the message begins with `option`.
    """
    with _refused(option, path):
        if os.path.exists(path) and not os.path.isfile(path):
            descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe without a reader is refused
            os.set_blocking(descriptor, True)
            with open(descriptor, "wb") as file:
                file.write(data)
            return
        target = Path(os.path.realpath(path))
        with _beside(target) as temporary:
            temporary.write_bytes(data)
            if target.exists():
                shutil.copymode(target, temporary)
            temporary.replace(target)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A new file in the folder of another, which is gone afterwards unless it was renamed."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")  # the other's name may be as long as a name can be
    try:
        temporary.touch(exist_ok=False)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _is_same(path: Path, other: Path) -> bool:
    """Whether two paths are one file, which one of them may not be yet; a device may be written twice."""
    if os.path.exists(path) and os.path.exists(other):
        return os.path.isfile(path) and os.path.samefile(path, other)
    try:
        return os.path.realpath(path) == os.path.realpath(other)
    except ValueError:  # a null character, in a name that a model has of another file
        return False


@contextlib.contextmanager
def _refused(option: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RoiAlignError(
            option, "file", f"must be a file to write, got {str(path)!r} ({error.strerror or error})"
        ) from error
