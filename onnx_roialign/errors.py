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
    """An input, an attribute or a model that RoiAlign cannot answer; the text names it, the rule and what was given.

    Attributes:
        rule: the text without the node.
        node: name of the node of the model that it happened in; None where it concerns no node.
        subject: name of the one input or attribute that breaks the rule; empty where it is another thing, or several.
    """

    def __init__(self, rule: str = "", *, node: str | None = None, subject: str = "") -> None:
        super().__init__(rule if node is None else f"{rule} (node {node!r})")
        self.rule = rule
        self.node = node
        self.subject = subject

    def in_node(self, name: str) -> RoiAlignError:
        """The same error, saying which node of the model it happened in."""
        return type(self)(self.rule, node=name, subject=self.subject)

    def about(self, name: str) -> RoiAlignError:
        """The same error where its subject, with which its text begins, has another name."""
        return type(self)(name + self.rule.removeprefix(self.subject), subject=name)


class ModelError(RoiAlignError):
    """A model that nothing can be done with because of what is in it, not of what was asked for."""


class UnreadableModelError(ModelError):
    """What was given as a model is none: no such file, another format, damaged bytes, or a message without a graph."""


class NativeLibraryError(RuntimeError):
    """The compiled library is missing, cannot be loaded or lacks what was asked of it; the text says what to do."""


class MissingPackageError(ModuleNotFoundError, NativeLibraryError):
    """A package that is installed only where it is asked for; the text says by which command."""


@contextlib.contextmanager
def last_guard(done: str) -> Iterator[None]:
    """Turns what nobody foresaw, of onnx or onnx-ir on a model that they cannot take, into a ModelError.

    What can be foreseen is looked at before, by `onnx_roialign.onnx_model.soundness`.

    Args:
        done: what is done to the model, as in "a model that can be read".
    """
    try:
        yield
    except (RoiAlignError, NativeLibraryError):
        raise
    except Exception as error:
        reason = one_line(error)[:200]
        raise ModelError(f"model must be one that can be {done}, got {type(error).__name__}: {reason}") from error


def one_line(error: BaseException) -> str:
    """An exception's text in one line, every run of white space one blank; its type's name where it is empty."""
    return " ".join(str(error).split()) or type(error).__name__


def shown(value: object) -> str:
    """Returns a value as messages show it: in one line, cut where it is long; of whatever type it is."""
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
