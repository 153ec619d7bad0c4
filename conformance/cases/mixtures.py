"""Combinations: each attribute, type and kind of box with each other one, for errors that depend on two of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.conformance.case import Case, Tier

from .building import Call, features, numpy_type, roi_case

__all__ = ["cases"]

SOURCE = (
    "the clauses of the other groups, together: torchvision 0.27, Paddle 3.3 and ONNX Runtime 1.31 agree in recorded "
    "calls on mixed boxes"
)
CASES = 30

MODES = ("avg", "max")
COORDINATE_MODES = ("half_pixel", "output_half_pixel", None)
RATIOS = (0, 2, 0, 1, 3, 0, 4)
OUTPUTS = ((1, 1), (2, 3), (3, 2), (1, 4), (5, 2), (4, 4), (2, 1), (7, 7), (1, 2), (6, 3), (2, 2))
SCALES = (1.0, 0.25, 0.5, 2.0, 0.375)
CHANNELS = (1, 3, 2, 5, 17)
IMAGES = (3, 1, 2, 4)
MAPS = ((8, 9), (7, 7), (5, 12), (11, 6), (3, 10))


def cases() -> Iterator[Case]:
    """Yields the cases of this group; the lengths of the lists have few common factors, so that all pairs occur."""
    for i in range(CASES):
        coordinate_mode = COORDINATE_MODES[i % 3]
        opset = (16, 22)[i // 2 % 2] if coordinate_mode else (10, 16, 22)[i // 3 % 3]
        dtype = ("float32", "float64", "float32", "float16")[i // 3 % 4]
        height, width = OUTPUTS[i % len(OUTPUTS)]
        H, W = MAPS[i // 2 % len(MAPS)]
        N = IMAGES[i % len(IMAGES)]
        X = features(N, CHANNELS[i % len(CHANNELS)], H, W, dtype=dtype, seed=70 + i)
        attributes: dict[str, Any] = {
            "mode": MODES[i // 3 % 2],
            "output_height": height,
            "output_width": width,
            "sampling_ratio": RATIOS[i % len(RATIOS)],
            "spatial_scale": SCALES[i % len(SCALES)],
        }
        if coordinate_mode:
            attributes["coordinate_transformation_mode"] = coordinate_mode
        boxes = mixed_boxes(X, opset, attributes, seed=i)
        yield roi_case(
            f"mixtures/{attributes['mode']}-{coordinate_mode or 'default'}-grid-{attributes['sampling_ratio']}-"
            f"{height}x{width}-{dtype}@{opset}".replace("_", "-"),
            f"{dtype}, opset {opset}, {', '.join(f'{name}={value}' for name, value in attributes.items())}, on boxes "
            "inside, across the border and outside, small and large.",
            X,
            boxes,
            [(3 * k + i) % N for k in range(len(boxes))],
            source=SOURCE,
            tier=Tier.SETTLED,
            opset=opset,
            **attributes,
        )


def mixed_boxes(X: Array, opset: int, attributes: dict[str, Any], *, seed: int, wanted: int = 6) -> Array:
    """Returns (wanted, 4) varied boxes in 32nds of a pixel of X, without ill-conditioned ones."""
    H, W = X.shape[2:]
    chosen: list[Array] = []
    for trial in count(1000 * seed):
        numbers = np.array(
            [(trial * trial * a + trial * b) % 997 / 997 for a, b in ((31, 7), (17, 29), (13, 3), (41, 11))]
        )
        # Corners from 2 pixels before the map to 2 beyond, sides from 1/4 to all of it.
        x1, y1 = (W + 2) * numbers[0] - 2, (H + 2) * numbers[1] - 2
        box = np.array([x1, y1, x1 + 0.25 + W * numbers[2], y1 + 0.25 + H * numbers[3]])
        in_image = np.round(box * 32) / 32 / float(attributes["spatial_scale"])
        rois = in_image[None].astype(numpy_type(str(X.dtype)))
        near = Call(X, rois, np.zeros(1, np.int64), opset, attributes).conditioning()
        if near.cut > 1 / 256 and near.integer > 1 / 256:
            chosen.append(in_image)
        if len(chosen) == wanted:
            break
    return np.stack(chosen)
