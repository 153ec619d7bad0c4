"""Invalid and unusual inputs: an error or a correct result, within bounded time and memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.conformance.case import Case, Tier, Tolerance

from .building import NOTHING_TO_COMPARE, Side, features, full, positive, refused_case, roi_case

__all__ = ["cases"]

TEXT = "ONNX's text of RoiAlign"
INDEX = f'{TEXT}, batch_indices: "the index of the corresponding image in the batch"'
ATTRIBUTE = f"{TEXT}: the attribute's allowed values"
INPUTS = f"{TEXT}: the inputs' types and shapes"

# In ULP of the largest feature: 16 ULP of 1 are 1.9e-6.
_PART = Tolerance(16, "the part of the samples on the map; single-precision positions of 1e5 pixels are 1e-2 apart")

DEFAULTS: Mapping[str, Any] = {"sampling_ratio": 2, "output_height": 2, "output_width": 2}

robust = partial(roi_case, tier=Tier.ROBUST)


def cases() -> Iterator[Case]:
    """Yields the cases of this group."""
    yield from _batch_indices()
    yield from _attributes()
    yield from _shapes_and_types()
    yield from _coordinates()
    yield from _large()
    yield from _empty()


def inputs(**changed: Array) -> dict[str, Array]:
    """Returns the inputs of a valid call, with these inputs replaced."""
    return {
        "X": features(2, 2, 5, 6),
        "rois": np.array([[0.5, 0.5, 3.5, 2.5], [1, 1, 4, 4]], np.float32),
        "batch_indices": np.array([0, 1], np.int64),
        **changed,
    }


def _batch_indices() -> Iterator[Case]:
    for index in (-1, -2, 2, 2**31, 2**32, -(2**63)):
        yield refused_case(
            f"robust/batch-index-{index}-of-2-images",
            f"A batch index of {index} names no image of two: it must not wrap, be read outside or be ignored.",
            inputs(batch_indices=np.array([0, index], np.int64)),
            source=INDEX,
            sampling_ratio=2,
        )
    yield refused_case(
        "robust/batch-index-without-images",
        "Without images every batch index is out of range.",
        inputs(X=features(0, 2, 5, 6)),
        source=INDEX,
        sampling_ratio=2,
    )
    yield refused_case(
        "robust/error-names-batch-indices",
        "The error about a batch index names the input.",
        inputs(batch_indices=np.array([0, 7], np.int64)),
        source=INDEX,
        mentions=("batch_indices", "batch index", "batch_ind"),
        sampling_ratio=2,
    )


def _attributes() -> Iterator[Case]:
    bad: dict[str, dict[str, Any]] = {
        "mode-median": {"mode": "median"},
        "mode-empty": {"mode": ""},
        "coordinate-mode-unknown": {"coordinate_transformation_mode": "bogus"},
        "coordinate-mode-of-resize": {"coordinate_transformation_mode": "asymmetric"},
        "sampling-ratio-negative": {"sampling_ratio": -1},
        "output-height-negative": {"output_height": -2},
        "output-width-negative": {"output_width": -2},
        "spatial-scale-nan": {"spatial_scale": float("nan")},
        "spatial-scale-infinite": {"spatial_scale": float("inf")},
        "unknown-attribute": {"aligned": 1},
    }
    for name, attributes in bad.items():
        yield refused_case(
            f"robust/{name}", "A value that the attribute does not allow is an error.", inputs(), source=ATTRIBUTE,
            **attributes,
        )  # fmt: skip
    may_be_computed: dict[str, dict[str, Any]] = {
        "output-height-0": {"output_height": 0},
        "output-width-0": {"output_width": 0},
        "spatial-scale-0": {"spatial_scale": 0.0},
        "spatial-scale-negative": {"spatial_scale": -0.5},
        "coordinate-mode-at-opset-10": {"opset": 10, "coordinate_transformation_mode": "half_pixel"},
    }
    for name, attributes in may_be_computed.items():
        yield robust(
            f"robust/{name}",
            "An attribute of an odd value, or of a later opset, is an error or takes effect; it is not ignored.",
            features(2, 2, 5, 6),
            inputs()["rois"],
            [0, 1],
            source=ATTRIBUTE,
            sides={"refused": None, "computed": {}},
            **{**DEFAULTS, **attributes},
        )
    yield refused_case(
        "robust/output-of-2^40-rows",
        "An output that fits into no memory is an error.",
        inputs(),
        source=f"{TEXT}, Y",
        output_height=2**40,
    )


def _shapes_and_types() -> Iterator[Case]:
    bad: dict[str, dict[str, Array]] = {
        "X-of-rank-3": {"X": np.zeros((2, 5, 6), np.float32)},
        "X-of-rank-5": {"X": np.zeros((2, 1, 1, 5, 6), np.float32)},
        "rois-with-5-columns": {"rois": np.zeros((2, 5), np.float32)},
        "rois-with-3-columns": {"rois": np.zeros((2, 3), np.float32)},
        "rois-of-rank-1": {"rois": np.zeros(4, np.float32)},
        "rois-of-rank-3": {"rois": np.zeros((1, 2, 4), np.float32)},
        "fewer-batch-indices-than-rois": {"batch_indices": np.zeros(1, np.int64)},
        "more-batch-indices-than-rois": {"batch_indices": np.zeros(3, np.int64)},
        "batch-indices-of-rank-2": {"batch_indices": np.zeros((2, 1), np.int64)},
        "batch-indices-int32": {"batch_indices": np.zeros(2, np.int32)},
        "batch-indices-float": {"batch_indices": np.zeros(2, np.float32)},
        "rois-float64-with-X-float32": {"rois": np.zeros((2, 4), np.float64)},
        "X-int32": {"X": np.zeros((2, 2, 5, 6), np.int32), "rois": np.zeros((2, 4), np.int32)},
    }
    for name, changed in bad.items():
        yield refused_case(
            f"robust/{name}",
            "An input of another shape or type than the operator's is an error.",
            inputs(**changed),
            source=INPUTS,
            sampling_ratio=2,
        )
    for H, W in ((0, 6), (5, 0), (0, 0)):
        yield robust(
            f"robust/map-of-{H}x{W}",
            "A map without pixels has no value to interpolate: an error, or 0 as outside a map.",
            features(1, 2, H, W),
            [[0.5, 0.5, 3.5, 2.5]],
            source=INPUTS,
            sides={"refused": None, "0": np.zeros((1, 2, 1, 1), np.float32)},
            tolerance=NOTHING_TO_COMPARE,
            sampling_ratio=2,
        )


def _coordinates() -> Iterator[Case]:
    for name, value in {"nan": np.nan, "infinity": np.inf, "minus-infinity": -np.inf}.items():
        for column, at in {"x1": 0, "y2": 3}.items():
            for grid, ratio in (("fixed", 2), ("adaptive", 0)) if name == "nan" else (("fixed", 2),):
                rois = inputs()["rois"]
                rois[1, at] = value
                sides: dict[str, Side] = {"refused": None, "NaN": _only_first(rois, ratio)}
                yield robust(
                    f"robust/{column}-is-{name}-{grid}",
                    "A coordinate that is no number is an error, or gives NaN; it is not computed in silence.",
                    features(2, 2, 5, 6),
                    rois,
                    [0, 1],
                    source=INPUTS,
                    sides=sides,
                    tolerance=NOTHING_TO_COMPARE,
                    sampling_ratio=ratio,
                )
    rois = inputs()["rois"]
    rois[1, 2] = np.nan
    yield refused_case(
        "robust/error-names-rois",
        "The error about a coordinate that is NaN names the input.",
        inputs(rois=rois),
        source=INPUTS,
        mentions=("roi",),
    )


def _only_first(rois: Array, ratio: int) -> Array:
    """Returns the result of the first of two RoIs, and NaN for the second."""
    case = robust("", "", features(2, 2, 5, 6), rois[:1], [0], source="", sampling_ratio=ratio)
    outputs = case.outcomes[0].outputs or {}
    return np.concatenate([outputs["Y"], np.full_like(outputs["Y"], np.nan)])


def _large() -> Iterator[Case]:
    source = f"{TEXT}: no size of a RoI is excluded"
    for name, box in {
        "1e9-px": [-5e8, -5e8, 5e8, 5e8],
        "1e9-px-wide": [-5e8, 1.25, 5e8, 4.5],
        "1e7-px-outside": [2e7, 2e7, 3e7, 3e7],
        "3e38-px": [-1.5e38, -1.5e38, 1.5e38, 1.5e38],
        "1e5-px": [-5e4, -5e4, 5e4, 5e4],
        "1e4-px": [-5e3, -5e3, 5e3, 5e3],
    }.items():
        # The mean over so many samples of a map of ones is the part of the samples that lie inside, less than float32
        # shows beside 1 but where the box is as wide as 1e5.
        inside = np.zeros((1, 1, 1, 1), np.float32)
        if name == "1e9-px-wide":
            yield robust(
                f"robust/box-of-{name}-adaptive",
                "An adaptive grid of 1e9 samples is an error, or gives the part of the samples that lie on the map.",
                full(1.0),
                [box],
                source=source,
                sides={"refused": None, "computed": np.full_like(inside, 9e-9)},
                tolerance=_PART,
            )
            continue
        yield robust(
            f"robust/box-of-{name}-adaptive",
            "An adaptive grid of more samples than memory holds is an error, or gives the part of the samples that lie "
            "on the map, here less than a tolerance of 1e-6.",
            full(1.0),
            [box],
            source=source,
            sides={"refused": None, "computed": inside},
            tolerance=_PART,
        )
        yield robust(
            f"robust/box-of-{name}-fixed",
            "A fixed grid over a box much larger than the map, or far from it, has all samples outside.",
            positive(1, 2, 6, 7),
            [box],
            source=source,
            sides={"computed": np.zeros((1, 2, 2, 2), np.float32), "refused": None},
            tolerance=NOTHING_TO_COMPARE,
            output_height=2,
            output_width=2,
            sampling_ratio=2,
        )
    yield robust(
        "robust/sampling-ratio-of-16384",
        "A grid of 16384 x 16384 samples is an error, or gives the mean.",
        full(1.0),
        [[1.25, 1.25, 5.5, 6.25]],
        source=source,
        sides={"refused": None, "computed": np.ones((1, 1, 1, 1), np.float32)},
        tolerance=_PART,
        sampling_ratio=16384,
    )


def _empty() -> Iterator[Case]:
    yield robust(
        "robust/no-channels",
        "Without channels the output is empty, or this is an error.",
        features(1, 0, 5, 6),
        [[0.5, 0.5, 3.5, 2.5]],
        source=f"{TEXT}, Y",
        sides={"computed": np.zeros((1, 0, 2, 2), np.float32), "refused": None},
        tolerance=NOTHING_TO_COMPARE,
        output_height=2,
        output_width=2,
        sampling_ratio=2,
    )
    yield robust(
        "robust/no-rois-and-a-map-without-pixels",
        "Without RoIs nothing is read.",
        features(1, 2, 0, 0),
        np.zeros((0, 4)),
        source=f"{TEXT}, Y",
        sides={"computed": np.zeros((0, 2, 1, 1), np.float32), "refused": None},
        tolerance=NOTHING_TO_COMPARE,
        sampling_ratio=2,
    )
