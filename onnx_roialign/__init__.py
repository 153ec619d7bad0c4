"""RoiAlign for ONNX: right, provable and fast."""

from __future__ import annotations

from onnx_roialign.call import roi_align
from onnx_roialign.errors import NativeLibraryError, RoiAlignError
from onnx_roialign.evaluator import RoiAlign, reference_evaluator
from onnx_roialign.identify import identify
from onnx_roialign.native import library_path
from onnx_roialign.runtime import register, session
from onnx_roialign.semantics import PRESETS, Semantics

__all__ = [
    "PRESETS",
    "NativeLibraryError",
    "RoiAlign",
    "RoiAlignError",
    "Semantics",
    "identify",
    "library_path",
    "reference_evaluator",
    "register",
    "roi_align",
    "session",
]

__version__ = "0.1.0"
