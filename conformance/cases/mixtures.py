"""Combinations: each attribute, type and kind of box with each other one, for errors that depend on two of them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.conformance.case import Case, Tier

from .building import Call, features, numpy_type, positive, roi_case

__all__ = ["cases"]

SOURCE = (
    "the clauses of the other groups, together: torchvision 0.27, Paddle 3.3 and ONNX Runtime 1.31 agree in recorded "
    "calls on mixed boxes"
)
CASES, FEW = 80, 36

# What each case chooses from; a value that is there twice is chosen twice as often.
CHOICES: Mapping[str, Sequence[Any]] = {
    "dtype": ("float32", "float64", "float32", "float16", "float32", "bfloat16"),
    "opset": (10, 16, 22),
    "coordinate_transformation_mode": ("half_pixel", "output_half_pixel", None),
    "mode": ("avg", "max"),
    "sampling_ratio": (0, 1, 2, 0, 3, 2, 4),
    "spatial_scale": (1.0, 0.25, 0.5, 2.0, 0.375, None),
    "output": ((1, 1), (2, 3), (3, 2), (7, 7), (1, 4), (5, 2), (4, 4), (14, 14), (2, 2), (7, 7), (6, 3)),
    "map": ((8, 9), (8, 8), (5, 12), (11, 6), (20, 24), (3, 10), (7, 16)),
    "channels": (1, 3, 4, 8, 16, 17, 5),
    "images": (1, 2, 3, 4),
    "rois": (1, 2, 4, 6, 9),
}
# Maps of one or two rows or columns and outputs of one, with a RoI of exchanged corners among others.
NARROW: Mapping[str, Sequence[Any]] = {
    **CHOICES,
    "sampling_ratio": (0, 1, 2, 0, 3, 4),
    "spatial_scale": (1.0, 0.5, 2.0),
    "output": ((1, 4), (3, 1), (2, 2), (1, 1), (5, 1), (1, 2), (2, 3)),
    "map": ((1, 9), (9, 1), (1, 1), (2, 7), (7, 2), (8, 8), (6, 6)),
    "channels": (1, 3, 17),
    "rois": (1, 3, 5),
}
# Numbers that float32 does not round, for samples exactly at -1 and N.
EXACT: Mapping[str, Sequence[Any]] = {
    **NARROW,
    "sampling_ratio": (1, 2, 4),
    "spatial_scale": (1.0, 0.25, 2.0),
    "output": ((1, 4), (4, 1), (2, 2), (1, 1), (1, 2), (2, 1), (4, 4)),
    "map": ((8, 8), (5, 7), (1, 9), (9, 1), (2, 6), (6, 6)),
}
MOST_SAMPLES = 12_000  # of a case, all channels counted: the exact maximum of more takes seconds


def cases() -> Iterator[Case]:
    """Yields the cases of this group: each chooses every part by itself, so that most pairs and many triples meet."""
    for number in range(CASES):
        yield _case(f"{number:02}", number, *_chosen(number, CHOICES))
    for number in range(FEW):
        yield _narrow(f"narrow-{number:02}", 200 + number)
        yield _exact(f"cut-{number:02}", 400 + number)
    yield from _heads()


def _chosen(number: int, choices: Mapping[str, Sequence[Any]]) -> tuple[dict[str, Any], int, dict[str, Any]]:
    """Returns the parts of a case, the same on every machine; its opset; and the node's attributes."""

    def of(part: str) -> Any:
        digest = hashlib.sha256(f"{number} {part}".encode()).digest()
        return choices[part][int.from_bytes(digest[:8], "big") % len(choices[part])]

    chosen = {part: of(part) for part in choices}
    opset = 22 if chosen["dtype"] == "bfloat16" else chosen["opset"]
    attributes = {
        "mode": chosen["mode"],
        "output_height": chosen["output"][0],
        "output_width": chosen["output"][1],
        "sampling_ratio": chosen["sampling_ratio"],
        "spatial_scale": chosen["spatial_scale"],
        "coordinate_transformation_mode": None if opset < 16 else chosen["coordinate_transformation_mode"],
    }
    return chosen, opset, {name: value for name, value in attributes.items() if value is not None}


