"""The group of all commands: an error becomes one line, instead of typer's box or Python's traceback."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer.core

from onnx_roialign.cli.refusal import INTERRUPTED, refuse
from onnx_roialign.errors import NativeLibraryError, RoiAlignError

__all__ = ["OneLineErrors"]


class OneLineErrors(typer.core.TyperGroup):
    """Prints an error as one line and ends with its exit code."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Runs the command that the arguments name; ends the process."""
        given = args[0] if args else options.get("args")
        words = sys.argv[1:] if given is None else list(given)
        command = _named(self.commands, words)
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
            sys.stdout.flush()  # a full disk, or a reader that is gone, shows here and not when Python ends
        except BrokenPipeError:
            _discard_output()
            sys.exit(1)
        except (RoiAlignError, NativeLibraryError) as error:
            refuse(words, command, error)
        except MemoryError as error:
            refuse(
                words, command, error, "memory must hold the model and the arrays, got a request for more than there is"
            )
        except OSError as error:  # of the output, or of a file beside those that the options name
            _discard_output()
            text = f"{error.filename or 'the output'} must be readable or writable, got: {error.strerror or error}"
            refuse(words, command, error, text)
        except Exception as error:
            # typer's usage errors: depending on typer's version, their class is in click or in typer's copy of click.
            format_message = getattr(error, "format_message", None)
            if format_message is None:
                raise
            refuse(words, command, error, " ".join(str(format_message()).split()))
        if code == INTERRUPTED:  # what typer returns instead of KeyboardInterrupt
            raise KeyboardInterrupt
        sys.exit(code)


def _discard_output() -> None:
    """What could not be printed goes nowhere; Python would fail on it again when it ends."""
    with contextlib.suppress(OSError, ValueError):  # an output without a descriptor, or that is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _named(commands: Mapping[str, Any], words: Sequence[str]) -> str | None:
    """Returns the command that the words name, such as "conform compare"; None if they name none."""
    names = []
    for word in words:
        if word not in commands:
            break
        names.append(word)
        commands = getattr(commands[word], "commands", {})
    return " ".join(names) or None
