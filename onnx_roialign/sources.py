"""The sources that a converter's model can come from: `parse`."""

from __future__ import annotations

from onnx_roialign.definition.sources import parse

__all__ = ["parse"]
