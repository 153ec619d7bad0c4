"""Draws the test inputs of a proof: boxes of all sizes, on level boundaries and degenerate; and feature maps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from onnx import helper

from onnx_roialign.arrays import Array

__all__ = ["Boxes", "boxes_in_fixed_numbers", "boxes_per_image", "features", "one_of_each_level", "pool_of_boxes"]

_POWERS = [float(4.0**k) for k in range(3, 11)] + [float(56.0**2 * 4.0**k) for k in range(-2, 5)]


class Boxes:
    """Draws boxes in pixels of the image."""

    def __init__(self, seed: int, dtype: np.dtype[Any]) -> None:
        self._rng = np.random.default_rng(seed)
        self._dtype = dtype

    def ordinary(self, count: int) -> Array:
        """Boxes of all sizes, inside the image and across its edges."""
        corner = self._rng.uniform(-40, 600, (count, 2))
        size = 2 ** self._rng.uniform(0, 10, (count, 2))
        return np.hstack([corner, corner + size]).astype(self._dtype)

    def odd(self) -> Array:
        """Degenerate boxes: empty, mirrored along one axis and along both, a point, far outside the image."""
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
        """Boxes of exactly each area, and of the next smaller and next larger floating-point number."""
        real = np.float64 if self._dtype == np.float64 else np.float32
        exact = np.array([area for area in areas if np.isfinite(area) and area > 0], real)
        widths = np.concatenate([exact, np.nextafter(exact, real(0)), np.nextafter(exact, real(np.inf))])
        rows = np.zeros((len(widths), 4), real)
        rows[:, 2], rows[:, 3] = widths, 1
        with np.errstate(over="ignore"):
            rows = rows.astype(self._dtype)
        return rows[np.isfinite(rows).all(axis=1)]

    def shuffled(self, *parts: Array) -> Array:
        """The rows of all parts in random order."""
        rows = np.vstack(parts)
        return rows[self._rng.permutation(len(rows))]


def pool_of_boxes(draw: Boxes, areas: Sequence[float]) -> Array:
    """Boxes of every kind in random order, among them boxes of these areas and of the neighbouring numbers."""
    return draw.shuffled(draw.ordinary(60), draw.odd(), draw.of_areas([*areas, *_POWERS]))


def boxes_per_image(draw: Boxes, pool: Array, images: int) -> Iterator[list[Array]]:
    """Lists with the boxes of each image: none, one, the whole pool, and boxes that leave all levels but one empty."""
    none = pool[:0]
    yield [pool, *[draw.ordinary(9 + i) for i in range(images - 1)]]
    yield [none] * images
    yield [none] * (images - 1) + [draw.ordinary(1)]
    yield [draw.ordinary(1), *[none] * (images - 1)]
    for size in (20.0, 110.0, 330.0, 800.0):  # only one level gets boxes, each level in turn
        same_size = np.array([[3, 4, 3 + size, 4 + size * 1.1]] * 3, pool.dtype)
        yield [same_size, *[none] * (images - 1)]


def boxes_in_fixed_numbers(pool: Array, counts: Sequence[int | None], total: int | None) -> Iterator[list[Array]]:
    """Lists with the boxes of each image where the exporter fixed their number; together they cover the whole pool.

    Args:
        pool: boxes.
        counts: the number of boxes of each image; None where the model leaves it open.
        total: the number of boxes of all images; None where the model leaves it open.
    """
    fixed = sum(count for count in counts if count is not None)
    free = [i for i, count in enumerate(counts) if count is None]
    left = 3 * len(free) if total is None else max(total - fixed, 0)
    rows = fixed + left
    for part in range(-(-len(pool) // max(rows, 1))):
        sizes = [0 if count is None else count for count in counts]
        for i, image in enumerate(free):  # in turn: equal numbers, all in the first image, all in the last image
            even = left // len(free) + (left % len(free) if i == 0 else 0)
            sizes[image] = (even, left * (i == 0), left * (i == len(free) - 1))[part % 3]
        ends = list(itertools.accumulate(sizes))
        yield np.split(np.resize(np.roll(pool, -part * rows, axis=0), (rows, 4)), ends[:-1])


def one_of_each_level(pool: Array, levels: Array, count: int) -> Iterator[Array]:
    """Sets of boxes with exactly one box per level and one box without a level, until every box of the pool was drawn.

    Args:
        pool: boxes.
        levels: the level of each box; `count` for a box without a level.
        count: the number of levels.
    """
    by_level = [boxes for level in range(count + 1) if len(boxes := pool[levels == level])]
    for i in range(max((len(boxes) for boxes in by_level), default=0)):
        yield np.vstack([boxes[i % len(boxes)] for boxes in by_level])


def features(shape: Sequence[int | str] | None, place: int, images: int, dtype: int, seed: int) -> Array:
    """A small random feature map with the N and C of the shape, where it has them; its size depends on its place."""
    dims = list(shape or (None,) * 4)
    N = dims[0] if isinstance(dims[0], int) and dims[0] > 0 else images
    C = dims[1] if isinstance(dims[1], int) and dims[1] > 0 else 3
    rng = np.random.default_rng([seed, place])
    drawn = rng.standard_normal((N, C, max(40 >> place, 3), max(56 >> place, 4)))
    return drawn.astype(helper.tensor_dtype_to_np_dtype(dtype))
