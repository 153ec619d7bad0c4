"""The arrays that most tests pool, and the reference's results for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from models import SHAPE
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import from_onnx

_rng = np.random.default_rng(0)
X = _rng.standard_normal((2, 5, 9, 11)).astype(np.float32)
ROIS = np.array([[0, 0, 10, 10], [1.5, 2, 17, 12.25], [-6, 1, 40, 8], [3, 3, 3.5, 3.25]], np.float32)
BATCH_INDICES = np.array([0, 1, 1, 0])
FEEDS = {"X": X, "rois": ROIS, "batch_indices": BATCH_INDICES}


def expected(opset: int, coordinate_mode: str | None = None, dtype: Any = np.float32, **attributes: Any) -> np.ndarray:
    """The reference's result for FEEDS at this opset, where coordinate_mode is the node's attribute, if it has one."""
    semantics = from_onnx(opset, coordinate_mode)
    return reference.roi_align(
        X.astype(dtype), ROIS.astype(dtype), BATCH_INDICES, Attributes(**{**SHAPE, **attributes}, semantics=semantics)
    )
