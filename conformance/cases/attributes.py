"""Every attribute of RoiAlign, given and omitted, at the opsets that define it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ..case import Case, Tier
from .building import features, roi_case

__all__ = ["cases"]

TEXT = "ONNX's text of RoiAlign"

BOXES = [[1.25, 0.5, 6.75, 5.5], [2, 3, 7.5, 6.25]]

spec = partial(roi_case, tier=Tier.SPEC)


def cases() -> Iterator[Case]:
    """Yields the cases of this group."""
    for opset in (10, 16, 22):
        X = features(1, 2, 8, 9)
        yield spec(
            f"attributes/all-omitted@{opset}",
            "A node without attributes returns one bin per RoI, the average, an adaptive grid and scale 1; its "
            f"coordinates are {'not shifted' if opset < 16 else 'shifted by -0.5'}.",
            X,
            BOXES,
            source=f"{TEXT}: the defaults of opset {opset}",
            opset=opset,
        )
        yield spec(
            f"attributes/sampling-ratio-omitted-is-adaptive@{opset}",
            "Without sampling_ratio the grid is adaptive, neither 1 nor 2 samples per axis.",
            X,
            [[0.5, 0.75, 8.25, 7]],
            source=f'{TEXT}, sampling_ratio: "Default is 0", "If == 0, then an adaptive number of grid points are used"',
            opset=opset,
            output_height=2,
            output_width=1,
        )
