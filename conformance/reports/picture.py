"""Where a case samples its map, as the few numbers from which the page draws pixels, RoI, bins and sample points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnx_roialign.definition.call import Call
from onnx_roialign.definition.element_types import coordinate_type
from onnx_roialign.definition.geometry import RoiAxis, axis_grid, roi_axes
from onnx_roialign.errors import RoiAlignError

__all__ = ["AxisPicture", "Picture", "picture"]

_FARTHEST = 1e4  # pixels; what is farther away is not on the map, nor the picture


@dataclass(frozen=True, slots=True)
class AxisPicture:
    """One RoI along one axis, in pixels of the feature map, whose centres are integers.

    Attributes:
        length: H or W.
        start: of the scaled RoI, after the offset.
        step: length of a bin.
        bins: output_height or output_width.
        count: samples per bin.
    """

    length: int
    start: float
    step: float
    bins: int
    count: int


@dataclass(frozen=True, slots=True)
class Picture:
    """One RoI on its map.

    Attributes:
        roi: its number in the call.
        y: along y.
        x: along x.
    """

    roi: int
    y: AxisPicture
    x: AxisPicture


def picture(call: Call, roi: int) -> Picture | None:
    """Returns the picture of a RoI; None where it cannot be drawn.

    Args:
        call: of the case.
        roi: its number.
    """
    if call.X.ndim != 4 or call.rois.ndim != 2 or call.rois.shape[1] != 4 or roi >= len(call.rois):
        return None
    H, W = call.X.shape[2:]
    if not np.isfinite(call.rois[roi].astype(np.float64)).all() or min(H, W) < 1:
        return None
    rows = call.rois[roi : roi + 1].astype(coordinate_type(call.rois.dtype))
    try:
        y, x = map(_along, roi_axes(rows, (H, W), call.attributes))
    except RoiAlignError:
        return None
    drawable = all(abs(value) <= _FARTHEST for one in (y, x) for value in (one.start, one.step))
    return Picture(roi, y, x) if drawable else None


def _along(axis: RoiAxis) -> AxisPicture:
    grid = axis_grid(axis)
    start, step = (float(f"{float(value):.6g}") for value in (grid.start[0], grid.step[0]))
    return AxisPicture(axis.length, start, step, axis.bins, int(grid.count[0]))
