"""Sources: the framework call that a model was exported from, as `parse` reads it."""

from __future__ import annotations

from onnx_roialign.definition.sources import parse

__all__ = ["parse"]
