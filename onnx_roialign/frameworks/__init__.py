"""The RoIAlign calls of other frameworks on NumPy arrays, without installing the frameworks.

Each module has its framework's names, arguments and defaults, and one more argument, `engine`: "native" is the compiled
library, "reference" the NumPy implementation. ``to_onnx`` writes a call as a model.
"""

from __future__ import annotations

from onnx_roialign.frameworks import detectron2, mindspore, mmdet, paddle, torchvision

__all__ = ["detectron2", "mindspore", "mmdet", "paddle", "torchvision"]
