"""Measures how much the results of a RoiAlign change with its semantics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import Semantics

__all__ = ["largest_change"]

# Boxes in pixels of a 12 x 16 feature map: of ordinary size, across a border, smaller than a pixel, without area.
_BOXES = ((1.0, 2.0, 10.0, 8.5), (-1.5, -1.0, 12.0, 5.5), (4.0, 4.0, 4.25, 4.25), (6.3, 3.1, 6.9, 9.0), (5, 5, 5, 5))
_SHAPE = (1, 2, 12, 16)


def largest_change(attributes: Attributes, changed: Semantics) -> float:
    """Returns the largest change of a result, for features in [0, 1), if the semantics were ``changed``.

    Bins without samples count with their value; a change between NaN and a number counts as 1.
    """
    rng = np.random.default_rng(0)
    X = rng.random(_SHAPE, dtype=np.float32)
    rois = (np.array(_BOXES) / attributes.spatial_scale).astype(np.float32)
    indices = np.zeros(len(rois), np.int64)
    here, there = (
        reference.roi_align(X, rois, indices, replace(attributes, semantics=semantics))
        for semantics in (attributes.semantics, changed)
    )
    change = np.where(np.isnan(here) & np.isnan(there), 0.0, np.abs(here - there))
    return float(np.max(np.where(np.isnan(change), 1.0, change)))
