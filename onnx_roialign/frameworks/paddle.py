"""paddle.vision.ops.roi_align and the older paddle.fluid.layers.roi_align on NumPy arrays.

Particular to Paddle (3.3, its CPU kernel):

- `aligned` is True by default: half a pixel is taken off the scaled coordinates. The fluid form has no such argument
  and takes nothing off; there every scaled RoI grows to at least 1 x 1 pixel of the feature map.
- Boxes come grouped by image: image after image, with how many each has, or with LoD offsets.
- A bin without samples (aligned, adaptive, a box of no width or height) answers NaN: 0 / 0.
- With aligned=True and an adaptive grid, a box turned round (x2 < x1 or y2 < y1) has a negative number of samples,
  which Paddle takes for one near 2 ** 64: it ends the process, or never returns. Here that is an error.
- `spatial_scale` is a float32 there, in a float64 call too, and rounded to one here.
- A sample's position is added up in another order, so that one that lies exactly on the cut past the map's border may
  count there and not here, or the reverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.checks import check_arrays
from onnx_roialign.definition.geometry import axis_grid, roi_axes
from onnx_roialign.definition.semantics import PRESETS
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.frameworks.common import Array, Engine, adaptive_or, boxes_of, features_of, front_door, pair, pool
from onnx_roialign.onnx_model.writer import GraphWriter

__all__ = ["LoDTensor", "fluid_roi_align", "roi_align"]

TYPES = ("float32", "float64")

Size = int | Sequence[int]


class LoDTensor(NamedTuple):
    """Boxes grouped by level-of-detail offsets, as fluid's LoDTensor holds them; any such pair is taken.

    Attributes:
        data: (K, 4) boxes, image after image.
        lod: levels of offsets, of which the last counts: ``[[0, 2, 5]]`` says that boxes 0 and 1 belong to image 0,
            2 to 4 to image 1.
    """

    data: npt.ArrayLike
    lod: Sequence[Sequence[int]]


def _attributes(size: tuple[int, int], spatial_scale: float, sampling_ratio: int, aligned: bool) -> Attributes:
    attributes = Attributes(
        output_height=size[0],
        output_width=size[1],
        sampling_ratio=adaptive_or(sampling_ratio),
        spatial_scale=spatial_scale,
        semantics=PRESETS["paddle_aligned" if aligned else "paddle_legacy"],
    )
    attributes.check_in(np.dtype(np.float32))
    return replace(
        attributes, spatial_scale=float(np.float32(attributes.spatial_scale))
    )  # as Paddle's attribute has it


def _images(name: str, counts: npt.ArrayLike, num_boxes: int, num_images: int) -> Array:
    """The image of each box, of how many boxes each image has."""
    array = np.asarray(counts)
    if array.shape != (num_images,):
        raise RoiAlignError(f"{name} must have shape ({num_images},), one count per image, got shape {array.shape}")
    if array.dtype.kind not in "iu":
        raise RoiAlignError(f"{name} must be int32 or int64, got {array.dtype}")
    if (array < 0).any():
        raise RoiAlignError(f"{name} must be at least 0, got {array.min()} at image {array.argmin()}")
    if array.sum() != num_boxes:
        raise RoiAlignError(f"{name} must add up to the number of boxes {num_boxes}, got {array.sum()}")
    return np.repeat(np.arange(num_images), array)


def _counts(lod: Sequence[Sequence[int]]) -> Array:
    """How many boxes each image has, of LoD offsets."""
    offsets = np.asarray(lod[-1] if len(lod) else [])
    if offsets.ndim != 1 or offsets.size < 2 or offsets.dtype.kind not in "iu" or offsets[0] != 0:
        raise RoiAlignError(f"rois must have LoD offsets that begin with 0, such as [[0, 2, 5]], got {lod!r}")
    if (np.diff(offsets) < 0).any():
        raise RoiAlignError(f"rois must have LoD offsets that never fall, got {lod!r}")
    return np.asarray(np.diff(offsets))


def _check_that_paddle_returns(boxes: Array, attributes: Attributes) -> None:
    if attributes.sampling_ratio > 0 or attributes.semantics.min_size is not None:
        return
    rows, columns = (axis_grid(axis).count for axis in roi_axes(boxes, (1, 1), attributes))
    endless = np.flatnonzero((rows < 0) | ((rows > 0) & (columns < 0)))
    if endless.size:
        row = endless[0]
        raise RoiAlignError(
            "boxes must have x2 >= x1 and y2 >= y1 where aligned=True and the grid is adaptive, on which Paddle ends "
            f"the process or never returns, got {boxes[row].tolist()} at row {row}; pass a sampling_ratio > 0"
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
    """Writes the call as a model, with ONNX's own RoiAlign where that means the same, else the private one.

    Inputs `x`, `boxes` (K, 4) and `boxes_num` (int32), output `output`. ONNX's RoiAlign cannot say aligned=True below
    opset 16, nor the NaN of a bin without samples, which only an aligned adaptive grid can have. The model has no error
    for boxes on which Paddle does not return.

    Args:
        output_size: as in the call.
        spatial_scale: as in the call.
        sampling_ratio: as in the call.
        aligned: as in the call.
        name: not used.
        opset: version of ONNX's own operators.
        dtype: of features and boxes.

    Raises:
        RoiAlignError: an argument that cannot be.
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


