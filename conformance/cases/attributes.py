"""Every attribute of RoiAlign, given and omitted, at the opsets that define it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from onnx_roialign.conformance.case import Case, Tier

from .building import features, roi_case

__all__ = ["cases"]

TEXT = "ONNX's text of RoiAlign"
OPSETS = (10, 16, 22)
HALF_PIXEL: Mapping[str, Any] = {"coordinate_transformation_mode": "half_pixel"}
BOXES = [
    [1.25, 0.5, 6.5, 5.25],
    [2, 3, 7.25, 6.75],
]  # sides of 5.25, 4.75 and 3.75 pixels: not multiples of 2 to 4 bins

spec = partial(roi_case, tier=Tier.SPEC)


def cases() -> Iterator[Case]:
    """Yields the cases of this group."""
    for opset in OPSETS:
        yield from _defaults(opset)
    yield from _each()
    for opset in OPSETS[1:]:
        yield from _coordinate_transformation_mode(opset)
    yield from _sizes()
    yield from _scales()


def _defaults(opset: int) -> Iterator[Case]:
    X = features(1, 2, 8, 9)
    yield spec(
        f"attributes/all-omitted@{opset}",
        "A node without attributes returns one bin per RoI, the average, an adaptive grid and scale 1; its coordinates "
        f"are {'not shifted' if opset < 16 else 'shifted by -0.5'}.",
        X,
        BOXES,
        source=f"{TEXT}: the defaults of opset {opset}",
        opset=opset,
    )
    yield spec(
        f"attributes/sampling-ratio-omitted-is-adaptive@{opset}",
        "Without sampling_ratio the grid is adaptive, neither 1 nor 2 samples per axis.",
        X,
        [[0.5, 0.75, 7.75, 7]],
        source=f'{TEXT}, sampling_ratio: "Default is 0", "If == 0, then an adaptive number of grid points are used"',
        opset=opset,
        output_height=2,
        output_width=1,
    )
    yield spec(
        f"attributes/spatial-scale-omitted-is-1@{opset}",
        "Without spatial_scale the RoIs are in pixels of X.",
        X,
        BOXES,
        source=f"{TEXT}, spatial_scale: the default is 1.0",
        opset=opset,
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )
    yield spec(
        f"attributes/mode-omitted-is-avg@{opset}",
        "Without mode the result is the average.",
        X,
        BOXES,
        source=f"{TEXT}, mode: \"Default is 'avg'\"",
        opset=opset,
        output_height=2,
        output_width=4,
        sampling_ratio=1,
        spatial_scale=0.5,
    )


def _each() -> Iterator[Case]:
    X = features(1, 2, 8, 9, seed=1)
    given: dict[str, Any] = {
        "mode": "avg",
        "output_height": 3,
        "output_width": 2,
        "sampling_ratio": 2,
        "spatial_scale": 0.5,
    }
    for name, value in given.items():
        yield spec(
            f"attributes/{name.replace('_', '-')}-alone",
            f"{name}={value} alone changes its own setting and nothing else.",
            X,
            BOXES,
            source=f"{TEXT}, {name}",
            **{name: value},
        )
    for opset in OPSETS:
        yield spec(
            f"attributes/mode-max@{opset}",
            "mode=max returns the maximum.",
            X,
            BOXES,
            source="ONNX's vector mode_max",
            opset=opset,
            mode="max",
            output_height=2,
            output_width=2,
            sampling_ratio=2,
        )
        yield spec(
            f"attributes/all-defaults-written-out@{opset}",
            "The defaults may be written out.",
            X,
            BOXES,
            source=f"{TEXT}: the defaults of opset {opset}",
            opset=opset,
            mode="avg",
            output_height=1,
            output_width=1,
            sampling_ratio=0,
            spatial_scale=1.0,
            **(HALF_PIXEL if opset >= 16 else {}),
        )


def _coordinate_transformation_mode(opset: int) -> Iterator[Case]:
    X = features(1, 2, 8, 9, seed=2)
    words = {
        "half_pixel": "pixel shift the input coordinates by -0.5",
        "output_half_pixel": "omit the pixel shift for the input",
    }
    for mode, text in words.items():
        for scale in (1.0, 0.25):
            yield spec(
                f"attributes/{mode.replace('_', '-')}-at-scale-{scale:g}@{opset}",
                f"coordinate_transformation_mode={mode} means: {text}, after spatial_scale.",
                X,
                [[c / scale for c in box] for box in BOXES],
                source=f'{TEXT}, coordinate_transformation_mode: "{text}"; ONNX\'s vectors aligned_true, aligned_false',
                opset=opset,
                coordinate_transformation_mode=mode,
                output_height=2,
                output_width=2,
                sampling_ratio=2,
                spatial_scale=scale,
            )
    yield spec(
        f"attributes/coordinate-mode-omitted-is-half-pixel@{opset}",
        "Without coordinate_transformation_mode the coordinates are shifted by -0.5, after spatial_scale.",
        X,
        [[4 * c for c in box] for box in BOXES],
        source=f"{TEXT}, coordinate_transformation_mode: the default of opset {opset}",
        opset=opset,
        output_height=2,
        output_width=2,
        sampling_ratio=2,
        spatial_scale=0.25,
    )


def _sizes() -> Iterator[Case]:
    for height, width in ((1, 4), (4, 1), (2, 3), (3, 2), (7, 7), (5, 9), (14, 14)):
        yield spec(
            f"attributes/output-{height}x{width}",
            f"The output has {height} rows and {width} columns of bins.",
            features(1, 2, 9, 8, seed=3),
            [[0.5, 1.25, 7, 7.75], [1.75, 2.5, 6.25, 4]],
            source=f'{TEXT}, Y: "4-D tensor of shape (num_rois, C, output_height, output_width)"',
            output_height=height,
            output_width=width,
            sampling_ratio=2,
        )


def _scales() -> Iterator[Case]:
    for scale in (0.0625, 0.25, 0.5, 2.0, 1 / 3, 0.3, 0.7):
        boxes = [[1.25, 0.75, 6.5, 5.25], [2.25, 3, 7.25, 6.75]]
        yield spec(
            f"attributes/spatial-scale-{scale:.3g}",
            f"spatial_scale={scale:.3g} multiplies every coordinate, before anything else.",
            features(1, 2, 8, 9, seed=4),
            [[round(c / scale * 8) / 8 for c in box] for box in boxes],
            source=f'{TEXT}, spatial_scale: "Multiplicative spatial scale factor to translate ROI coordinates"',
            output_height=2,
            output_width=3,
            sampling_ratio=2,
            spatial_scale=scale,
        )
        if scale in (0.25, 0.5, 0.7):
            continue
        yield spec(
            f"attributes/adaptive-grid-at-scale-{scale:.3g}",
            f"The adaptive grid follows the RoI's size after it was multiplied by spatial_scale={scale:.3g}.",
            features(1, 1, 8, 9, seed=5),
            [[round(c / scale * 8) / 8 for c in box] for box in boxes],
            source=f'{TEXT}, sampling_ratio: "computed as ceil(roi_width / output_width), and likewise for height"',
            output_height=2,
            output_width=2,
            spatial_scale=scale,
        )
