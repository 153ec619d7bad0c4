"""Boxes of unusual sizes: tiny, huge, of size 0, with exchanged corners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from onnx_roialign.conformance.case import Case, Tier

from .building import features, full, roi_case

__all__ = ["cases"]

LEAST = (
    "torchvision 0.27 (aligned=False), Paddle 3.3, MindSpore 2.10, ONNX Runtime 1.31, OpenVINO 2026.4 and TVM 0.27 "
    "agree in recorded calls on tiny and on inverted boxes"
)
NO_LEAST = (
    "torchvision 0.27 (aligned=True), Paddle 3.3, ONNX Runtime 1.31 and OpenVINO 2026.4 agree in recorded calls on "
    "tiny boxes, and with a fixed grid on inverted ones"
)
SCALED = (
    "ONNX's text of RoiAlign, spatial_scale: a factor \"to translate ROI coordinates from their input spatial scale to "
    'the scale used when pooling"'
)
LEGACY: Mapping[str, Any] = {"coordinate_transformation_mode": "output_half_pixel"}
H, W = 9, 11

settled = partial(roi_case, tier=Tier.SETTLED)
legacy = partial(settled, source=LEAST, **LEGACY)
half_pixel = partial(settled, source=NO_LEAST)

SMALL = {
    "0.5-wide": [3.25, 2.25, 3.75, 5.5],
    "0.5-high": [3.25, 2.25, 6.5, 2.75],
    "0.25-square": [4.25, 3.5, 4.5, 3.75],
    "0.75-square": [4.25, 3.5, 5, 4.25],
    "1/64-square": [4.25, 3.5, 4.265625, 3.515625],
    "1/1024-square": [4.25, 3.5, 4.2509765625, 3.5009765625],
    "1.25-square": [4.25, 3.5, 5.5, 4.75],
}
NOTHING = {
    "without-width": [4.25, 2.25, 4.25, 5.5],
    "without-height": [3.25, 2.5, 6.5, 2.5],
    "without-size": [4.25, 3.5, 4.25, 3.5],
}
INVERTED = {
    "inverted-x": [7.25, 2.25, 3.75, 5.5],
    "inverted-y": [3.25, 6.75, 6.5, 2.5],
    "inverted": [7.25, 6.75, 3.5, 2.25],
}


def cases() -> Iterator[Case]:
    """Yields the cases of this group."""
    X = features(1, 2, H, W, seed=21)
    for name, box in {**SMALL, **NOTHING, **INVERTED}.items():
        for grid, ratio in (("fixed", 2), ("adaptive", 0)):
            if grid == "adaptive" and name in SMALL and "square" not in name:
                continue
            yield legacy(
                f"boxes/{name}-{grid}-output-half-pixel",
                "In output_half_pixel a scaled RoI is at least 1 pixel wide and high, from its x1 and y1 on.",
                X,
                [box],
                output_height=2,
                output_width=2,
                sampling_ratio=ratio,
            )
    for name, box in SMALL.items():
        for grid, ratio in (("fixed", 2), ("adaptive", 0)):
            yield half_pixel(
                f"boxes/{name}-{grid}-half-pixel",
                "In half_pixel a RoI has no minimum size.",
                X,
                [box],
                output_height=2,
                output_width=2,
                sampling_ratio=ratio,
            )
    for name, box in {**NOTHING, **INVERTED}.items():
        yield half_pixel(
            f"boxes/{name}-fixed-half-pixel",
            "In half_pixel with a fixed grid a RoI without size is sampled at one place, and one whose corners are "
            "exchanged in the opposite direction.",
            X,
            [box],
            output_height=2,
            output_width=3,
            sampling_ratio=2,
        )
    yield legacy(
        "boxes/zeros-only-output-half-pixel",
        "In output_half_pixel the RoI 0, 0, 0, 0 is the pixel at the origin: it is no padding that gives 0.",
        X,
        [[0, 0, 0, 0]],
        sampling_ratio=2,
    )
    yield from _scaled()
    yield from _large()


def _scaled() -> Iterator[Case]:
    for scale in (0.25, 0.5, 2.0):
        for name, sides in {"less-than-1": 0.75, "just-more-than-1": 1.25}.items():
            yield legacy(
                f"boxes/least-size-after-scale-{scale:g}-{name}",
                "The minimum size is 1 pixel of X: it applies after spatial_scale.",
                features(1, 2, H, W, seed=22),
                [[3.25 / scale, 2.5 / scale, (3.25 + sides) / scale, (2.5 + sides) / scale]],
                output_height=2,
                output_width=2,
                sampling_ratio=2,
                spatial_scale=scale,
            )
        yield half_pixel(
            f"boxes/no-least-size-at-scale-{scale:g}",
            "In half_pixel a RoI has no minimum size, at any spatial_scale.",
            features(1, 2, H, W, seed=22),
            [[3.25 / scale, 2.5 / scale, 4 / scale, 3.25 / scale]],
            output_height=2,
            output_width=2,
            sampling_ratio=2,
            spatial_scale=scale,
        )
    for opset in (10, 16, 22):
        yield settled(
            f"boxes/least-size-where-the-mode-is-omitted@{opset}",
            f"Without coordinate_transformation_mode, opset {opset} has {'the' if opset < 16 else 'no'} minimum size.",
            features(1, 2, H, W, seed=23),
            [[4.25, 3.5, 4.75, 3.75], [4.25, 3.5, 3.75, 4.5]],
            source=LEAST if opset < 16 else NO_LEAST,
            opset=opset,
            output_height=2,
            output_width=2,
            sampling_ratio=2,
        )
    for height, width in ((3, 1), (1, 3)):
        yield legacy(
            f"boxes/small-box-in-{height}x{width}-bins",
            "The minimum size applies to a RoI in one column or one row of bins, too.",
            features(1, 2, H, W, seed=24),
            [SMALL["0.25-square"]],
            output_height=height,
            output_width=width,
            sampling_ratio=2,
        )
    yield legacy(
        "boxes/one-bin-of-a-small-box-in-many",
        "The minimum size applies to the RoI, not to a bin.",
        features(1, 2, H, W, seed=24),
        [[3.25, 2.5, 5.5, 4.25]],
        output_height=4,
        output_width=8,
        sampling_ratio=1,
    )


def _large() -> Iterator[Case]:
    for side in (100.5, 4000.5):
        for name, box, columns in (
            ("wide", [-side + 7, 2.25, 7, 6.5], 32),
            ("wide-to-the-right", [1.25, 2.25, side, 6.5], 32),
            ("high", [2.25, -side + 5, 6.5, 5], 1),
        ):
            yield half_pixel(
                f"boxes/{side:g}-pixels-{name}-fixed",
                "Of a RoI much larger than the map, the samples inside the map count.",
                features(1, 1, H, W, seed=26),
                [box],
                output_height=32 // columns,
                output_width=columns,
                sampling_ratio=16,
            )
    for name, ratio, W_, x1, x2 in (("fixed", 129, 60, -60.25, 70.5), ("adaptive", 0, 130, -130.375, 130.125)):
        yield half_pixel(
            f"boxes/{name}-grid-of-{ratio or 261}-half-outside",
            "A grid may have more than 128 samples along an axis, and the mean counts those outside the map.",
            full(1.0, H=6, W=W_),
            [[x1, 1.25, x2, 3.5]],
            sampling_ratio=ratio,
        )
    yield roi_case(
        "boxes/coordinates-of-millions",
        "Coordinates are pixels of the image, which spatial_scale takes to the map: they have no upper limit.",
        features(1, 1, H, W, seed=27),
        [[1.25 * 2**20, 0.75 * 2**20, 8.5 * 2**20, 6.25 * 2**20]],
        source=SCALED,
        tier=Tier.SPEC,
        output_height=2,
        output_width=2,
        sampling_ratio=2,
        spatial_scale=2.0**-20,
    )
    yield roi_case(
        "boxes/coordinates-up-to-1",
        "Coordinates of at most 1 are pixels too: they are not taken as parts of the image.",
        features(1, 1, H, W, seed=28),
        [[0.125, 0.25, 0.9375, 1], [0, 0, 1, 1]],
        source=SCALED,
        tier=Tier.SPEC,
        output_height=2,
        output_width=2,
        sampling_ratio=2,
        spatial_scale=8.0,
    )
    yield half_pixel(
        "boxes/inverted-that-starts-outside",
        "A RoI whose corners are exchanged is sampled inside the map, though its x1 and y1 lie beyond it.",
        features(1, 1, H, W, seed=29),
        [[W + 3.25, H + 2.75, 3.25, 2.5]],
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )
    for dtype, opset in (("float64", 16), ("float16", 16), ("bfloat16", 22)):
        yield half_pixel(
            f"boxes/inverted-at-scale-0.5-{dtype}@{opset}",
            f"In {dtype}, too, a RoI whose corners are exchanged is sampled in the opposite direction.",
            features(1, 2, H, W, dtype=dtype, seed=21),
            [[2 * number for number in box] for box in INVERTED.values()],
            opset=opset,
            output_height=2,
            output_width=2,
            sampling_ratio=2,
            spatial_scale=0.5,
        )
    yield half_pixel(
        "boxes/100.5-pixels-adaptive",
        "The adaptive grid of a RoI much larger than the map counts all of its samples.",
        features(1, 1, H, W, seed=25),
        [[-20.25, -50.5, 80.25, 50]],
        output_height=2,
        output_width=4,
    )
