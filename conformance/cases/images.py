"""The assignment of RoIs, images and channels, and the layout of the output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.conformance.case import Case, Tier

from .building import features, roi_case

__all__ = ["cases"]

TEXT = "ONNX's text of RoiAlign"
INDEX = f'{TEXT}, batch_indices: "each element denoting the index of the corresponding image in the batch"'
SHAPE = f'{TEXT}, Y: "4-D tensor of shape (num_rois, C, output_height, output_width)"'
BORDER = "torchvision 0.27, Paddle 3.3 and ONNX Runtime 1.31 in recorded calls on boxes across the border"
COLUMNS = f'{TEXT}, rois: "2-D input of shape (num_rois, 4) given as [[x1, y1, x2, y2], ...]"'

spec = partial(roi_case, tier=Tier.SPEC)
TWO: Mapping[str, Any] = {"output_height": 2, "output_width": 2, "sampling_ratio": 2}


def cases() -> Iterator[Case]:
    """Yields the cases of this group."""
    yield from _images()
    yield from _channels()
    yield from _counts()
    yield from _columns()
    yield from _shapes()
    yield from _more_than_a_byte_holds()


def boxes(count: int, seed: int = 0) -> Array:
    """Returns (count, 4) different boxes inside a map of 8 x 9 pixels, coordinates in quarters of a pixel."""
    k = np.arange(count) + 100 * seed
    x1, y1 = 3 + (7 * k + k // 9) % 13, 3 + (5 * k + k // 7) % 11
    return np.stack([x1, y1, x1 + 5 + (3 * k) % 11, y1 + 5 + (11 * k + k // 5) % 9], axis=1) / 4


def _images() -> Iterator[Case]:
    for name, images, indices in (
        ("shuffled", 4, [2, 0, 3, 1]),
        ("shuffled-and-repeated", 4, [3, 3, 0, 2, 2, 2, 1]),
        ("in-order", 3, [0, 1, 2]),
        ("reversed", 3, [2, 1, 0]),
        ("all-the-last", 3, [2, 2, 2, 2]),
        ("all-the-first", 3, [0, 0, 0]),
        ("one-roi-of-the-second", 2, [1]),
        ("fewer-rois-than-images", 5, [4, 1]),
        ("more-rois-than-images", 2, [1, 0, 1, 1, 0, 0, 1, 0, 1]),
    ):
        for mode in ("avg", "max") if name == "shuffled" else ("avg",):
            yield spec(
                f"images/{name}-{mode}",
                f"Every RoI is pooled from the image that its batch index names: {indices}.",
                features(images, 2, 8, 9, seed=11),
                boxes(len(indices)),
                indices,
                source=INDEX,
                mode=mode,
                **TWO,
            )
    yield spec(
        "images/the-same-box-on-every-image",
        "The same box on different images gives each image's own features.",
        features(3, 1, 8, 9, seed=12),
        np.repeat(boxes(1), 3, axis=0),
        [1, 2, 0],
        source=INDEX,
        **TWO,
    )
    yield spec(
        "images/adaptive-grids-on-shuffled-images",
        "Images and adaptive grids belong to the same RoI.",
        features(3, 3, 8, 9, seed=13),
        boxes(5, seed=1) + np.array([0, 0, 1, 1]) / 32,
        [2, 0, 1, 0, 2],
        source=INDEX,
        output_height=2,
        output_width=3,
    )


def _channels() -> Iterator[Case]:
    for channels in (1, 3, 4, 5, 8, 16, 17, 33):
        yield spec(
            f"images/{channels}-channels",
            f"Each of {channels} channels is pooled on its own and stands in its own place.",
            features(2, channels, 6, 7, seed=channels),
            [[0.75, 1.25, 5.5, 4.75], [1.25, 0.75, 6.25, 5.25]],
            [1, 0],
            source=SHAPE,
            output_height=2,
            output_width=3,
            sampling_ratio=2,
        )
    yield spec(
        "images/300-channels",
        "Each of 300 channels stands in its own place.",
        features(1, 300, 2, 3, seed=9),
        [[0.75, 0.75, 2.25, 1.5]],
        source=SHAPE,
        sampling_ratio=1,
    )
    yield spec(
        "images/17-channels-max",
        "The maximum of each of 17 channels is its own.",
        features(2, 17, 6, 7, seed=3),
        [[0.75, 1.25, 5.5, 4.75], [1.25, 0.75, 6.25, 5.25]],
        [1, 0],
        source="ONNX's vector mode_max",
        mode="max",
        output_height=3,
        output_width=2,
        sampling_ratio=2,
    )


def _counts() -> Iterator[Case]:
    for count in (0, 1, 2, 7, 100):
        yield spec(
            f"images/{count}-rois",
            f"{count} RoIs give {count} results, in their order.",
            features(2, 2, 8, 9, seed=14),
            boxes(count),
            [k % 2 if k % 5 else 1 for k in range(count)],
            source=SHAPE,
            **TWO,
        )
    for opset in (10, 16, 22):
        yield spec(
            f"images/no-rois-adaptive@{opset}",
            "No RoIs give an output of shape (0, C, output_height, output_width).",
            features(1, 3, 8, 9),
            np.zeros((0, 4)),
            source=SHAPE,
            opset=opset,
            output_height=3,
            output_width=2,
        )
    yield spec(
        "images/no-rois-and-no-images",
        "Without images and RoIs the output is empty.",
        features(0, 3, 8, 9),
        np.zeros((0, 4)),
        source=SHAPE,
        **TWO,
    )
    yield spec(
        "images/equal-rois-give-equal-results",
        "Three equal RoIs among others give three equal results.",
        features(1, 2, 8, 9, seed=15),
        boxes(4)[[0, 1, 1, 2, 1, 3]],
        source=SHAPE,
        **TWO,
    )


def _columns() -> Iterator[Case]:
    for name, box in {
        "wide": [0.75, 2.5, 8.25, 4],
        "high": [2.5, 0.75, 4, 7.25],
        "in-the-upper-right": [5.25, 0.75, 8, 2.75],
        "in-the-lower-left": [0.75, 4.75, 3, 7.25],
    }.items():
        for bins in (1, 3):
            yield spec(
                f"images/box-{name}-in-{bins}x{bins}-bins",
                "The columns of rois are x1, y1, x2, y2: x runs along W, y along H.",
                features(1, 1, 8, 9, seed=16),
                [box],
                source=COLUMNS,
                output_height=bins,
                output_width=bins,
                sampling_ratio=2,
            )


def _shapes() -> Iterator[Case]:
    for H, W in ((1, 1), (1, 9), (9, 1), (2, 11), (11, 2), (5, 13), (13, 5), (40, 60)):
        inside = [[W / 4 + 0.25, H / 4 + 0.25, 3 * W / 4 + 0.5, 3 * H / 4 + 0.5]]
        for C in (3,):
            yield roi_case(
                f"images/map-of-{H}x{W}-with-{C}-channels",
                f"A map of {H} rows and {W} columns is read row by row.",
                features(2, C, H, W, seed=17),
                inside,
                [1],
                source=f'{TEXT}, X: "4-D feature map of shape (N, C, H, W)"; with 1 or 2 rows or columns, {BORDER}',
                tier=Tier.SPEC if min(H, W) > 2 else Tier.SETTLED,
                output_height=2,
                output_width=2,
                sampling_ratio=2,
            )
    for shapes in ("dynamic", "unknown"):
        for count in (0, 3):
            for opset in (10, 16, 22) if shapes == "dynamic" else (16,):
                yield spec(
                    f"images/{shapes}-shapes-with-{count}-rois@{opset}",
                    "The shapes of the inputs need not be known in advance.",
                    features(2, 3, 8, 9, seed=18),
                    boxes(count),
                    [1, 0, 1][:count],
                    source=SHAPE,
                    opset=opset,
                    shapes=shapes,
                    **TWO,
                )


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
