"""The samples of a bin: fixed and adaptive grids, and bilinear interpolation between pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.conformance.case import Case, Tier

from .building import features, full, roi_case

__all__ = ["cases"]

TEXT = "ONNX's text of RoiAlign"
FIXED = f'{TEXT}, sampling_ratio: "If > 0, then exactly sampling_ratio x sampling_ratio grid points are used"'
CEIL = f'{TEXT}, sampling_ratio: "computed as ceil(roi_width / output_width), and likewise for height"'
BILINEAR = f'{TEXT}: "the value of the sampled locations are computed directly through bilinear interpolation"'
AGREE = (
    "torchvision 0.27, Paddle 3.3, ONNX Runtime 1.31 and TVM 0.27 agree in recorded calls on boxes whose corners are "
    "whole pixels"
)

spec = partial(roi_case, tier=Tier.SPEC)
settled = partial(roi_case, tier=Tier.SETTLED, source=AGREE)
LEGACY: Mapping[str, Any] = {"coordinate_transformation_mode": "output_half_pixel"}


def cases() -> Iterator[Case]:
    """Yields the cases of this group."""
    yield from _fixed()
    yield from _weights()
    yield from _places()
    yield from _adaptive()
    yield from _adaptive_exact()


def squares(H: int, W: int) -> Array:
    """Returns (1, 1, H, W) the features y * y + 2 * x * x: the mean depends on every position, not on their mean."""
    y, x = np.arange(H)[:, None], np.arange(W)
    return (y * y + 2 * x * x).astype(np.float32)[None, None]


def single_pixel(H: int, W: int, y: int, x: int) -> Array:
    """Returns (1, 1, H, W) zeros with one feature of 1."""
    X = np.zeros((1, 1, H, W), np.float32)
    X[0, 0, y, x] = 1
    return X


def _fixed() -> Iterator[Case]:
    for ratio in (1, 2, 3, 4, 5, 8, 9, 17):
        yield spec(
            f"sampling/fixed-grid-of-{ratio}",
            f"Each bin is sampled at the centres of {ratio} x {ratio} equal parts of it.",
            squares(12, 11),
            [[0.75, 1.25, 8.75, 9.25]],
            source=FIXED,
            output_height=2,
            output_width=1,
            sampling_ratio=ratio,
        )
    for ratio in (1, 2, 3, 4, 17):
        yield spec(
            f"sampling/fixed-grid-of-{ratio}-on-features",
            f"Each bin is the mean of {ratio} x {ratio} samples.",
            features(1, 2, 9, 8, seed=ratio),
            [[1.25, 0.75, 6.5, 7.25], [0.75, 1, 5, 3.5]],
            source=FIXED,
            output_height=2,
            output_width=2,
            sampling_ratio=ratio,
            **LEGACY,
        )
    yield spec(
        "sampling/fixed-grid-of-a-large-box-is-not-adaptive",
        "sampling_ratio=1 gives one sample per bin, however large the bin is.",
        features(1, 1, 20, 20),
        [[0.75, 1.25, 18.75, 17.25]],
        source=FIXED,
        output_height=2,
        output_width=2,
        sampling_ratio=1,
    )
    yield spec(
        "sampling/fixed-grid-of-a-small-box-is-not-adaptive",
        "sampling_ratio=4 gives 16 samples per bin, however small the bin is.",
        squares(8, 8),
        [[2.25, 1.25, 4.25, 3.25]],
        source=FIXED,
        output_height=4,
        output_width=2,
        sampling_ratio=4,
    )


def _weights() -> Iterator[Case]:
    for name, (y, x) in {
        "upper-left": (2, 2),
        "upper-right": (2, 3),
        "lower-left": (3, 2),
        "lower-right": (3, 3),
    }.items():
        yield spec(
            f"sampling/weight-of-the-{name}-neighbour",
            f"A sample at (2.25, 2.625) weighs its {name} neighbour by the product of one weight for each axis.",
            single_pixel(6, 6, y, x),
            [[2.125, 1.75, 3.125, 2.75]],
            source=BILINEAR,
            sampling_ratio=1,
            **LEGACY,
        )
    yield spec(
        "sampling/interpolation-along-y",
        "Between two rows the value changes linearly.",
        np.repeat(np.array([0, 1, 0, 0, 5, 0, 0, -3], np.float32)[:, None], 6, axis=1)[None, None],
        [[1, 0.75, 5, 6.75]],
        source=BILINEAR,
        output_height=8,
        output_width=1,
        sampling_ratio=1,
    )
    yield spec(
        "sampling/interpolation-along-x",
        "Between two columns the value changes linearly.",
        np.repeat(np.array([0, 1, 0, 0, 5, 0, 0, -3], np.float32)[None], 6, axis=0)[None, None],
        [[0.75, 1, 6.75, 5]],
        source=BILINEAR,
        output_height=1,
        output_width=8,
        sampling_ratio=1,
    )


def _places() -> Iterator[Case]:
    yield spec(
        "sampling/samples-on-pixels",
        "A sample in the centre of a pixel has that pixel's value.",
        features(1, 2, 7, 9),
        [[1, 1, 7, 5]],
        source=BILINEAR,
        output_height=4,
        output_width=6,
        sampling_ratio=1,
    )
    yield spec(
        "sampling/samples-halfway-between-pixels",
        "A sample halfway between four pixels is their mean.",
        features(1, 2, 7, 9),
        [[1, 1, 7, 5]],
        source=BILINEAR,
        output_height=4,
        output_width=6,
        sampling_ratio=1,
        **LEGACY,
    )
    yield spec(
        "sampling/constant-features-stay-constant",
        "The weights of a sample inside the map sum to 1, and the mean divides by the number of samples.",
        full(1.5, H=7, W=9),
        [[0.75, 1.25, 8.25, 6.25], [1.25, 0.75, 1.5, 6]],
        source=BILINEAR,
        output_height=3,
        output_width=2,
    )
    yield spec(
        "sampling/last-row-and-column-are-read",
        "A sample just before the last pixel reads the last pixel.",
        np.pad(np.zeros((1, 1, 5, 6), np.float32), ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=4),
        [[3.25, 2.25, 6.875, 5.875]],
        source=BILINEAR,
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )
    yield spec(
        "sampling/first-row-and-column-are-read",
        "A sample just after the first pixel reads the first pixel.",
        np.pad(np.zeros((1, 1, 5, 6), np.float32), ((0, 0), (0, 0), (1, 0), (1, 0)), constant_values=4),
        [[0.75, 0.75, 3.25, 4.25]],
        source=BILINEAR,
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )


# Sides in pixels, bins and the grid that follows: ceil(side / bins).
ADAPTIVE = [
    # height, width, output_height, output_width
    (5.25, 3.75, 2, 2),
    (2.25, 7.5, 2, 2),
    (7.5, 2.25, 2, 2),
    (8.5, 8.5, 1, 1),
    (9.75, 4.5, 1, 1),
    (4.5, 9.75, 1, 1),
    (10.25, 10.25, 4, 2),
    (10.25, 10.25, 2, 4),
    (6.25, 1.25, 4, 4),
    (0.5, 0.75, 1, 1),
    (1.75, 1.875, 1, 1),
    (2.0625, 2.9375, 1, 1),
    (7.25, 7.75, 3, 5),
    (9.5, 8.25, 7, 7),
    (3.25, 9.25, 7, 3),
    (11.5, 0.5, 1, 2),
]


def _adaptive() -> Iterator[Case]:
    for height, width, rows, columns in ADAPTIVE:
        for mode in ("half_pixel", "output_half_pixel"):
            if mode == "output_half_pixel" and (rows, columns) != (2, 2):
                continue
            yield spec(
                f"sampling/adaptive-{height:g}x{width:g}-in-{rows}x{columns}-bins-{mode.replace('_', '-')}",
                f"A RoI {height:g} pixels high and {width:g} wide, in {rows} x {columns} bins, is sampled at "
                f"{-(-height // rows):.0f} x {-(-width // columns):.0f} places per bin.",
                squares(14, 13),
                [[1.125, 0.875, 1.125 + width, 0.875 + height]],
                source=CEIL,
                coordinate_transformation_mode=mode,
                output_height=rows,
                output_width=columns,
            )
    for sides in (1, 2, 3, 6):
        for name, more in (("less", -1 / 4096), ("more", 1 / 4096)):
            yield spec(
                f"sampling/adaptive-grid-of-a-little-{name}-than-{sides}-per-bin",
                f"{sides} pixels per bin and 1/4096 {name} are sampled at {sides + (more > 0)} places.",
                squares(14, 22),
                [[1.125, 0.875, 1.125 + 2 * (sides + more), 0.875 + sides + more]],
                source=CEIL,
                output_width=2,
            )
    for height, width in ((19.5, 8.25), (8.25, 19.5), (33.25, 17.5), (40.75, 40.5), (65.5, 3.25)):
        yield spec(
            f"sampling/adaptive-grid-of-{-(-height // 1):.0f}x{-(-width // 1):.0f}",
            "The adaptive grid has no upper limit.",
            features(1, 1, 70, 50, seed=7),
            [[2.75, 1.75, 2.75 + width, 1.75 + height]],
            source=CEIL,
        )
    yield spec(
        "sampling/adaptive-grid-of-each-roi",
        "Every RoI has an adaptive grid of its own.",
        features(1, 2, 14, 14, seed=8),
        [[1.5, 1.5, 2.25, 2], [0.75, 0.75, 12, 5], [1.25, 2.25, 5.5, 13], [0.875, 0.875, 13, 13.25], [6, 6, 7.5, 7.75]],
        source=CEIL,
        output_height=2,
        output_width=2,
    )


def _adaptive_exact() -> Iterator[Case]:
    for height, width, rows, columns in (
        (4, 4, 2, 2), (4, 2, 1, 1), (8, 4, 2, 4), (6, 3, 3, 3), (1, 1, 1, 1),
    ):  # fmt: skip
        yield settled(
            f"sampling/adaptive-exact-{height}x{width}-in-{rows}x{columns}-bins",
            "Where the side is a multiple of the number of bins, the grid is the quotient, not one more.",
            squares(12, 13),
            [[1.5, 1.25, 1.5 + width, 1.25 + height]],
            output_height=rows,
            output_width=columns,
        )
