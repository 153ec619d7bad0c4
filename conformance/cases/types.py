"""The four types: the precision of the computation, and one rounding at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.conformance.case import Case, Tier, Tolerance

from .building import features, full, numpy_type, positive, roi_case

__all__ = ["cases"]

TYPES = (
    'ONNX\'s text of RoiAlign, T1: "tensor(float16), tensor(float), tensor(double)", since opset 22 "tensor(bfloat16)"'
)
ROUNDED_ONCE = (
    "ONNX Runtime 1.32 (CPU: Cast to float32, RoiAlign, Cast back) and OpenVINO 2026.4 (CPU: computed in float32) agree"
)
LEGACY: Mapping[str, Any] = {"coordinate_transformation_mode": "output_half_pixel"}
BOXES = [[1.25, 0.75, 6.5, 5.25], [2, 3.25, 7.25, 6.75]]

spec = partial(roi_case, tier=Tier.SPEC, source=TYPES)
settled = partial(roi_case, tier=Tier.SETTLED, source=ROUNDED_ONCE)


def cases() -> Iterator[Case]:
    """Yields the cases of this group."""
    for dtype, opsets in {"float64": (10, 16, 22), "float16": (10, 16, 22), "bfloat16": (22,)}.items():
        for opset in opsets:
            for mode in ("avg", "max"):
                yield spec(
                    f"types/{dtype}-{mode}@{opset}",
                    f"Y has the type of X, {dtype}.",
                    features(2, 3, 8, 9, dtype=dtype, seed=41),
                    BOXES,
                    [1, 0],
                    opset=opset,
                    mode=mode,
                    output_height=2,
                    output_width=2,
                    sampling_ratio=2,
                )
        yield spec(
            f"types/{dtype}-adaptive",
            f"The adaptive grid is the same in {dtype}.",
            features(1, 2, 8, 9, dtype=dtype, seed=42),
            BOXES,
            opset=opsets[-1],
            output_height=1,
            output_width=2,
        )
        yield spec(
            f"types/{dtype}-max-adaptive",
            f"The maximum over an adaptive grid is the same in {dtype}.",
            features(1, 2, 12, 12, dtype=dtype, seed=42),
            [[1.25, 0.75, 9.75, 6.25]],
            opset=opsets[-1],
            mode="max",
            output_height=2,
            output_width=3,
        )
        yield spec(
            f"types/{dtype}-no-rois",
            "No RoIs give an empty output of X's type.",
            features(1, 2, 4, 4, dtype=dtype),
            np.zeros((0, 4)),
            opset=opsets[-1],
        )
    yield from _float64()
    yield from _float32()
    yield from _sums_of_sixteen_bits()
    yield from _roundings_to_sixteen_bits()
    yield from _steps_of_sixteen_bits()
    yield from _range()


def thirds(N: int, C: int, H: int, W: int, dtype: str) -> Array:
    """Returns (N, C, H, W) thirds in [1, 2), which fill the significand of every type."""
    index = np.arange(N * C * H * W)
    made: Array = (1 + (index * index * 7 % 97) / 291.0).reshape(N, C, H, W).astype(numpy_type(dtype))
    return made


def _float64() -> Iterator[Case]:
    for opset in (10, 16, 22):
        yield spec(
            f"types/float64-keeps-the-features@{opset}",
            "In float64 features, weights and sums have 53 bits, not 24.",
            thirds(1, 2, 8, 9, "float64"),
            BOXES,
            opset=opset,
            output_height=2,
            output_width=2,
            sampling_ratio=2,
        )
    yield spec(
        "types/float64-keeps-the-coordinates",
        "In float64 coordinates have 53 bits, not 24.",
        features(1, 2, 8, 9, dtype="float64", seed=43),
        np.array(BOXES) + np.array([1 / 3, 1 / 7, 1 / 11, 1 / 13]) / 8,
        output_height=2,
        output_width=3,
        sampling_ratio=2,
    )
    yield spec(
        "types/float64-max-keeps-the-features",
        "In float64 the maximum has 53 bits.",
        thirds(1, 2, 8, 9, "float64"),
        BOXES,
        mode="max",
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )


def _float32() -> Iterator[Case]:
    yield spec(
        "types/float32-keeps-the-features",
        "In float32 features, weights and sums have 24 bits.",
        thirds(1, 2, 8, 9, "float32"),
        BOXES,
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )
    yield spec(
        "types/float32-keeps-the-coordinates",
        "In float32 coordinates have 24 bits, not 11 or 8.",
        features(1, 2, 8, 9, seed=44),
        np.array(BOXES) + np.array([1 / 3, 1 / 7, 1 / 11, 1 / 13]) / 8,
        output_height=2,
        output_width=3,
        sampling_ratio=2,
    )
    yield spec(
        "types/float32-keeps-large-features",
        "A feature of 1e30 has a mean: float32 is not float16.",
        features(1, 1, 8, 9, seed=45) * np.float32(2.0**100),
        BOXES,
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )
    yield spec(
        "types/float32-keeps-small-features",
        "A feature of 1e-30 is not 0.",
        features(1, 1, 8, 9, seed=46) * np.float32(2.0**-100),
        BOXES,
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )


def _range() -> Iterator[Case]:
    for dtype, value in {"float64": -1e300, "float16": -60000.0, "bfloat16": -1e38}.items():
        yield spec(
            f"types/{dtype}-maximum-of-large-negative-features",
            f"The maximum of features of {value:g} is not bounded from below in {dtype}.",
            full(value, H=8, W=9, dtype=dtype),
            BOXES,
            opset=22 if dtype == "bfloat16" else 16,
            mode="max",
            output_height=2,
            output_width=2,
            sampling_ratio=2,
        )
    yield spec(
        "types/bfloat16-keeps-large-features",
        "A feature beyond 65504 has a mean: bfloat16 is not float16.",
        features(1, 1, 8, 9, dtype="bfloat16", seed=45) * numpy_type("bfloat16").type(2.0**40),
        BOXES,
        opset=22,
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )
    yield spec(
        "types/bfloat16-keeps-large-coordinates",
        "Coordinates may exceed 65504: bfloat16 is not float16.",
        features(1, 1, 8, 9, dtype="bfloat16", seed=45),
        np.array(BOXES) * 2.0**15,
        opset=22,
        output_height=2,
        output_width=2,
        sampling_ratio=2,
        spatial_scale=2.0**-15,
    )
    yield spec(
        "types/float64-scale-is-a-float32",
        "An attribute is a float32: in float64, spatial_scale = 0.3 is the float32 nearest to 0.3.",
        features(1, 2, 8, 9, dtype="float64", seed=49),
        [[5, 4, 21, 20]],
        output_height=2,
        output_width=2,
        sampling_ratio=2,
        spatial_scale=0.3,
    )
    hidden = features(1, 2, 8, 9, seed=50)
    hidden[0, 0, 3, 4] = np.nan
    hidden[0, 1, 3, 4] = np.inf
    yield settled(
        "types/features-that-are-no-numbers",
        "The mean of samples of which one is NaN is NaN, and of which one is infinite infinite.",
        hidden,
        [[3.25, 2.25, 5.5, 4.75]],
        source="ONNX Runtime 1.32 and onnx.reference agree, and so does IEEE 754's arithmetic",
        sampling_ratio=2,
    )


def _sums_of_sixteen_bits() -> Iterator[Case]:
    for dtype in ("float16", "bfloat16"):
        for name, X in {
            "equal-features": full(1.703125, H=18, W=18, dtype=dtype),
            "thirds": thirds(1, 2, 18, 18, dtype),
        }.items():
            for ratio in (3, 16) if name == "thirds" else (16,):
                yield settled(
                    f"types/{dtype}-sums-of-{ratio * ratio}-samples-of-{name}",
                    f"In {dtype} samples are summed with more bits than the type has, and the mean is rounded once.",
                    X,
                    [[0.75, 1.25, 16.5, 15.5]],
                    opset=22,
                    output_height=1,
                    output_width=2,
                    sampling_ratio=ratio,
                )
        yield settled(
            f"types/{dtype}-positions-have-more-bits",
            f"In {dtype} positions are computed with more bits than the type has.",
            features(1, 2, 18, 18, dtype=dtype, seed=47),
            [[9.0625, 8.1875, 15.9375, 14.8125]],
            opset=22,
            output_height=7,
            output_width=5,
            sampling_ratio=3,
        )
        yield settled(
            f"types/{dtype}-scale-has-more-bits",
            f"In {dtype} spatial_scale is a float32 and is not rounded to the type.",
            features(1, 2, 18, 18, dtype=dtype, seed=48),
            [[30, 35, 52, 50]],
            opset=22,
            output_height=2,
            output_width=2,
            sampling_ratio=2,
            spatial_scale=0.3,
        )


def _roundings_to_sixteen_bits() -> Iterator[Case]:
    for dtype, step in (("float16", 2.0**-10), ("bfloat16", 2.0**-7)):
        # Samples are a quarter or three quarters of the way between two neighbours of the type: float32 is exact.
        X = (1 + step * (np.arange(64) % 5)).reshape(1, 1, 8, 8).astype(numpy_type(dtype))
        yield settled(
            f"types/{dtype}-is-rounded-to-the-nearest",
            f"The result is the {dtype} nearest to the mean, which is exact in float32: it is not cut off.",
            X,
            [[1.75, 1.25, 5.75, 5.25]],
            tolerance=Tolerance(0, "float32 is exact here, and no result is halfway between two numbers of the type"),
            opset=22,
            output_height=4,
            output_width=4,
            sampling_ratio=1,
        )
    for dtype, step in (("float16", 2.0**-10), ("bfloat16", 2.0**-7)):
        # Three of the four samples are 5/8 of a step above 1, and the fourth is 1: the mean is 15/32 above 1, but 3/4
        # where each sample is rounded before.
        X = np.ones((1, 1, 8, 8))
        X[0, 0, 1, (2, 4)] = X[0, 0, 2, 2] = 1 + step
        yield settled(
            f"types/{dtype}-samples-are-not-rounded",
            f"Samples in {dtype} are not rounded before their mean is.",
            X.astype(numpy_type(dtype)),
            [[1.125, 1, 5.125, 3]],
            tolerance=Tolerance(
                0, "float32 is exact here, and the mean is not halfway between two numbers of the type"
            ),
            opset=22,
            sampling_ratio=2,
        )
    for dtype, common, other in (
        ("float16", 1 + 127 * 2.0**-10, 1 + 179 * 2.0**-10),
        ("bfloat16", 255 / 128, 254 / 128),
    ):
        # The samples lie on nine pixels, of which one differs.
        X = np.full((1, 1, 5, 5), common if dtype == "float16" else other)
        X[0, 0, 2, 2] = other if dtype == "float16" else common
        yield settled(
            f"types/{dtype}-divisor-has-more-bits",
            f"In {dtype} the mean of 9 samples is not their sum times 1/9 in the type.",
            X.astype(numpy_type(dtype)),
            [[0.5, 0.5, 3.5, 3.5]],
            tolerance=Tolerance(0, "the mean is a quarter of a step and more from halfway between two numbers"),
            opset=22,
            sampling_ratio=3,
            **LEGACY,
        )
    for dtype, bins in (("float16", 2048), ("bfloat16", 256)):
        for axis in ("rows", "columns"):
            # From 1 to -1 over one pixel: each weight has a bit more than the type, and each result has not.
            shape, (height, width) = ((2, 1), (bins, 1)) if axis == "rows" else ((1, 2), (1, bins))
            yield settled(
                f"types/{dtype}-weights-have-more-bits-{axis}",
                f"In {dtype} weights are computed with more bits than the type has.",
                np.array([1, -1], numpy_type(dtype)).reshape(1, 1, *shape),
                [[0, 0, 1, 1]],
                tolerance=Tolerance(0, "positions, weights and results are exact in float32"),
                opset=22,
                output_height=height,
                output_width=width,
                sampling_ratio=1,
                **LEGACY,
            )
    for dtype, least in (("float32", 2.0**-149), ("float16", 2.0**-24)):
        yield settled(
            f"types/{dtype}-keeps-subnormal-features",
            f"Features below the smallest normal {dtype} have a mean, and are not taken as 0.",
            (np.arange(72).reshape(1, 1, 8, 9) * 8 * least).astype(dtype),
            BOXES,
            source="ONNX Runtime 1.32, torchvision 0.29 and onnx.reference agree",
            output_height=2,
            output_width=2,
            sampling_ratio=2,
        )
    yield settled(
        "types/float16-mean-of-65504",
        "The mean of float16 features of 65504, the largest, is 65504.",
        full(65504.0, H=8, W=8, dtype="float16"),
        [[1, 1, 5, 5]],
        output_height=2,
        output_width=2,
        sampling_ratio=2,
        **LEGACY,
    )
    yield settled(
        "types/float16-sum-beyond-65504",
        "The sum of float16 samples may exceed the largest float16; their mean does not.",
        full(40000.0, H=8, W=8, dtype="float16"),
        [[1.25, 1.25, 5.5, 6.25]],
        output_height=1,
        output_width=1,
        sampling_ratio=4,
    )


def _steps_of_sixteen_bits() -> Iterator[Case]:
    # A size just above 4, which the type rounds to 4.
    for dtype, start, end in (("float16", 7 * 2.0**-11, 4 + 2.0**-8), ("bfloat16", 7 * 2.0**-8, 4 + 2.0**-5)):
        yield settled(
            f"types/{dtype}-adaptive-grid-has-more-bits",
            f"In {dtype} the adaptive grid of {end - start:g} pixels has 5 samples: the size is not rounded to 4.",
            positive(1, 2, 8, 9, dtype=dtype, seed=51),
            [[start, start, end, end]],
            opset=22,
        )
