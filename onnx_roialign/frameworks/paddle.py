"""paddle.vision.ops.roi_align and the older paddle.fluid.layers.roi_align on NumPy arrays.

Paddle's behaviour (version 3.3, CPU kernel):

- `aligned` is True by default: half a pixel is subtracted from the scaled coordinates. The fluid form has no such
  argument; it subtracts nothing and enlarges every scaled RoI to at least 1 x 1 pixel of the feature map.
- Boxes are grouped by image, in the order of the images, with the number of boxes per image or with LoD offsets.
- A bin without samples (aligned, adaptive grid, a box of width or height 0) has the value NaN (0 / 0).
- With aligned=True and an adaptive grid, a mirrored box (x2 < x1 or y2 < y1) has a negative number of samples. Paddle
  reads that as an unsigned number near 2 ** 64 and crashes or never returns. This module raises an error.
- Paddle stores `spatial_scale` as float32 even for float64 features, so this module rounds it to float32.
- Paddle adds the terms of a sample's position in another order. A sample exactly at -1 or at the map's size may
  therefore count in Paddle and not here, or the reverse.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

from onnx_roialign.definition.attributes import Attributes, flag
from onnx_roialign.definition.checks import check_arrays
from onnx_roialign.definition.geometry import axis_grid, roi_axes
from onnx_roialign.definition.semantics import PRESETS
from onnx_roialign.engines.caller_arrays import array_of
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.frameworks.common import (
    Array,
    Engine,
    boxes_of,
    features_of,
    framework_call,
    onnx_sampling_ratio,
    pair,
    pool,
)
from onnx_roialign.onnx_model.writer import GraphWriter

__all__ = ["LoDTensor", "fluid_roi_align", "roi_align"]

TYPES = ("float32", "float64")

Size = int | Sequence[int]


class LoDTensor(NamedTuple):
    """Boxes with level-of-detail offsets, like fluid's LoDTensor. A plain pair (data, lod) works too.

    Attributes:
        data: (K, 4) boxes, in the order of the images.
        lod: levels of offsets, of which only the last is used: with ``[[0, 2, 5]]`` boxes 0 and 1 belong to image 0
            and boxes 2 to 4 to image 1.
    """

    data: npt.ArrayLike
    lod: Sequence[Sequence[int]]


def _attributes(size: tuple[int, int], spatial_scale: float, sampling_ratio: int, aligned: bool) -> Attributes:
    attributes = Attributes(
        output_height=size[0],
        output_width=size[1],
        sampling_ratio=onnx_sampling_ratio(sampling_ratio),
        spatial_scale=spatial_scale,
        semantics=PRESETS["paddle_aligned" if flag("aligned", aligned) else "paddle_legacy"],
    )
    attributes.check_in(np.dtype(np.float32))
    return replace(attributes, spatial_scale=float(np.float32(attributes.spatial_scale)))  # Paddle stores a float32


def _images(name: str, counts: npt.ArrayLike, num_boxes: int, num_images: int) -> Array:
    """Returns the image index of each box, from the number of boxes per image."""
    array = array_of(name, counts)
    if array.shape != (num_images,):
        raise RoiAlignError(
            name, "shape", f"must have shape ({num_images},), one count per image, got shape {array.shape}"
        )
    if array.dtype.kind not in "iu":
        raise RoiAlignError(name, "type", f"must be int32 or int64, got {array.dtype}")
    if (array < 0).any():
        raise RoiAlignError(name, "range", f"must be at least 0, got {array.min()} at image {array.argmin()}")
    if (total := sum(array.tolist())) != num_boxes:  # of Python's integers, which do not overflow
        raise RoiAlignError(name, "range", f"must add up to the number of boxes {num_boxes}, got {total}")
    return np.repeat(np.arange(num_images), array)


def _counts(lod: Sequence[Sequence[int]]) -> list[int]:
    """Returns the number of boxes per image, from LoD offsets."""
    try:
        offsets = array_of("rois' LoD", lod[-1])
    except (TypeError, LookupError):
        offsets = np.zeros(0)
    if offsets.ndim != 1 or offsets.size < 2 or offsets.dtype.kind not in "iu" or offsets[0] != 0:
        raise RoiAlignError(
            "rois", "form", f"must have LoD offsets that begin with 0, such as [[0, 2, 5]], got {shown(lod)}"
        )
    counts = [end - start for start, end in itertools.pairwise(offsets.tolist())]
    if min(counts) < 0:
        raise RoiAlignError("rois", "form", f"must have LoD offsets that never fall, got {shown(lod)}")
    return counts


def _check_that_paddle_returns(boxes: Array, attributes: Attributes) -> None:
    if attributes.sampling_ratio > 0 or attributes.semantics.min_size is not None:
        return
    rows, columns = (axis_grid(axis).count for axis in roi_axes(boxes, (1, 1), attributes))
    endless = np.flatnonzero((rows < 0) | ((rows > 0) & (columns < 0)))
    if endless.size:
        row = endless[0]
        raise RoiAlignError(
            "boxes",
            "unsupported",
            "must have x2 >= x1 and y2 >= y1 where aligned=True and the grid is adaptive, because Paddle crashes "
            f"or never returns on others, got {boxes[row].tolist()} at row {row}; pass a sampling_ratio > 0",
        )


def _pool(X: Array, boxes: Array, batch_indices: Array, attributes: Attributes, engine: Engine) -> Array:
    check_arrays(X, boxes, batch_indices, attributes)
    _check_that_paddle_returns(boxes, attributes)
    return pool(X, boxes, batch_indices, attributes, engine)


def _to_onnx(
    output_size: Size,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = True,
    name: str | None = None,
    *,
    opset: int = 16,
    dtype: npt.DTypeLike = np.float32,
) -> onnx.ModelProto:
    """Writes the call as a model, with ONNX's RoiAlign where it means the same and the private operator otherwise.

    The inputs are `x`, `boxes` (K, 4) and `boxes_num` (int32), the output is `output`. ONNX's RoiAlign cannot express
    aligned=True below opset 16, nor the NaN of a bin without samples, which only an aligned adaptive grid has. The
    model raises no error for boxes on which Paddle does not return.

    Args:
        output_size: as in the call.
        spatial_scale: as in the call.
        sampling_ratio: as in the call.
        aligned: as in the call.
        name: not used.
        opset: version of ONNX's own operators.
        dtype: type of features and boxes.

    Raises:
        RoiAlignError: an argument is invalid.
    """
    attributes = _attributes(pair(output_size), spatial_scale, sampling_ratio, aligned)
    return _model(("x", "boxes", "boxes_num"), attributes, opset, dtype, lod=False)


def _model(
    names: tuple[str, str, str], attributes: Attributes, opset: int, dtype: npt.DTypeLike, *, lod: bool
) -> onnx.ModelProto:
    graph = GraphWriter(opset, dtype, TYPES)
    X, boxes = graph.input(names[0], ("N", "C", "H", "W")), graph.input(names[1], ("K", 4))
    if lod:
        offsets = graph.input(names[2], ("N_plus_1",), np.int64)
        axis, last = graph.constant("axis_0", [0]), graph.constant("last", [2**62])
        ends = graph.node("Slice", (offsets, graph.constant("second", [1]), last, axis), "ends")
        starts = graph.node("Slice", (offsets, axis, graph.constant("but_one", [-1]), axis), "starts")
        counts = graph.node("Sub", (ends, starts), "counts")
    else:
        counts = graph.input(names[2], ("N",), np.int32)
    output = graph.roi_align(X, boxes, graph.repeat_images(counts, boxes), "output", attributes)
    return graph.model(output, ("K", "C", attributes.output_height, attributes.output_width))


@framework_call(_to_onnx)
def roi_align(
    x: npt.ArrayLike,
    boxes: npt.ArrayLike,
    boxes_num: npt.ArrayLike,
    output_size: Size,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = True,
    name: str | None = None,
    *,
    engine: Engine = "native",
) -> Array:
    """Pools boxes of feature maps as paddle.vision.ops.roi_align does.

    Args:
        x: (N, C, H, W) feature maps, float32 or float64.
        boxes: (K, 4) rows (x1, y1, x2, y2) in pixels of the image, in the order of the images, of x's type.
        boxes_num: (N,) number of boxes per image, int32 or int64.
        output_size: number of bins, one integer for both axes or a pair (height, width).
        spatial_scale: pixels of the feature map per pixel of the image; rounded to float32, as in Paddle.
        sampling_ratio: samples per bin and axis; 0 or less: adaptive, the bin's length in pixels, rounded up.
        aligned: subtracts half a pixel from the scaled coordinates and does not enlarge small boxes.
        name: not used; Paddle uses it only in static graphs.
        engine: "native" (the compiled library) or "reference" (NumPy).

    Returns:
        (K, C, height, width), of x's type.

    Raises:
        RoiAlignError: an argument is invalid, or Paddle does not return for a box; the message names it.
        NativeLibraryError: engine is "native" and there is no compiled library.
    """
    X = features_of("x", x, TYPES)
    rois = boxes_of("boxes", boxes, "(K, 4)", X.dtype, "x")
    if boxes_num is None:
        raise RoiAlignError("boxes_num", "missing", "must be one count per image, got None")
    attributes = _attributes(pair(output_size), spatial_scale, sampling_ratio, aligned)
    return _pool(X, rois, _images("boxes_num", boxes_num, len(rois), len(X)), attributes, engine)


def _fluid_to_onnx(
    pooled_height: int = 1,
    pooled_width: int = 1,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    name: str | None = None,
    *,
    opset: int = 16,
    dtype: npt.DTypeLike = np.float32,
    grouped_by: Literal["rois_num", "lod"] = "rois_num",
) -> onnx.ModelProto:
    """Writes the call as a model with ONNX's RoiAlign, which can express it at every opset.

    The inputs are `input`, `rois` (K, 4), and `rois_num` (int32) or `lod` (int64 offsets); the output is `output`.

    Args:
        pooled_height: as in the call.
        pooled_width: as in the call.
        spatial_scale: as in the call.
        sampling_ratio: as in the call.
        name: not used.
        opset: version of ONNX's own operators.
        dtype: type of features and boxes.
        grouped_by: the input that groups the boxes by image.

    Raises:
        RoiAlignError: an argument is invalid.
    """
    if not (isinstance(grouped_by, str) and grouped_by in ("rois_num", "lod")):
        raise RoiAlignError("grouped_by", "choice", f"must be 'rois_num' or 'lod', got {shown(grouped_by)}")
    attributes = _attributes((pooled_height, pooled_width), spatial_scale, sampling_ratio, False)
    return _model(("input", "rois", grouped_by), attributes, opset, dtype, lod=grouped_by == "lod")


@framework_call(_fluid_to_onnx)
def fluid_roi_align(
    input: npt.ArrayLike,
    rois: npt.ArrayLike | LoDTensor,
    pooled_height: int = 1,
    pooled_width: int = 1,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    rois_num: npt.ArrayLike | None = None,
    name: str | None = None,
    *,
    engine: Engine = "native",
) -> Array:
    """Pools boxes of feature maps as paddle.fluid.layers.roi_align did: without the half-pixel offset.

    Args:
        input: (N, C, H, W) feature maps, float32 or float64.
        rois: (K, 4) rows (x1, y1, x2, y2) in pixels of the image, in the order of the images, of input's type; or a
            pair of these rows and LoD offsets, such as ``(rois, [[0, 2, 5]])`` or a `LoDTensor`.
        pooled_height: number of bins along y.
        pooled_width: number of bins along x.
        spatial_scale: pixels of the feature map per pixel of the image; rounded to float32, as in Paddle.
        sampling_ratio: samples per bin and axis; 0 or less: adaptive, the bin's length in pixels, rounded up.
        rois_num: (N,) number of boxes per image; if given, LoD offsets are ignored.
        name: not used.
        engine: "native" (the compiled library) or "reference" (NumPy).

    Returns:
        (K, C, pooled_height, pooled_width), of input's type.

    Raises:
        RoiAlignError: an argument is invalid, or nothing groups the boxes by image; the message names it.
        NativeLibraryError: engine is "native" and there is no compiled library.
    """
    X = features_of("input", input, TYPES)
    data, lod = _split_lod(rois)
    boxes = boxes_of("rois", data, "(K, 4)", X.dtype, "input")
    if rois_num is not None:
        images = _images("rois_num", rois_num, len(boxes), len(X))
    elif lod is not None:
        images = _images("rois' LoD", _counts(lod), len(boxes), len(X))
    else:
        raise RoiAlignError(
            "rois", "missing", "must have LoD offsets where rois_num is not given, got an array without"
        )
    attributes = _attributes((pooled_height, pooled_width), spatial_scale, sampling_ratio, False)
    return _pool(X, boxes, images, attributes, engine)


def _split_lod(rois: Any) -> tuple[npt.ArrayLike, Sequence[Sequence[int]] | None]:
    return (rois[0], rois[1]) if isinstance(rois, tuple) and len(rois) == 2 else (rois, None)
