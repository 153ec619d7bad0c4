"""The exceptions of onnx_roialign."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterator

__all__ = [
    "MissingPackageError",
    "ModelError",
    "NativeLibraryError",
    "RoiAlignError",
    "UnreadableModelError",
    "last_guard",
    "one_line",
    "shown",
]

# Characters of a value that a message shows: kernels/shown.cpp has the same number.
_MOST = 64


class RoiAlignError(ValueError):
    """An input, an attribute or a model is invalid; the message names it, the rule and the value.

    Attributes:
        rule: the message without the node.
        node: name of the node in the model; None if the error is not about a node.
        subject: name of the one input or attribute that breaks the rule; empty if there is not exactly one.
    """

    def __init__(self, rule: str = "", *, node: str | None = None, subject: str = "") -> None:
        super().__init__(rule if node is None else f"{rule} (node {node!r})")
        self.rule = rule
        self.node = node
        self.subject = subject

    def in_node(self, name: str) -> RoiAlignError:
        """Returns the same error with the name of the node in the model."""
        return type(self)(self.rule, node=name, subject=self.subject)

    def about(self, name: str) -> RoiAlignError:
        """Returns the same error with another name for its subject, with which its message begins."""
        return type(self)(name + self.rule.removeprefix(self.subject), subject=name)


class ModelError(RoiAlignError):
    """The content of a model is invalid; the arguments are not."""


class UnreadableModelError(ModelError):
    """The given model is not an ONNX model: no such file, another format, damaged bytes, or no graph."""


class NativeLibraryError(RuntimeError):
    """The compiled library is missing, cannot be loaded or lacks a feature; the message says what to do."""


class MissingPackageError(ModuleNotFoundError, NativeLibraryError):
    """An optional package is not installed; the message has the command that installs it."""


@contextlib.contextmanager
def last_guard(done: str) -> Iterator[None]:
    """Turns unforeseen exceptions of onnx or onnx-ir on an invalid model into a ModelError.

    `onnx_roialign.onnx_model.soundness` finds the foreseeable defects before.

    Args:
        done: the participle in the message "model must be one that can be ...", such as "read".
    """
    try:
        yield
    except (RoiAlignError, NativeLibraryError):
        raise
    except Exception as error:
        reason = one_line(error)[:200]
        raise ModelError(f"model must be one that can be {done}, got {type(error).__name__}: {reason}") from error


def one_line(error: BaseException) -> str:
    """Returns an exception's message in one line, with single blanks; the type's name if the message is empty."""
    return " ".join(str(error).split()) or type(error).__name__


def shown(value: object) -> str:
    """Returns a value of any type as messages show it: in one line, truncated if it is long."""
    try:
        if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
            return f"{float(value):.9g}"
        text = repr(value)
    except Exception:  # an integer of more digits than Python prints, or a __repr__ that fails
        text = f"a value of type {type(value).__name__}"
    text = " ".join(text.split())
    if len(text) <= _MOST:
        return text
    kept, quote = text[:_MOST], text[0] if text[0] in "'\"" else ""
    return f"{kept}...{quote}"
