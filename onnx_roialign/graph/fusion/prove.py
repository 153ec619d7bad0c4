"""The proof of a rewrite: the old part of the graph and the new one side by side, on inputs that tell them apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from onnx_roialign.errors import RoiAlignError
from onnx_roialign.sessions.run_apart import Outcome, run_apart

__all__ = ["Boxes", "boxes_that_tell", "disagreement"]

Array = np.ndarray[Any, Any]
Feed = Mapping[str, Array]

# Of the largest feature: RoIs that are pooled together in another order differ in the last bits.
_TOLERANCE = 2e-6
_TOLERANCE_16_BIT = 2e-3


def disagreement(
    old: onnx.ModelProto, new: onnx.ModelProto, feeds: Sequence[Feed], ends: tuple[str, str]
) -> str | None:
    """What tells the two apart; None where they agree on every feed.

    A feed without boxes on which the old one fails is one that the new one mends.

    Args:
        old: the part as it was.
        new: as it would be, of the same inputs.
        feeds: array by name.
        ends: the output of each.
    """
    try:
        before, after = run_apart([old, new], feeds, ends)
    except RoiAlignError as error:
        return str(error)
    for feed, one, other in zip(feeds, before, after, strict=True):
        if isinstance(one, str):
            if all(array.size for array in feed.values()):
                return f"the part that would be fused {one}"
            continue
        text = _differ(one, other, feed)
        if text is not None:
            return text
    return None


def _differ(one: Outcome, other: Outcome, feed: Feed) -> str | None:
    if isinstance(other, str) or isinstance(one, str):
        return f"the new node {other}"
    if one[0].dtype != other[0].dtype:
        return f"outputs of {one[0].dtype} and {other[0].dtype}"
    if one[0].shape != other[0].shape:
        return f"outputs of shapes {one[0].shape} and {other[0].shape}"
    if not one[0].size:
        return None
    floats = [array for array in feed.values() if array.ndim == 4 and array.size]
    bar = _TOLERANCE_16_BIT if one[0].dtype.itemsize == 2 else _TOLERANCE
    most = bar * max((float(np.abs(array.astype(np.float64)).max()) for array in floats), default=1.0)
    a, b = (outcome[0].astype(np.float64) for outcome in (one, other))
    wrong = ~((np.abs(a - b) <= most) | (np.isnan(a) & np.isnan(b)))
    if not wrong.any():
        return None
    row = int(np.argwhere(wrong)[0][0])
    return f"outputs that differ by {np.nanmax(np.abs(a - b)):.3g} (row {row} of {len(a)})"


class Boxes:
    """Draws boxes in pixels of the image."""

    def __init__(self, seed: int, dtype: np.dtype[Any]) -> None:
        self._rng = np.random.default_rng(seed)
        self._dtype = dtype

    def ordinary(self, count: int) -> Array:
        """Of all sizes, inside and across the edges."""
        corner = self._rng.uniform(-40, 600, (count, 2))
        size = 2 ** self._rng.uniform(0, 10, (count, 2))
        return np.hstack([corner, corner + size]).astype(self._dtype)

    def odd(self) -> Array:
        """Empty, turned round along one axis and along both, a point, far outside."""
        rows: list[list[float]] = [
            [5, 5, 5, 40],
            [5, 5, 40, 5],
            [9, 9, 9, 9],
            [60, 10, 20, 90],
            [60, 90, 20, 10],
            [20, 90, 60, 10],
        ]
        rows += [[-900, -900, -500, -400], [5000, 4000, 5300, 4200], [-0.0, 0.0, 0.0, 0.0], [0, 0, 1e-3, 1e-3]]
        return np.array(rows, self._dtype)

    def of_areas(self, areas: Sequence[float]) -> Array:
        """On each area exactly, and one unit in the last place to both sides."""
        real = np.float64 if self._dtype == np.float64 else np.float32
        exact = np.array([area for area in areas if np.isfinite(area) and area > 0], real)
        widths = np.concatenate([exact, np.nextafter(exact, real(0)), np.nextafter(exact, real(np.inf))])
        rows = np.zeros((len(widths), 4), real)
        rows[:, 2], rows[:, 3] = widths, 1
        with np.errstate(over="ignore"):
            rows = rows.astype(self._dtype)
        return rows[np.isfinite(rows).all(axis=1)]

    def shuffled(self, *parts: Array) -> Array:
        """The rows of all parts, in any order."""
        rows = np.vstack(parts)
        return rows[self._rng.permutation(len(rows))]


def boxes_that_tell(draw: Boxes, areas: Sequence[float], images: int) -> Iterator[list[Array]]:
    """For each image its boxes: none, one, ordinary ones, odd ones, and those on the boundaries between levels."""
    powers = [float(4.0**k) for k in range(3, 11)] + [float(56.0**2 * 4.0**k) for k in range(-2, 5)]
    all_of_them = draw.shuffled(draw.ordinary(60), draw.odd(), draw.of_areas([*areas, *powers]))
    none = all_of_them[:0]
    yield [all_of_them, *[draw.ordinary(9 + i) for i in range(images - 1)]]
    yield [none] * images
    yield [none] * (images - 1) + [draw.ordinary(1)]
    yield [draw.ordinary(1), *[none] * (images - 1)]
    for size in (20.0, 110.0, 330.0, 800.0):  # one level after the other gets no box
        only = np.array([[3, 4, 3 + size, 4 + size * 1.1]] * 3, all_of_them.dtype)
        yield [only, *[none] * (images - 1)]


def features(shape: Sequence[int | str] | None, place: int, images: int, dtype: int, seed: int) -> Array:
    """A small map of the N and C that are known; levels differ in size."""
    dims = list(shape or (None,) * 4)
    N = dims[0] if isinstance(dims[0], int) and dims[0] > 0 else images
    C = dims[1] if isinstance(dims[1], int) and dims[1] > 0 else 3
    rng = np.random.default_rng([seed, place])
    drawn = rng.standard_normal((N, C, max(40 >> place, 3), max(56 >> place, 4)))
    return drawn.astype(helper.tensor_dtype_to_np_dtype(dtype))
