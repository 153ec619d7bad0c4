"""How a command ends with an error: one line on stderr, with --json also a document on stdout, and an exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from onnx_roialign.cli.output import document, to_json
from onnx_roialign.errors import ModelError, NativeLibraryError, RoiAlignError, UnreadableModelError, one_line

__all__ = ["EXIT_CODES", "INTERRUPTED", "error_record", "exit_code", "of_the_model", "refuse"]

_SUCCESS, WRONG_MODEL, _WRONG_ARGUMENT, _UNREADABLE, _MISSING = range(5)
INTERRUPTED = 130  # after Ctrl-C, as shells have it
EXIT_CODES = (
    f"Exit codes: {_SUCCESS} success, {WRONG_MODEL} something is wrong with the model, {_WRONG_ARGUMENT} an argument "
    f"is wrong, {_UNREADABLE} MODEL is not a readable ONNX model, {_MISSING} the installation lacks something that the "
    f"command needs, {INTERRUPTED} interrupted."
)


def exit_code(error: BaseException) -> int:
    """Returns the exit code of a command that ends with this error."""
    for kind, code in ((UnreadableModelError, _UNREADABLE), (ModelError, WRONG_MODEL), (NativeLibraryError, _MISSING)):
        if isinstance(error, kind):
            return code
    return _WRONG_ARGUMENT


def error_record(error: BaseException, message: str | None = None) -> dict[str, Any]:
    """Returns an error, with its message in one line (None: the error's own), as JSON types."""
    of_rule = error if isinstance(error, RoiAlignError) else None
    return {
        "message": one_line(error) if message is None else message,
        "code": of_rule and of_rule.code,
        "subject": (of_rule and of_rule.subject) or None,
        "node": of_rule and of_rule.node,
        "exit_code": exit_code(error),
    }


@contextlib.contextmanager
def of_the_model(*arguments: str) -> Iterator[None]:
    """An error that names none of these arguments becomes one of the model: the exit code is 1, not 2."""
    try:
        yield
    except RoiAlignError as error:
        if isinstance(error, ModelError) or error.subject in arguments:
            raise
        subject, code, rule = error.args
        raise ModelError(subject, code, rule, node=error.node) from error


def refuse(words: Sequence[str], command: str | None, error: BaseException, message: str | None = None) -> NoReturn:
    """Ends the process with an error.

    Args:
        words: the arguments of onnx-roialign.
        command: the command that they name; None: they name none.
        error: the error.
        message: its message in one line; None: the error's own.
    """
    message = one_line(error) if message is None else message
    if _wants_json(words):
        record = document(command, {"error": error_record(error, message), "ok": False})
        with contextlib.suppress(OSError, ValueError):  # an output that is gone is no second error
            sys.stdout.write(f"{to_json(record)}\n")
            sys.stdout.flush()
    sys.stderr.write(f"onnx-roialign: {message}\n")
    sys.exit(exit_code(error))


def _wants_json(words: Sequence[str]) -> bool:
    pairs = zip(words, [*words[1:], ""], strict=True)
    return any(word in ("--json", "--format=json") or (word, value) == ("--format", "json") for word, value in pairs)