def _case(name: str, number: int, chosen: Mapping[str, Any], opset: int, attributes: dict[str, Any]) -> Case:
    X = features(chosen["images"], chosen["channels"], *chosen["map"], dtype=chosen["dtype"], seed=70 + number)
    height, width = chosen["output"]
    samples = X.shape[1] * height * width * (attributes["sampling_ratio"] or 3) ** 2
    rois = max(1, min(chosen["rois"], MOST_SAMPLES // samples))
    boxes = mixed_boxes(X, opset, attributes, seed=number, wanted=rois)
    return _of_boxes(
        name, number, X, boxes, opset, attributes, "boxes inside, across the border and outside, small and large"
    )


def _narrow(name: str, number: int) -> Case:
    chosen, opset, attributes = _chosen(number, NARROW)
    shape, dtype = (chosen["images"], chosen["channels"], *chosen["map"]), chosen["dtype"]
    X = features(*shape, dtype=dtype, seed=number)
    # A maximum must not start from 0; on a map of one or two pixels most samples have a neighbour of weight 0.
    if attributes["mode"] == "max" and min(chosen["map"]) > 2:
        X = -positive(*shape, dtype=dtype, seed=number)
    boxes = mixed_boxes(X, opset, attributes, seed=number, wanted=chosen["rois"])
    if attributes["sampling_ratio"]:  # of an adaptive grid, implementations disagree
        order = ([2, 3, 0, 1], [2, 1, 0, 3], [0, 3, 2, 1])[number % 3]
        boxes = np.concatenate([mixed_boxes(X, opset, attributes, seed=number + 1, wanted=1, order=order), boxes])
    return _of_boxes(
        name,
        number,
        X,
        boxes,
        opset,
        attributes,
        "boxes across a map of few rows or columns, one with corners exchanged",
    )


def _exact(name: str, number: int) -> Case:
    """Samples are whole pixels; the first or the last row and column of them lie at -1 or N."""
    chosen, opset, attributes = _chosen(number, EXACT)
    # Positive ones: a neighbour of weight 0 would hide a negative one in a maximum.
    X = positive(chosen["images"], chosen["channels"], *chosen["map"], dtype=chosen["dtype"], seed=number)
    call = Call(X, np.zeros((0, 4)), np.zeros(0, np.int64), opset, attributes)
    height, width = (bins * attributes["sampling_ratio"] for bins in chosen["output"])
    H, W = X.shape[2:]
    left, right, top, bottom = -1.5, W + 0.5 - width, -1.5, H + 0.5 - height
    starts = [(left, top), (right, bottom)] if number % 2 else [(left, bottom), (right, top)]
    on_the_map = np.array([(x, y, x + width, y + height) for x, y in starts])
    boxes = (on_the_map + call.rules.offset) / attributes["spatial_scale"]
    return _of_boxes(
        name,
        number,
        X,
        boxes,
        opset,
        attributes,
        "boxes with samples exactly at -1 and at the number of pixels, which are moved onto the border",
    )


def _of_boxes(
    name: str, number: int, X: Array, boxes: Array, opset: int, attributes: dict[str, Any], description: str
) -> Case:
    coordinate_mode = attributes.get("coordinate_transformation_mode", "default").replace("_", "-")
    given = ", ".join(f"{name}={value}" for name, value in attributes.items())
    return roi_case(
        f"mixtures/{name}-{attributes['mode']}-{coordinate_mode}-grid-{attributes['sampling_ratio']}-"
        f"{attributes['output_height']}x{attributes['output_width']}-{X.shape[1]}-channels-{X.dtype}@{opset}",
        f"{X.dtype}, opset {opset}, {given}, on {description}.",
        X,
        boxes,
        [(3 * k + number) % len(X) for k in range(len(boxes))],
        source=SOURCE,
        tier=Tier.SETTLED,
        opset=opset,
        **attributes,
    )


def _heads() -> Iterator[Case]:
    """The sizes that detectors use, for which a runtime may have code of its own."""
    for bins, ratio in ((7, 0), (7, 2), (14, 0), (14, 2)):
        for mode, coordinate_mode in itertools.product(("avg", "max"), ("half_pixel", "output_half_pixel")):
            X = -positive(2, 2, 9, 12, seed=bins + ratio) if mode == "max" else features(2, 2, 9, 12, seed=bins + ratio)
            attributes: dict[str, Any] = {
                "mode": mode,
                "output_height": bins,
                "output_width": bins,
                "sampling_ratio": ratio,
                "coordinate_transformation_mode": coordinate_mode,
            }
            small = [[4.25, 3.5, 4.75, 3.90625]]
            boxes = np.concatenate([mixed_boxes(X, 16, attributes, seed=bins + ratio, wanted=4), small])
            yield roi_case(
                f"mixtures/head-{bins}x{bins}-grid-{ratio}-{mode}-{coordinate_mode}".replace("_", "-"),
                f"The {bins} x {bins} bins of a detector's head, on boxes inside, across the border and small.",
                X,
                boxes,
                [k % 2 for k in range(len(boxes))],
                source=SOURCE,
                tier=Tier.SETTLED,
                **attributes,
            )


def mixed_boxes(
    X: Array, opset: int, attributes: dict[str, Any], *, seed: int, wanted: int, order: Sequence[int] = (0, 1, 2, 3)
) -> Array:
    """Returns (wanted, 4) varied boxes in 32nds of a pixel of X, without ill-conditioned ones.

    Args:
        X: the features.
        opset: the model's opset.
        attributes: the node's.
        seed: another number gives other boxes.
        wanted: number of boxes.
        order: of x1, y1, x2 and y2 in rois: another one exchanges corners.
    """
    H, W = X.shape[2:]
    chosen: list[Array] = []
    for trial in count(1000 * seed):
        numbers = np.array(
            [(trial * trial * a + trial * b) % 997 / 997 for a, b in ((31, 7), (17, 29), (13, 3), (41, 11))]
        )
        # Corners from 2 pixels before the map to 2 beyond, sides from 1/4 to all of it.
        x1, y1 = (W + 2) * numbers[0] - 2, (H + 2) * numbers[1] - 2
        box = np.array([x1, y1, x1 + 0.25 + W * numbers[2], y1 + 0.25 + H * numbers[3]])
        in_image = np.round(box[list(order)] * 32) / 32 / float(attributes.get("spatial_scale", 1.0))
        rois = in_image[None].astype(numpy_type(str(X.dtype)))
        near = Call(X, rois, np.zeros(1, np.int64), opset, attributes).conditioning()
        if near.cut > 1 / 256 and near.integer > 1 / 256:
            chosen.append(in_image)
        if len(chosen) == wanted:
            break
    return np.stack(chosen)
