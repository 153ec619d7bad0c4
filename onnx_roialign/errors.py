"""The exceptions of onnx_roialign."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterator
from typing import Literal

__all__ = [
    "Code",
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


# The kind of rule that was broken. The input that broke it is the subject, which is an open set of names: inputs of
# models and feature maps of pyramids have any name.
Code = Literal[
    "type",  # of Python, or of the elements
    "shape",  # rank, sizes, or counts that must be equal
    "range",  # a number outside its limits, or not finite
    "choice",  # not one of the permitted values or names
    "missing",  # an argument, input, attribute or object that must be there
    "conflict",  # two arguments, or two opsets, that exclude each other
    "size",  # more than can be addressed or fits in memory
    "file",  # a file that cannot be read or written
    "form",  # a text or a file of another format
    "broken",  # a model that breaks one of ONNX's rules
    "unsupported",  # a request that the opset, the engine or the runtime cannot fulfil
    "failed",  # a model that does not run
]


class RoiAlignError(ValueError):
    """An input, an attribute or a model is invalid; the message names it, the rule and the value.

    Attributes:
        subject: the input, attribute or option that breaks the rule, as in the message; empty if the message does not
            begin with one.
        code: the kind of rule, one of `Code`; stable across versions, unlike the message.
        rule: the message without the node.
        node: name of the node in the model; None if the error is not about a node.
    """

    def __init__(self, subject: str, code: Code, rule: str, *, node: str | None = None) -> None:
        super().__init__(subject, code, rule)  # pickle and in_node() create the error again from its args
        self.subject = subject
        self.code: Code = code
        self.rule = f"{subject} {rule}" if subject else rule
        self.node = node

    def __str__(self) -> str:
        return self.rule if self.node is None else f"{self.rule} (node {self.node!r})"

    def in_node(self, name: str) -> RoiAlignError:
        """Returns the same error with the name of the node in the model."""
        return type(self)(*self.args, node=name)

    def about(self, name: str) -> RoiAlignError:
        """Returns the same error with another name for its subject."""
        _, code, rule = self.args
        return type(self)(name, code, rule, node=self.node)


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

    `onnx_roialign.onnx_model.soundness` has found the foreseeable defects before.

    Args:
        done: the participle in the message "model must be one that can be ...", such as "read".
    """
    try:
        yield
    except (RoiAlignError, NativeLibraryError):
        raise
    except Exception as error:
        reason = one_line(error)[:200]
        raise ModelError(
            "model", "broken", f"must be one that can be {done}, got {type(error).__name__}: {reason}"
        ) from error


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
