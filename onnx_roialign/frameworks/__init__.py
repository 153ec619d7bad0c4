"""The RoIAlign calls of other frameworks on NumPy arrays, without the frameworks.

Each module has its framework's own names, arguments and defaults, and beside them `engine`: "native", the compiled
library, or "reference", NumPy. ``to_onnx`` writes a call as a model.
"""

from __future__ import annotations

from onnx_roialign.frameworks import mindspore, paddle, torchvision

__all__ = ["mindspore", "paddle", "torchvision"]
