"""The exceptions of onnx_roialign."""

from __future__ import annotations

__all__ = ["NativeLibraryError", "RoiAlignError", "UnreadableModelError"]


class RoiAlignError(ValueError):
    """An input, an attribute or a model that RoiAlign cannot answer; the text names it, the rule and what was given.

    Attributes:
        rule: the text without the node.
        node: name of the node of the model that it happened in; None where it concerns no node.
    """

    def __init__(self, rule: str = "", *, node: str | None = None) -> None:
        super().__init__(rule if node is None else f"{rule} (node {node!r})")
        self.rule = rule
        self.node = node

    def in_node(self, name: str) -> RoiAlignError:
        """The same error, saying which node of the model it happened in."""
        return RoiAlignError(str(self), node=name)


class UnreadableModelError(RoiAlignError):
    """What was given as a model is none: no such file, another format, damaged bytes, or a message without a graph."""


class NativeLibraryError(RuntimeError):
    """The compiled library is missing, cannot be loaded or lacks what was asked of it; the text says what to do."""
