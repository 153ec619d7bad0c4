"""Behaviour that ONNX's text does not specify and in which implementations disagree: cases name all sides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from onnx_roialign.conformance.case import Case, Tier

from .building import Side, features, full, positive, roi_case

__all__ = ["cases"]

LEGACY: Mapping[str, Any] = {"coordinate_transformation_mode": "output_half_pixel"}
H, W = 6, 8

contested = partial(roi_case, tier=Tier.CONTESTED)

NO_SAMPLES: dict[str, Side] = {
    "0 (ONNX Runtime, onnx.reference, torchvision)": {},
    "NaN (Paddle, OpenVINO)": {"empty": math.nan},
    "refused": None,
}
NEGATIVE_GRID: dict[str, Side] = {
    "0 (onnx.reference; ONNX Runtime where both axes are negative)": {},
    "NaN": {"empty": math.nan},
    "refused (ONNX Runtime, torchvision where one axis is negative)": None,
}
MAXIMUM: dict[str, Side] = {
    "over weighted neighbours (ONNX's vector, ONNX Runtime, onnx.reference)": {},
    "over interpolated samples (TVM)": {"maximum": "samples"},
    "over interpolated samples, from 0 (OpenVINO)": {"maximum": "samples", "floor": 0.0},
    "over interpolated samples, from -10000 (mmcv)": {"maximum": "samples", "floor": -10000.0},
}
ZERO_WEIGHT: dict[str, Side] = {
    "0 * infinity is NaN (ONNX Runtime, onnx.reference, torchvision)": {"zero_weight": "counted"},
    "a weight of 0 skips the feature": {},
}


def cases() -> Iterator[Case]:
    """Yields the cases of this group."""
    yield from _without_samples()
    yield from _negative_grids()
    yield from _maxima()
    yield from _special()
    yield contested(
        "contested/mean-of-the-largest-features",
        "The sum of the samples exceeds the largest float32, their mean does not.",
        full(2.0**127),
        [[1.25, 1.25, 5.5, 6.25]],
        source="the text does not say whether weights are divided before they are summed",
        sides={"finite": {}, "infinite (ONNX Runtime, onnx.reference)": np.full((1, 1, 1, 1), np.inf, np.float32)},
        sampling_ratio=4,
    )


def _without_samples() -> Iterator[Case]:
    for name, box in {
        "without-width": [4.25, 2.25, 4.25, 5.5],
        "without-height": [3.25, 2.5, 6.5, 2.5],
        "without-size": [4.25, 3.5, 4.25, 3.5],
    }.items():
        yield contested(
            f"contested/mean-{name}-adaptive-half-pixel",
            "The adaptive grid of a RoI without size has no samples; the text does not say what their mean is.",
            positive(1, 2, H, W),
            [box],
            source="recorded calls of torchvision, Paddle, ONNX Runtime and OpenVINO",
            sides=NO_SAMPLES,
            output_height=2,
            output_width=2,
        )


def _negative_grids() -> Iterator[Case]:
    for name, box in {
        "x": [6.25, 1.25, 2.5, 4.5],
        "y": [2.5, 4.5, 6.25, 1.25],
        "both": [6.25, 4.5, 2.5, 1.25],
    }.items():
        for mode in ("avg", "max"):
            yield contested(
                f"contested/inverted-{name}-adaptive-half-pixel-{mode}",
                "Of a RoI with corners exchanged, ceil(size / bins) is negative or 0.",
                positive(1, 2, H, W),
                [box],
                source="calls of ONNX Runtime 1.31, torchvision 0.27 and onnx.reference 1.23",
                sides=NEGATIVE_GRID,
                mode=mode,
                output_height=2,
                output_width=2,
            )


def _maxima() -> Iterator[Case]:
    source = (
        'ONNX\'s text says only "max"; its vector has the weighted neighbours; recorded calls of OpenVINO and TVM and '
        "mmcv's source have the samples"
    )
    for name, X in {
        "positive": positive(1, 2, H, W, seed=1),
        "mixed": features(1, 2, H, W, seed=2),
        "negative": -positive(1, 2, H, W, seed=3),
        "less-than-10000": -16384 - 64 * positive(1, 1, H, W, seed=4),
    }.items():
        yield contested(
            f"contested/maximum-of-{name}-features",
            "The maximum is over weighted neighbours or over interpolated samples, and starts from the first or from a "
            "number.",
            X,
            [[1.25, 0.75, 6.5, 4.75]],
            source=source,
            sides=MAXIMUM,
            mode="max",
            output_height=2,
            output_width=2,
            sampling_ratio=2,
        )


def _special() -> Iterator[Case]:
    for name, value in {"infinity": np.inf, "minus-infinity": -np.inf, "nan": np.nan}.items():
        X = full(1.0, H=H, W=W)
        X[0, 0, 2, 3] = value
        yield contested(
            f"contested/{name}-of-weight-0",
            f"A sample on the pixel before one of {name} gives that a weight of 0.",
            X,
            [[1.5, 1.5, 2.5, 2.5]],
            source="calls of ONNX Runtime, onnx.reference and torchvision; other implementations skip weights of 0",
            sides=ZERO_WEIGHT,
            sampling_ratio=1,
            **LEGACY,
        )
