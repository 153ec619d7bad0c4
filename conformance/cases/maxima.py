"""Mode max: the maximum over the four weighted neighbours of every sample, as ONNX's vector mode_max has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from onnx_roialign.conformance.case import Case, Tier

from .building import features, full, positive, roi_case

__all__ = ["NO_SAMPLES", "cases"]

CORNERS = (
    "ONNX's vector mode_max, whose numbers are the maximum over weight * feature of each sample's four neighbours; "
    "onnx.reference and ONNX Runtime agree"
)
NO_SAMPLES = "ONNX Runtime 1.31, onnx.reference and OpenVINO 2026.4, all that run ONNX's mode max, agree"
LEGACY: Mapping[str, Any] = {"coordinate_transformation_mode": "output_half_pixel"}

spec = partial(roi_case, tier=Tier.SPEC, source=CORNERS, mode="max")
settled = partial(
    roi_case,
    tier=Tier.SETTLED,
    source="onnx.reference, and ONNX Runtime 1.31 in recorded calls",
    mode="max",
)


def cases() -> Iterator[Case]:
    """Yields the cases of this group."""
    H, W = 9, 8
    for ratio in (1, 2, 3, 4):
        yield spec(
            f"maxima/fixed-grid-of-{ratio}",
            "The maximum is over weight * feature of the four neighbours of every sample of the bin.",
            features(1, 3, H, W, seed=31),
            [[0.75, 1.25, 6.5, 7.75], [1.75, 0.875, 4.25, 5.25]],
            output_height=2,
            output_width=2,
            sampling_ratio=ratio,
        )
        yield spec(
            f"maxima/all-negative-grid-of-{ratio}",
            "The maximum of negative numbers is negative: it does not start from 0.",
            -positive(1, 2, H, W, seed=32),
            [[0.75, 1.25, 6.5, 7.75], [1.75, 0.875, 4.25, 5.25]],
            output_height=2,
            output_width=2,
            sampling_ratio=ratio,
            **LEGACY,
        )
    yield spec(
        "maxima/all-negative-in-one-bin",
        "The maximum of negative numbers is negative in an output of one bin, too.",
        -positive(1, 2, H, W, seed=32),
        [[0.75, 1.25, 6.625, 7.5]],
    )
    for height, width, rows, columns in ((5.25, 3.75, 2, 2), (2.25, 6.5, 1, 2), (7.25, 1.5, 3, 1), (9.5, 9.75, 1, 1)):
        yield spec(
            f"maxima/adaptive-{height:g}x{width:g}-in-{rows}x{columns}-bins",
            "The maximum is over an adaptive grid of each axis.",
            features(1, 2, 12, 12, seed=33),
            [[1.125, 0.875, 1.125 + width, 0.875 + height]],
            output_height=rows,
            output_width=columns,
        )
    yield from _many_samples()
    yield spec(
        "maxima/large-negative-features",
        "The maximum of features of -30000 is not bounded from below.",
        full(-30000.0, H=H, W=W),
        [[1.25, 1.25, 6.625, 7.625]],
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )
    yield spec(
        "maxima/not-the-mean",
        "The maximum is not the mean, and is not divided by the number of samples.",
        positive(1, 2, H, W, seed=34),
        [[1.25, 1.25, 6.625, 7.625]],
        sampling_ratio=4,
    )
    yield from _places(H, W)
    yield from _on_pixels(H, W)


def _many_samples() -> Iterator[Case]:
    # The features grow from left to right and from top to bottom: the last sample is the largest.
    X = np.arange(8 * 48, dtype=np.float32).reshape(1, 1, 8, 48) + 1
    for name, ratio in (("fixed", 9), ("adaptive", 0)):
        yield spec(
            f"maxima/{name}-grid-of-many-samples",
            "The maximum is over every sample, however many a bin has.",
            X,
            [[1.125, 0.875, 46.625, 6.5]],
            sampling_ratio=ratio,
        )
    yield spec(
        "maxima/adaptive-grid-of-291",
        "The maximum is over every sample of an adaptive grid of more than 255.",
        np.arange(2 * 300, dtype=np.float32).reshape(1, 1, 2, 300) + 1,
        [[1.125, 0.625, 291.625, 1.375]],
    )
    for opset in (10, 22):
        yield spec(
            f"maxima/adaptive@{opset}",
            "The maximum is over an adaptive grid, at every opset.",
            features(1, 2, 12, 12, seed=33),
            [[1.125, 0.875, 9.375, 7.125]],
            opset=opset,
        )


def _places(H: int, W: int) -> Iterator[Case]:
    for y, x in ((0, 0), (0, 3), (3, 0), (3, 3), (1, 2), (2, 1)):
        X = np.full((1, 1, H, W), 0.5, np.float32)
        X[0, 0, 2 + y, 2 + x] = 64
        yield spec(
            f"maxima/largest-at-{y}-{x}-of-4x4",
            "Every sample of a bin takes part in its maximum, the first and the last too.",
            X,
            [[2.25, 2.25, 5.25, 5.25]],
            sampling_ratio=2,
            **LEGACY,
        )


def _on_pixels(H: int, W: int) -> Iterator[Case]:
    # Where every sample lies on a pixel, both rules for the maximum agree as long as the largest is positive.
    yield settled(
        "maxima/samples-on-pixels",
        "The maximum over samples on pixels is the largest of these pixels.",
        positive(1, 2, H, W, seed=35),
        [[1, 1, 7, 7]],
        output_height=3,
        output_width=2,
        sampling_ratio=1,
        **LEGACY,
    )
    yield settled(
        "maxima/samples-outside-are-0",
        "A sample outside the map has the value 0, and counts in the maximum: it exceeds negative features.",
        -positive(1, 2, H, W, seed=36),
        [[-1.75, -1.75, 4.25, 4.25], [W - 3.75, H - 3.75, W + 2.25, H + 2.25]],
        sampling_ratio=2,
    )
    yield settled(
        "maxima/inverted-fixed",
        "In half_pixel with a fixed grid a RoI whose corners are exchanged has samples, and a maximum.",
        positive(1, 2, H, W, seed=39),
        [[5.25, 2.25, 2.75, 5.5], [2.25, 6.75, 5.5, 2.5], [5.25, 6.75, 2.5, 2.25]],
        output_height=2,
        output_width=3,
        sampling_ratio=2,
    )
    for scale in (0.25, 2.0):
        yield settled(
            f"maxima/inverted-at-scale-{scale:g}",
            "At another spatial_scale, too, a RoI whose corners are exchanged is sampled in the opposite direction.",
            positive(1, 2, H, W, seed=39),
            np.array([[5.25, 2.25, 2.75, 5.5], [2.25, 6.75, 5.5, 2.5], [5.25, 6.75, 2.5, 2.25]]) / scale,
            output_height=2,
            output_width=3,
            sampling_ratio=2,
            spatial_scale=scale,
        )
    yield settled(
        "maxima/without-size-output-half-pixel",
        "In output_half_pixel a RoI without size is 1 pixel wide and high, and has a maximum; one of zeros only too.",
        positive(1, 2, H, W, seed=40),
        [[4.25, 3.5, 4.25, 3.5], [0, 0, 0, 0]],
        **LEGACY,
    )
    yield settled(
        "maxima/box-outside",
        "The maximum of a box outside the map is 0.",
        -positive(1, 2, H, W, seed=37),
        [[20.25, 20.5, 24.5, 25.75]],
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )
    for name, box in {
        "without-width": [4.25, 2.25, 4.25, 5.5],
        "without-height": [3.25, 2.5, 6.5, 2.5],
        "without-size": [4.25, 3.5, 4.25, 3.5],
    }.items():
        yield settled(
            f"maxima/{name}-adaptive",
            "In half_pixel the adaptive grid of a RoI without size has no samples, and their maximum is 0.",
            positive(1, 2, H, W, seed=38),
            [box],
            source=f"{NO_SAMPLES}; mmcv's own operator returns -10000",
            output_height=2,
            output_width=2,
        )
    # The first and the third RoI sample one pixel in each bin, so that both rules for the maximum agree.
    yield settled(
        "maxima/without-size-between-other-rois-adaptive",
        "A bin without samples is 0, whatever the RoI before had there.",
        positive(1, 2, H, W, seed=38),
        [[1, 1, 3, 3], [4.25, 3.5, 4.25, 3.5], [4, 3, 6, 5]],
        source=NO_SAMPLES,
        output_height=2,
        output_width=2,
    )
