"""Where a case samples its map, as the numbers of an SVG picture: pixels, RoI, bins and sample points of one RoI."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition.call import Call
from onnx_roialign.definition.element_types import coordinate_type
from onnx_roialign.definition.geometry import RoiAxis, all_positions, axis_grid, axis_samples, roi_axes
from onnx_roialign.errors import RoiAlignError

__all__ = ["Picture", "picture"]

_MARGIN = 1.5  # pixels of the map around it that are shown: a sample counts up to -1
_MOST_SAMPLES = 24  # per axis; more would cover the map
_MOST_PIXELS = 40  # per axis, with a line each


@dataclass(frozen=True, slots=True)
class Picture:
    """One RoI on its map; coordinates are pixels of the feature map, whose centres are integers.

    Attributes:
        roi: number of the RoI in the call.
        view: left, top, width and height of what is shown.
        size: (H, W) of the map.
        box: x1, y1, x2, y2 of the scaled RoI, after the offset.
        bins_x: the ends of bins along x, (output_width + 1,).
        bins_y: along y.
        samples_x: positions of samples along x, those outside the map too.
        samples_y: along y.
        wrong: (bin along y, bin along x) of the value that is looked at; None: none.
        grid: whether the map is small enough for a line per pixel.
    """

    roi: int
    view: tuple[float, float, float, float]
    size: tuple[int, int]
    box: tuple[float, float, float, float]
    bins_x: tuple[float, ...]
    bins_y: tuple[float, ...]
    samples_x: tuple[float, ...]
    samples_y: tuple[float, ...]
    wrong: tuple[int, int] | None
    grid: bool


def picture(call: Call, at: tuple[int, ...] | None) -> Picture | None:
    """Returns the picture of the RoI that a value is of; None where it cannot be drawn.

    Args:
        call: of the case.
        at: index of a value of Y: RoI, channel, bin along y, bin along x; None: the first RoI.
    """
    roi = at[0] if at else 0
    if call.X.ndim != 4 or call.rois.ndim != 2 or call.rois.shape[1] != 4:
        return None
    H, W = call.X.shape[2:]
    if roi >= len(call.rois) or not np.isfinite(call.rois[roi].astype(np.float64)).all() or min(H, W) < 1:
        return None
    rows = call.rois[roi : roi + 1].astype(coordinate_type(call.rois.dtype))
    try:
        axes = roi_axes(rows, (H, W), call.attributes)
        bins, samples = zip(*(_along(axis) for axis in axes), strict=True)
    except RoiAlignError:
        return None
    if not all(np.isfinite(ends).all() for ends in bins):
        return None
    view = (-_MARGIN, -_MARGIN, W - 1 + 2 * _MARGIN, H - 1 + 2 * _MARGIN)
    (y1, *_, y2), (x1, *_, x2) = (np.clip(ends, -1e4, 1e4) for ends in bins)
    wrong = (at[2], at[3]) if at and len(at) == 4 else None
    return Picture(
        roi,
        view,
        (H, W),
        (float(x1), float(y1), float(x2), float(y2)),
        _numbers(bins[1]),
        _numbers(bins[0]),
        _numbers(samples[1]),
        _numbers(samples[0]),
        wrong,
        max(H, W) <= _MOST_PIXELS,
    )


def _along(axis: RoiAxis) -> tuple[Array, Array]:
    """The ends of the bins and the positions of the samples along one axis."""
    grid = axis_grid(axis)
    ends = np.append(grid.base[0], grid.base[0, -1] + grid.step[0]).astype(np.float64)
    count = float(grid.count[0]) * axis.bins
    positions = all_positions(grid, 0).ravel() if count <= _MOST_SAMPLES else axis_samples(axis).position
    return ends, np.asarray(positions[:: max(1, len(positions) // _MOST_SAMPLES)], np.float64)


def _numbers(values: Array) -> tuple[float, ...]:
    return tuple(round(float(value), 2) for value in np.clip(values, -1e4, 1e4))
