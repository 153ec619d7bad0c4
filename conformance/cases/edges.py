"""Samples near the border of the map: clamped to it, or 0 if they are more than one pixel outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from onnx_roialign.conformance.case import Case, Tier

from .building import NOTHING_TO_COMPARE, features, full, positive, roi_case

__all__ = ["cases"]

AGREE = (
    "torchvision 0.27, Paddle 3.3, MindSpore 2.10, ONNX Runtime 1.31, OpenVINO 2026.4 and TVM 0.27 agree in recorded "
    "calls on boxes across the border and outside"
)
ON_THE_CUT = f"{AGREE}, with corners on whole pixels; MindSpore's GPU kernel, which runs no ONNX models, differs"
H, W = 6, 8
LEGACY: Mapping[str, Any] = {"coordinate_transformation_mode": "output_half_pixel"}

settled = partial(roi_case, tier=Tier.SETTLED, source=AGREE)


def cases() -> Iterator[Case]:
    """Yields the cases of this group."""
    yield from _one_sample()
    yield from _clamped()
    yield from _across()
    yield from _mean()
    yield from _outside()
    yield from _on_the_cut()
    yield from _on_the_cut_of_a_grid()
    yield from _on_the_cut_inverted()


def box_at(y: float, x: float) -> list[float]:
    """Returns the box of one pixel whose only sample, in one bin, lies at (y, x) where coordinates are not shifted."""
    return [x - 0.5, y - 0.5, x + 0.5, y + 0.5]


def _one_sample() -> Iterator[Case]:
    inside = {"y": 2.25, "x": 3.625}
    for axis, length in (("y", H), ("x", W)):
        for distance in (-8, -1.125, -1.0078125, -0.9921875, -0.875, -0.125):
            for side, at in (("before-the-first", distance), ("beyond-the-last", length - 1 - distance)):
                # After the last pixel the limit is at N, one pixel after the centre of the last pixel.
                place = {**inside, axis: at}
                is_inside = -1 <= at <= length
                yield settled(
                    f"edges/sample-{abs(distance)}-px-{side}-{'row' if axis == 'y' else 'column'}",
                    f"A sample at {axis} = {at:g} of {length} pixels "
                    + ("takes the value at the border." if is_inside else "is 0."),
                    positive(1, 2, H, W),
                    [box_at(place["y"], place["x"])],
                    sampling_ratio=1,
                    **LEGACY,
                )
    for y, x in ((-0.75, -0.75), (-0.75, W - 0.25), (H - 0.25, -0.75), (H - 0.25, W - 0.25)):
        yield settled(
            f"edges/sample-in-the-corner-{y:g}-{x:g}",
            "A sample outside both axes by less than a pixel has the value of the corner pixel.",
            positive(1, 2, H, W),
            [box_at(y, x)],
            sampling_ratio=1,
            **LEGACY,
        )
    for y, x in ((-1.25, 3), (2, -1.25), (H + 0.25, 3), (2, W + 0.25), (-1.25, W + 0.25)):
        yield settled(
            f"edges/sample-outside-{y:g}-{x:g}",
            "A sample that is outside along one axis is 0, wherever it lies along the other.",
            positive(1, 2, H, W),
            [box_at(y, x)],
            sampling_ratio=1,
            **LEGACY,
        )
    for y, x in ((H - 0.25, 3.5), (3.5, W - 0.25)):
        for C in (1, 3):
            yield settled(
                f"edges/no-neighbour-after-the-last-{y:g}-{x:g}-of-{C}-channels",
                "After the last pixel there is no other: neither the next row nor the next channel is read.",
                positive(2, C, H, W, seed=1),
                [box_at(y, x)],
                [1],
                sampling_ratio=1,
                **LEGACY,
            )


def _clamped() -> Iterator[Case]:
    for mode in ("half_pixel", "output_half_pixel"):
        shift = 0.5 if mode == "half_pixel" else 0.0
        for name, box in {
            "top-left": [-0.875, -0.875, 1.125, 1.125],
            "bottom-right": [W - 2.125, H - 2.125, W - 0.125, H - 0.125],
            "top-right": [W - 2.125, -0.875, W - 0.125, 1.125],
            "bottom-left": [-0.875, H - 2.125, 1.125, H - 0.125],
        }.items():
            yield settled(
                f"edges/moved-onto-the-{name}-{mode.replace('_', '-')}",
                "Samples less than one pixel outside the map are moved onto its border.",
                features(1, 3, H, W, seed=2),
                [[c + shift for c in box]],
                coordinate_transformation_mode=mode,
                output_height=2,
                output_width=2,
                sampling_ratio=2,
            )
    yield settled(
        "edges/box-of-the-whole-map",
        "The box of the whole map reaches half a pixel beyond the centres of its border pixels.",
        features(1, 2, H, W, seed=3),
        [[0, 0, W, H]],
        output_height=H,
        output_width=W,
        sampling_ratio=2,
    )


ACROSS = {
    "left": [-2.25, 1.25, 3.5, 4.75],
    "right": [4.25, 1.25, W + 2.5, 4.75],
    "top": [1.25, -2.5, 6.75, 2.25],
    "bottom": [1.25, 3.25, 6.75, H + 2.75],
    "top-left": [-3.25, -2.5, 3.5, 2.75],
    "bottom-right": [4.75, 3.25, W + 3.5, H + 2.75],
    "every-side": [-2.75, -3.375, W + 2.5, H + 3.75],
}


def _across() -> Iterator[Case]:
    for name, box in ACROSS.items():
        for grid, ratio, mode in (
            ("fixed", 2, "half_pixel"),
            ("adaptive", 0, "half_pixel"),
            ("fixed", 2, "output_half_pixel"),
        ):
            if mode == "output_half_pixel" and "-" not in name:
                continue
            yield settled(
                f"edges/across-{name}-{grid}-{mode.replace('_', '-')}",
                "A box across the border is sampled as a whole; it is not cut to the map first.",
                features(1, 2, H, W, seed=4),
                [box],
                coordinate_transformation_mode=mode,
                output_height=2,
                output_width=4,
                sampling_ratio=ratio,
            )
        if "-" not in name:
            continue
        yield settled(
            f"edges/across-{name}-max",
            "In mode max too, samples outside the map are 0.",
            features(1, 2, H, W, seed=5),
            [box],
            mode="max",
            output_height=2,
            output_width=2,
            sampling_ratio=3,
        )


def _mean() -> Iterator[Case]:
    for name, box in ACROSS.items():
        yield settled(
            f"edges/mean-counts-samples-outside-{name}",
            "The mean divides by the number of all samples of a bin, those outside the map too.",
            full(1.0, H=H, W=W),
            [box],
            output_height=2,
            output_width=2,
            sampling_ratio=4,
        )
        if "-" not in name:
            continue
        yield settled(
            f"edges/adaptive-mean-counts-samples-outside-{name}",
            "The mean divides by the number of all samples of an adaptive grid, those outside the map too.",
            full(1.0, H=H, W=W),
            [box],
        )


def _outside() -> Iterator[Case]:
    for name, box in {
        "left": [-9.5, 1.25, -3.25, 4.5],
        "right": [W + 2.5, 1.25, W + 9.25, 4.5],
        "above": [1.25, -9.5, 4.5, -3.25],
        "below": [1.25, H + 2.5, 4.5, H + 9.25],
        "far": [1000.5, 2000.25, 1010.25, 2020.5],
        "far-left": [-3000.5, -2000.25, -2900.25, -1900.5],
    }.items():
        for grid, ratio in (("fixed", 2), ("adaptive", 0)):
            if grid == "adaptive" and "far" not in name:
                continue
            yield settled(
                f"edges/box-outside-{name}-{grid}",
                "A box outside the map gives 0.",
                positive(1, 2, H, W, seed=6),
                [box, [1.25, 1.25, 4.5, 4.75]],
                output_height=2,
                output_width=3,
                sampling_ratio=ratio,
            )
    for name, box in {
        "65536": [65537.5, 65537.25, 65541.5, 65540.25],
        "2^32": [2.0**32, 2.0**32, 2.0**32, 2.0**32],
    }.items():
        yield settled(
            f"edges/box-beyond-{name}",
            "A box far outside the map gives 0: its coordinates do not wrap around as integers do.",
            positive(1, 2, H, W, seed=6),
            [box],
            tolerance=NOTHING_TO_COMPARE,
            sampling_ratio=2,
            **LEGACY,
        )
    yield settled(
        "edges/boxes-beyond-the-map-by-less-than-half-a-pixel",
        "In half_pixel a box that lies beyond the edge of the map by less than half a pixel has samples at the border.",
        positive(1, 2, H, W, seed=8),
        [
            [2.25, H + 0.125, 4.5, H + 0.375],
            [W + 0.125, 2.25, W + 0.375, 4.5],
            [2.25, -0.375, 4.5, -0.125],
            [-0.375, 2.25, -0.125, 4.5],
        ],
        sampling_ratio=2,
    )


def _on_the_cut() -> Iterator[Case]:
    for name, (y, x) in {
        "above-the-first-row": (-1, 2.5),
        "below-the-last-row": (H, 2.5),
        "before-the-first-column": (2.5, -1),
        "after-the-last-column": (2.5, W),
    }.items():
        for mode in ("avg", "max"):
            yield settled(
                f"edges/sample-exactly-1-px-{name}" + ("-max" if mode == "max" else ""),
                "A sample exactly at -1 or N is still moved onto the border.",
                positive(1, 2, H, W, seed=7),
                [box_at(y, x)],
                source=ON_THE_CUT,
                mode=mode,
                sampling_ratio=1,
                **LEGACY,
            )


def _on_the_cut_of_a_grid() -> Iterator[Case]:
    # Along each axis: samples per bin (0: as many as the bin's pixels), the bin's pixels, and bins. A fixed grid takes
    # every other pixel, so that no other sample reads the pixel of that on the cut, which a maximum would not notice.
    for ratio, step, bins in ((3, 6, 2), (4, 8, 1), (8, 16, 1), (0, 1, 4), (0, 2, 4), (0, 3, 2)):
        for mode in ("avg", "max") if ratio or step == 1 else ("avg",):
            for dtype in ("float32", "float64", "float16", "bfloat16") if step in (1, 6) else ("float32",):
                grid = f"grid-of-{ratio}" if ratio else f"adaptive-grid-of-{step}"
                yield settled(
                    f"edges/samples-exactly-1-px-outside-{grid}-{mode}-{dtype}",
                    "Of a grid of any size, too, samples exactly at -1 and N are moved onto the border.",
                    positive(1, 2, 13, 14, dtype=dtype, seed=step),
                    _boxes_at_the_cut(13, 14, bins * step, step / (2 * (ratio or step))),
                    source=ON_THE_CUT,
                    opset=22,
                    mode=mode,
                    output_height=bins,
                    output_width=bins,
                    sampling_ratio=ratio,
                    **LEGACY,
                )


def _boxes_at_the_cut(rows: int, columns: int, side: int, before: float) -> list[list[float]]:
    """Returns a square box whose first samples are at -1, `before` pixels after its start; one with the last at N."""
    low, bottom, right = -1 - before, rows + before, columns + before
    return [[low, low, low + side, low + side], [right - side, bottom - side, right, bottom]]


def _on_the_cut_inverted() -> Iterator[Case]:
    boxes = [[W + 1.5, H + 1.5, W - 6.5, H - 6.5], [6.5, 6.5, -1.5, -1.5]]  # at W, W - 2, W - 4 and W - 6; at 5 to -1
    for mode in ("avg", "max"):
        yield settled(
            f"edges/samples-exactly-1-px-outside-inverted-{mode}",
            "Samples exactly at -1 and N of a RoI whose corners are exchanged are moved onto the border.",
            positive(1, 2, H, W, seed=9),
            boxes,
            source=ON_THE_CUT,
            mode=mode,
            output_height=2,
            output_width=2,
            sampling_ratio=2,
        )
