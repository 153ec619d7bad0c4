"""The exceptions of onnx_roialign."""

from __future__ import annotations

__all__ = ["NativeLibraryError", "RoiAlignError"]


class RoiAlignError(ValueError):
    """An input, an attribute or a model that RoiAlign cannot answer; the text names it, the rule and what was given."""

    def in_node(self, name: str) -> RoiAlignError:
        """The same error, saying which node of the model it happened in."""
        return RoiAlignError(f"{self} (node {name!r})")


class NativeLibraryError(RuntimeError):
    """The compiled library is missing, cannot be loaded or lacks what was asked of it; the text says what to do."""
