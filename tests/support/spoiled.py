"""A valid call of roi_align, the changes that spoil it, and the error that must follow."""

from __future__ import annotations

import re

import numpy as np
import pytest

from onnx_roialign import RoiAlignError


def good_call():
    return {
        "X": np.arange(432, dtype=np.float32).reshape(2, 3, 8, 9),  # linear in x and y
        "rois": np.float32([[0, 0, 4, 4], [1, 1, 5, 5], [2, 2, 6, 6]]),
        "batch_indices": np.array([0, 1, 0]),
    }


def refused(roi_align, message, **changes):
    call = {**good_call(), **changes}
    arrays = [call.pop(name) for name in ("X", "rois", "batch_indices")]
    with pytest.raises(RoiAlignError, match=f"^{re.escape(message)}$"):
        roi_align(*arrays, **call)


def rois_with(row, column, value, dtype=np.float32):
    rois = good_call()["rois"].astype(dtype)
    rois[row, column] = value
    return rois
