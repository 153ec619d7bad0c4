"""More images, RoIs, channels, bins and pixels than one or two bytes count, or a 16-bit float."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from onnx_roialign.conformance.case import Case, Tier

from .building import Call, features, positive, roi_case
from .images import INDEX, SHAPE, TEXT, boxes
from .maxima import NO_SAMPLES

__all__ = ["MANY", "cases"]

MANY = 65537

spec = partial(roi_case, tier=Tier.SPEC)


def cases() -> Iterator[Case]:
    """Yields the cases of this group; their ids begin with "images/" too."""
    yield from _more_than_a_byte_holds()
    yield from _more_than_two_bytes_hold()


def _more_than_a_byte_holds() -> Iterator[Case]:
    yield spec(
        "images/300-images",
        "A batch index may exceed 127 and 255.",
        features(300, 1, 2, 3, seed=19),
        [[0.75, 0.75, 2.25, 1.5]] * 5,
        [299, 127, 128, 256, 255],
        source=INDEX,
        sampling_ratio=1,
    )
    yield spec(
        "images/300-rois",
        "There may be more than 255 RoIs.",
        features(1, 1, 8, 9, seed=20),
        boxes(300),
        source=SHAPE,
        sampling_ratio=1,
    )
    yield spec(
        "images/65537-channels",
        "Channels, and numbers of the output, may exceed 65535.",
        features(1, 65537, 1, 2, seed=23),
        [[0.75, 0.25, 1.25, 0.75]],
        source=SHAPE,
        sampling_ratio=1,
    )
    for height, width in ((1, 300), (300, 1), (40, 33)):
        yield spec(
            f"images/output-of-{height}x{width}",
            f"The output may have {height} rows and {width} columns.",
            features(1, 1, 8, 9, seed=21),
            [[1.25, 0.75, 7.5, 6.25]],
            source=SHAPE,
            output_height=height,
            output_width=width,
            sampling_ratio=1,
        )
    X = features(2, 1, 270, 300, seed=22)
    for grid, ratio in (("fixed", 2), ("adaptive", 0)):
        yield spec(
            f"images/map-of-270x300-{grid}",
            "Rows, columns and the pixels of a map may exceed 255 and 65535.",
            X,
            [[10.25, 5.75, 290.625, 262.125], [250.75, 240.25, 297.125, 266.5]],
            [0, 1],
            source=f'{TEXT}, X: "4-D feature map of shape (N, C, H, W)"',
            output_height=8,
            output_width=8,
            sampling_ratio=ratio,
        )


def _more_than_two_bytes_hold() -> Iterator[Case]:
    yield _many_rois()
    yield spec(
        f"images/{MANY}-images",
        "A batch index may exceed 65535, and is exact beyond 2048.",
        features(MANY, 1, 1, 2, seed=24),
        [[0.75, 0.25, 1.25, 0.75]] * 5,
        [MANY - 1, 2049, 32768, 4099, 65535],
        source=INDEX,
        sampling_ratio=1,
    )
    for name, H, W in (("3x70001", 3, 70001), ("70001x3", 70001, 3)):
        far = np.array([69990.25, 40000.75, 3001.25, 32766.5])
        near = np.full(4, 0.75)
        x, y = (far, near) if W > H else (near, far)
        long, short = np.full(4, 8.0), np.full(4, 1.0)
        width, height = (long, short) if W > H else (short, long)
        yield spec(
            f"images/map-of-{name}",
            "A map may have more than 65535 rows or columns.",
            features(1, 1, H, W, seed=25),
            np.stack([x, y, x + width, y + height], axis=1),
            source=f'{TEXT}, X: "4-D feature map of shape (N, C, H, W)"',
            output_height=1 if W > H else 4,
            output_width=4 if W > H else 1,
            sampling_ratio=2,
        )


def _many_rois() -> Case:
    # Most RoIs are without size, which costs even an interpreter little; the others sample one pixel each, where both
    # rules for a maximum agree.
    sampled = np.unique([*range(0, MANY, 997), 256, 4096, MANY - 2, MANY - 1])
    rois = np.full((MANY, 4), 3.5, np.float32)
    at = np.stack([1 + sampled % 7, 1 + sampled % 6], axis=1)
    rois[sampled] = np.concatenate([at + 0.125, at + 0.875], axis=1)
    X = positive(1, 1, 8, 9, seed=20)
    few = Call(X, rois[sampled], np.zeros(len(sampled), np.int64), 16, {"mode": "max"})
    Y = np.zeros((MANY, 1, 1, 1), np.float32)
    Y[sampled] = few.expected()
    return roi_case(
        f"images/{MANY}-rois",
        "There may be more than 65535 RoIs. Most of these have no size, so that their maximum is 0.",
        X,
        rois,
        source=f"{SHAPE}; {NO_SAMPLES}",
        tier=Tier.SETTLED,
        sides={"": Y},
        tolerance=few.tolerance(),
        mode="max",
    )
