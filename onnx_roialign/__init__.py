"""RoiAlign for ONNX: sessions, NumPy functions, and repair of exported models."""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from onnx_roialign.definition.semantics import PRESETS, Semantics
from onnx_roialign.engines.call import roi_align
from onnx_roialign.engines.installation import cmake_dir, include_dir, library_path, pkgconfig_dir
from onnx_roialign.engines.native import ep_name, ep_names
from onnx_roialign.errors import NativeLibraryError, RoiAlignError
from onnx_roialign.extras import imported_for
from onnx_roialign.identification.live import identify

if TYPE_CHECKING:
    from onnx_roialign._session import session
    from onnx_roialign.ops.evaluator import RoiAlign, reference_evaluator
    from onnx_roialign.sessions.by_provider import fused
    from onnx_roialign.sessions.session import register

__all__ = [
    "PRESETS",
    "NativeLibraryError",
    "RoiAlign",
    "RoiAlignError",
    "Semantics",
    "cmake_dir",
    "ep_name",
    "ep_names",
    "fused",
    "identify",
    "include_dir",
    "library_path",
    "pkgconfig_dir",
    "reference_evaluator",
    "register",
    "roi_align",
    "session",
]

__version__ = "0.1.0"

# Imported at first use (PEP 562): onnx.reference is slow to import, and onnxruntime may not be installed.
_MODULES = MappingProxyType(
    {
        "RoiAlign": "ops.evaluator",
        "fused": "sessions.by_provider",
        "reference_evaluator": "ops.evaluator",
        "register": "sessions.session",
        "session": "_session",
    }
)

_SUBMODULES = (
    "frameworks",
    "graph",
    "native",
    "serving",
    "sources",
)  # documented submodules, also imported at first use


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with imported_for(f"onnx_roialign.{name}"):
        value = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
