"""The compiled library from Python."""

from __future__ import annotations

from onnx_roialign.engines.installation import library_path
from onnx_roialign.engines.native import active_isa, available_isas, roi_align

__all__ = ["active_isa", "available_isas", "library_path", "roi_align"]
