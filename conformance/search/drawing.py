"""Draws random cases: one RoiAlign with any attributes, features and boxes, designed to shrink well."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from onnx_roialign.arrays import Array
from onnx_roialign.conformance.case import Case, Tier
from onnx_roialign.conformance.cases.building import Call, features, positive, refused_case, roi_case
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET

__all__ = ["cases"]

_OPSETS = (16, 10, 22)
_SOURCE = "search"
# The largest size of boxes in pixels of the map: exact results of larger boxes take long and find no other errors.
_FARTHEST = 24
# A call is ill-conditioned if a sample is this near to a limit, or a bin's length to an integer, in roundings of the
# largest coordinate: start, size, step and position are rounded once each, and the two ends of the box before that.
_ROUNDINGS = 8


@st.composite
def cases(draw: Any, dtypes: Sequence[str] = ("float32", "float64", "float16")) -> Case | None:
    """Draws a case; None if its result depends on the last bit, or if independent implementations disagree about it."""
    opset = draw(st.sampled_from(_OPSETS))
    X = draw(_features(dtypes))
    attributes = draw(_attributes(opset))
    boxes = draw(_boxes()) / attributes.get("spatial_scale", 1.0)
    batch_indices = [draw(st.integers(0, len(X) - 1)) for _ in boxes]
    if draw(st.integers(0, 24)) == 24:
        return _refused(X, boxes, batch_indices, opset, attributes, draw(st.sampled_from((len(X), -1))))
    call = Call(X, boxes.astype(X.dtype), np.array(batch_indices, np.int64), opset, attributes)
    if not _settled(call):
        return None
    clause = f"A random call: {', '.join(f'{name}={value}' for name, value in attributes.items()) or 'no attributes'}."
    founded: dict[str, Any] = {"source": _SOURCE, "tier": Tier.SETTLED, "opset": opset}
    return roi_case("search/drawn", clause, X, boxes, batch_indices, **founded, **attributes)


@st.composite
def _boxes(draw: Any) -> Array:
    """Draws rows x1, y1, x2, y2 in pixels of the map; one in eight boxes has exchanged corners along an axis."""
    whole = draw(st.sampled_from((4, 1000)))  # quarters of a pixel, which no operation rounds, or thousandths
    start = st.integers(-3 * whole, 12 * whole)
    size = st.integers(1, 12 * whole)
    rows = []
    for _ in range(draw(st.integers(1, 3))):
        x1, y1, width, height = draw(start), draw(start), draw(size), draw(size)
        turned = draw(st.integers(0, 7)) == 7
        rows.append([x1 + width, y1, x1, y1 + height] if turned else [x1, y1, x1 + width, y1 + height])
    return np.asarray(np.array(rows) / whole)


@st.composite
def _features(draw: Any, dtypes: Sequence[str]) -> Array:
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 11), st.integers(1, 11)))
    kind = draw(st.sampled_from(("counted", "scattered", "negative")))
    dtype, seed = draw(st.sampled_from(dtypes)), draw(st.integers(0, 9))
    if kind == "scattered":
        return features(*shape, dtype=dtype, seed=seed)
    if kind == "negative":
        return -positive(*shape, dtype=dtype, seed=seed)
    counted = np.arange(1, 1 + np.prod(shape)) % 1024
    return np.asarray(counted.reshape(shape), features(1, 1, 1, 1, dtype=dtype).dtype)


@st.composite
def _attributes(draw: Any, opset: int) -> dict[str, Any]:
    bins = st.integers(1, 4)
    values: dict[str, st.SearchStrategy[Any]] = {
        "output_height": bins,
        "output_width": bins,
        "sampling_ratio": st.integers(0, 4),
        "spatial_scale": st.sampled_from((0.5, 0.25, 0.0625, 2.0, 0.3, 1.5)),
        "mode": st.sampled_from(("avg", "max")),
    }
    if opset >= HALF_PIXEL_OPSET:
        values["coordinate_transformation_mode"] = st.sampled_from(("half_pixel", "output_half_pixel"))
    return {name: draw(value) for name, value in values.items() if draw(st.integers(0, 3))}


def _settled(call: Call) -> bool:
    """Whether all correct implementations agree: well-conditioned, of bounded size, and every bin has samples."""
    scale = Fraction(float(np.float32(call.attributes.get("spatial_scale", 1.0))))
    ends = [[Fraction(float(value)) * scale for value in roi] for roi in call.rois]
    if any(abs(end) > 4 * _FARTHEST for roi in ends for end in roi):
        return False
    minimum = call.rules.minimum or 0
    adaptive = call.attributes.get("sampling_ratio", 0) == 0
    if adaptive and any(max(x2 - x1, minimum) <= 0 or max(y2 - y1, minimum) <= 0 for x1, y1, x2, y2 in ends):
        return False
    near = call.conditioning()
    type_ = call.X.dtype.type if call.X.dtype.itemsize > 2 else np.float32
    margin = _ROUNDINGS * float(np.spacing(type_(near.reach)))
    return near.exact or (near.cut > margin and near.integer > margin)


def _refused(
    X: Array, rois: Array, batch_indices: list[int], opset: int, attributes: dict[str, Any], wrong: int
) -> Case:
    inputs = {"X": X, "rois": rois.astype(X.dtype), "batch_indices": np.array([*batch_indices[:-1], wrong], np.int64)}
    clause = f"A batch index of {wrong} names no image of {len(X)}."
    return refused_case("search/refused", clause, inputs, source=_SOURCE, opset=opset, **attributes)