@front_door(_to_onnx)
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
        boxes: (K, 4) rows (x1, y1, x2, y2) in pixels of the image, image after image, of x's type.
        boxes_num: (N,) how many boxes each image has, int32 or int64.
        output_size: bins, one number for both axes or a pair (height, width).
        spatial_scale: pixels of the feature map per pixel of the image; rounded to a float32, as Paddle does.
        sampling_ratio: samples per bin and axis; 0 or less: adaptive, as many as the bin is pixels long.
        aligned: takes half a pixel off the scaled coordinates, and leaves small boxes as they are.
        name: not used, as in Paddle without a graph.
        engine: "native", the compiled library, or "reference", NumPy.

    Returns:
        (K, C, height, width), of x's type.

    Raises:
        RoiAlignError: an argument that cannot be, or boxes on which Paddle does not return; the text names it.
        NativeLibraryError: engine "native" without a compiled library.
    """
    X = features_of("x", x, TYPES)
    rois = boxes_of("boxes", boxes, "(K, 4)", X.dtype, "x")
    if boxes_num is None:
        raise RoiAlignError("boxes_num must be one count per image, got None")
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
    """Writes the call as a model, with ONNX's own RoiAlign, which can say it at every opset.

    Inputs `input`, `rois` (K, 4), and `rois_num` (int32) or `lod` (int64 offsets); output `output`.

    Args:
        pooled_height: as in the call.
        pooled_width: as in the call.
        spatial_scale: as in the call.
        sampling_ratio: as in the call.
        name: not used.
        opset: version of ONNX's own operators.
        dtype: of features and boxes.
        grouped_by: what says which boxes belong to which image.

    Raises:
        RoiAlignError: an argument that cannot be.
    """
    if grouped_by not in ("rois_num", "lod"):
        raise RoiAlignError(f"grouped_by must be 'rois_num' or 'lod', got {grouped_by!r}")
    attributes = _attributes((pooled_height, pooled_width), spatial_scale, sampling_ratio, False)
    return _model(("input", "rois", grouped_by), attributes, opset, dtype, lod=grouped_by == "lod")


@front_door(_fluid_to_onnx)
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
    """Pools boxes of feature maps as paddle.fluid.layers.roi_align did: without taking half a pixel off.

    Args:
        input: (N, C, H, W) feature maps, float32 or float64.
        rois: (K, 4) rows (x1, y1, x2, y2) in pixels of the image, image after image, of input's type; or a pair of
            them and LoD offsets, such as ``(rois, [[0, 2, 5]])`` or a `LoDTensor`.
        pooled_height: bins along y.
        pooled_width: bins along x.
        spatial_scale: pixels of the feature map per pixel of the image; rounded to a float32, as Paddle does.
        sampling_ratio: samples per bin and axis; 0 or less: adaptive, as many as the bin is pixels long.
        rois_num: (N,) how many boxes each image has; where it is given, LoD offsets do not count.
        name: not used.
        engine: "native", the compiled library, or "reference", NumPy.

    Returns:
        (K, C, pooled_height, pooled_width), of input's type.

    Raises:
        RoiAlignError: an argument that cannot be, or boxes that nothing groups; the text names it.
        NativeLibraryError: engine "native" without a compiled library.
    """
    X = features_of("input", input, TYPES)
    data, lod = _apart(rois)
    boxes = boxes_of("rois", data, "(K, 4)", X.dtype, "input")
    if rois_num is not None:
        images = _images("rois_num", rois_num, len(boxes), len(X))
    elif lod is not None:
        images = _images("rois' LoD", _counts(lod), len(boxes), len(X))
    else:
        raise RoiAlignError("rois must have LoD offsets where rois_num is not given, got an array without")
    attributes = _attributes((pooled_height, pooled_width), spatial_scale, sampling_ratio, False)
    return _pool(X, boxes, images, attributes, engine)


def _apart(rois: Any) -> tuple[npt.ArrayLike, Sequence[Sequence[int]] | None]:
    return (rois[0], rois[1]) if isinstance(rois, tuple) and len(rois) == 2 else (rois, None)
