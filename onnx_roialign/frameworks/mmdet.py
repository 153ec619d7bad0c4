"""mmdet.models.roi_heads.roi_extractors.SingleRoIExtractor on NumPy arrays, with the RoIAlign of mmcv.

mmdetection's behaviour (version 3.3, with mmcv 2), which this module keeps:

- A RoI of area A belongs to level ``floor(log2(sqrt(A) / finest_scale + 1e-6))``, between 0 and the last given map,
  computed in the maps' type. A RoI of negative area has no level, and its row is 0.
- There may be fewer maps than `featmap_strides`; the maps then have the first strides.
- `roi_scale_factor` enlarges RoIs about their centres after their levels are computed.
- If there is only one map, every RoI is pooled from it, and `roi_scale_factor` is ignored.
- The first column of the RoIs is the image index, truncated to an integer. RoIs are converted to the maps' type.
- mmcv's RoIAlign has the half-pixel offset by default. With ``use_torchvision`` it ignores `pool_mode` and uses "avg".

It differs where mmdetection fails or depends on the machine. With float16 maps it computes in float32 and rounds once
(mmdetection's areas overflow above 256 x 256 pixels, which assigns such RoIs to the last level). A number of channels
other than `out_channels` is an error even if there is only one map. An infinite feature in a map from which no RoI is
pooled does not make every result NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from onnx_roialign.definition.attributes import Attributes, flag, integer, positive_in
from onnx_roialign.definition.element_types import coordinate_type
from onnx_roialign.definition.pyramid import LevelRule, Pyramid
from onnx_roialign.definition.sources import parse
from onnx_roialign.engines.by_name import check_engine
from onnx_roialign.engines.caller_arrays import array_of
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.frameworks.common import (
    TORCH_TYPES,
    Array,
    Engine,
    boxes_of,
    maps_of,
    onnx_sampling_ratio,
    pair,
    pool_levels,
    positives,
    split_images,
    write_levels,
)
from onnx_roialign.onnx_model.writer import GraphWriter
from onnx_roialign.ops.expansion import FIRST_OPSET

__all__ = ["SingleRoIExtractor"]

# The arguments of mmcv's RoIAlign that have a default.
_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {"sampling_ratio": 0, "pool_mode": "avg", "aligned": True, "use_torchvision": False}
)


class SingleRoIExtractor:
    """Pools RoIs from the levels of a feature pyramid, as mmdet's SingleRoIExtractor does."""

    def __init__(
        self,
        roi_layer: Mapping[str, Any],
        out_channels: int,
        featmap_strides: Sequence[int],
        finest_scale: int = 56,
    ) -> None:
        """Checks and stores the arguments that all calls share.

        Args:
            roi_layer: as in a configuration: "type", which must be "RoIAlign", and the arguments of mmcv's RoIAlign
                without spatial_scale: "output_size" (an integer or a pair), "sampling_ratio" (default 0: adaptive),
                "pool_mode" (default "avg", or "max"), "aligned" (default True), "use_torchvision" (default False).
            out_channels: number of channels of the maps.
            featmap_strides: pixels of the image per pixel of each map.
            finest_scale: side of a RoI of level 0, in pixels of the image; RoIs of at least twice this side have a
                higher level.

        Raises:
            RoiAlignError: an argument is invalid.
        """
        self._attributes = _attributes(roi_layer)
        self.out_channels = integer("out_channels", out_channels)
        self.featmap_strides = positives("featmap_strides", featmap_strides)
        self.finest_scale = positive_in("finest_scale", finest_scale, np.dtype(np.float32))

    @property
    def num_inputs(self) -> int:
        """Number of maps."""
        return len(self.featmap_strides)

    def __call__(
        self,
        feats: Sequence[npt.ArrayLike],
        rois: npt.ArrayLike,
        roi_scale_factor: float | None = None,
        *,
        engine: Engine = "native",
    ) -> Array:
        """Pools every RoI from the map of its level.

        Args:
            feats: (N, out_channels, H, W) maps, at most one for each stride, float32, float64 or float16.
            rois: (K, 5) rows (image, x1, y1, x2, y2) in pixels of the image: numbers of any type, which are converted
                to the maps' type.
            roi_scale_factor: factor by which RoIs are enlarged after their levels are computed; > 0.
            engine: "native" (the compiled library) or "reference" (NumPy).

        Returns:
            (K, out_channels, height, width), of the maps' type.

        Raises:
            RoiAlignError: an argument is invalid; the message names it.
            NativeLibraryError: engine is "native" and there is no compiled library.
        """
        check_engine(engine)
        if not isinstance(feats, (list, tuple)):
            raise RoiAlignError("feats", "type", f"must be a list or a tuple of maps, got {shown(feats)}")
        pyramid = self._pyramid("feats", len(feats))
        maps = maps_of("feats", feats, TORCH_TYPES)
        if maps[0].shape[1] != self.out_channels:
            raise RoiAlignError(
                "feats", "shape", f"must have {self.out_channels} channels (out_channels), got {maps[0].shape[1]}"
            )
        boxes, images = split_images("rois", _rois(rois, maps[0].dtype))
        if roi_scale_factor is None or len(maps) == 1:
            return pool_levels(boxes, images, maps, pyramid, engine)
        scaled = _rescaled(boxes, positive_in("roi_scale_factor", roi_scale_factor, maps[0].dtype))
        return pool_levels(scaled, images, maps, pyramid, engine, pyramid.rule.levels(boxes))

    def to_onnx(
        self,
        opset: int = 16,
        *,
        maps: int | None = None,
        roi_scale_factor: float | None = None,
        dtype: npt.DTypeLike = np.float32,
    ) -> onnx.ModelProto:
        """Writes the call as a model with one onnx_roialign::MultiScaleRoiAlign, or for a single map one RoiAlign.

        The inputs are the maps `feats_0`, `feats_1`, ..., and `rois` (K, 5); the output is `output`. `graph.unfuse`
        writes the model in ONNX's own operators, for other runtimes. Numbers are rounded to float32, like every float
        attribute of ONNX.

        Args:
            opset: version of ONNX's own operators, at least 11, which `graph.unfuse` needs.
            maps: number of maps; None: one for each stride.
            roi_scale_factor: as in the call.
            dtype: type of maps and RoIs.

        Raises:
            RoiAlignError: an argument is invalid.
        """
        count = self.num_inputs if maps is None else integer("maps", maps)
        pyramid = self._pyramid("maps", count)
        graph = GraphWriter(opset, dtype, TORCH_TYPES, FIRST_OPSET)
        feats = [graph.input(f"feats_{i}", ("N", self.out_channels, f"H{i}", f"W{i}")) for i in range(count)]
        batch_indices, boxes = graph.indices_and_boxes(graph.input("rois", ("K", 5)))
        if roi_scale_factor is None or count == 1:
            return write_levels(graph, boxes, batch_indices, feats, pyramid)
        factor = positive_in("roi_scale_factor", roi_scale_factor, graph.dtype)
        scaled, levels = _write_rescaled(graph, boxes, factor, pyramid.rule)
        return write_levels(graph, scaled, batch_indices, feats, pyramid, levels=levels)

    def _pyramid(self, argument: str, maps: int) -> Pyramid:
        if not 1 <= maps <= self.num_inputs:
            raise RoiAlignError(argument, "shape", f"must be 1 to {self.num_inputs}, one for each stride, got {maps}")
        rule = LevelRule(0, maps - 1, self.finest_scale, canonical_level=0, log_epsilon=1e-6, floor_epsilon=0)
        return Pyramid(tuple(1 / stride for stride in self.featmap_strides[:maps]), rule, self._attributes)


def _attributes(roi_layer: Mapping[str, Any]) -> Attributes:
    kind = roi_layer.get("type") if isinstance(roi_layer, Mapping) else None
    if not (isinstance(kind, str) and kind == "RoIAlign"):
        raise RoiAlignError("roi_layer", "type", f"must be a mapping whose type is 'RoIAlign', got {shown(roi_layer)}")
    given = {**_DEFAULTS, **roi_layer}
    if unknown := [name for name in given if name not in ("type", "output_size", *_DEFAULTS)]:
        names = ", ".join(("type", "output_size", *_DEFAULTS))
        raise RoiAlignError(
            "roi_layer", "choice", f"must have no other arguments than {names}, got {shown(unknown[0])}"
        )
    if "output_size" not in given:
        raise RoiAlignError("roi_layer", "missing", f"must have an output_size, got {shown(roi_layer)}")
    if not (isinstance(given["pool_mode"], str) and given["pool_mode"] in ("avg", "max")):
        raise RoiAlignError("pool_mode", "choice", f"must be 'avg' or 'max', got {shown(given['pool_mode'])}")
    height, width = pair(given["output_size"])
    return Attributes(
        output_height=height,
        output_width=width,
        sampling_ratio=onnx_sampling_ratio(given["sampling_ratio"]),
        mode="avg" if flag("use_torchvision", given["use_torchvision"]) else given["pool_mode"],
        semantics=parse(f"mmcv:aligned={flag('aligned', given['aligned'])}"),
    )


def _rois(given: npt.ArrayLike, dtype: np.dtype[Any]) -> Array:
    array = array_of("rois", given)
    if array.dtype.kind not in "iuf":
        raise RoiAlignError("rois", "type", f"must be numbers, got {array.dtype}")
    with np.errstate(over="ignore"):  # numbers beyond the type become infinite and are refused later
        return boxes_of("rois", array.astype(dtype), "(K, 5)", dtype, "feats")


def _rescaled(boxes: Array, factor: float) -> Array:
    """Enlarges RoIs about their centres, in float32 or float64, in mmdet's order of operations."""
    real = coordinate_type(boxes.dtype)
    starts, ends = boxes[:, :2].astype(real), boxes[:, 2:].astype(real)
    with np.errstate(over="ignore", invalid="ignore"):
        centres = (starts + ends) * real(0.5)
        halves = (ends - starts) * real(factor) * real(0.5)
        return np.hstack([centres - halves, centres + halves])


def _write_rescaled(graph: GraphWriter, boxes: str, factor: float, rule: LevelRule) -> tuple[str, str]:
    """Writes the nodes of `_rescaled` and of the levels of the original RoIs; returns the names of both results."""
    real = coordinate_type(graph.dtype)
    if graph.dtype != real:
        boxes = graph.node("Cast", (boxes,), "wide_boxes", to=onnx.helper.np_dtype_to_tensor_dtype(np.dtype(real)))
    starts, ends = graph.columns(boxes, 0, 1, "starts"), graph.columns(boxes, 2, 3, "ends")
    sizes = graph.node("Sub", (ends, starts), "sizes")
    half = graph.constant("half", 0.5, real)
    centres = graph.node("Mul", (graph.node("Add", (starts, ends), "sums"), half), "centres")
    scaled_sizes = graph.node("Mul", (sizes, graph.constant("roi_scale_factor", factor, real)), "scaled_sizes")
    halves = graph.node("Mul", (scaled_sizes, half), "halves")
    corners = graph.node("Sub", (centres, halves), "scaled_starts"), graph.node("Add", (centres, halves), "scaled_ends")
    sides = graph.columns(sizes, 0, 0, "widths"), graph.columns(sizes, 1, 1, "heights")
    areas = graph.node("Mul", sides, "areas")
    return graph.node("Concat", corners, "scaled_boxes", axis=1), _write_levels(graph, areas, rule.smallest_areas(real))


def _write_levels(graph: GraphWriter, areas: str, smallest: Array) -> str:
    """Writes the levels of areas (K, 1): the number of smallest areas that each reaches, minus 1; -1 for NaN."""
    least = graph.constant("smallest_areas", smallest, smallest.dtype)
    ways = graph.node("Greater", (areas, least), "above"), graph.node("Equal", (areas, least), "on")
    reached = graph.node("Cast", (graph.node("Or", ways, "reached"),), "ones", to=onnx.TensorProto.INT64)
    if graph.opset < 13:  # opset 13 made axes an input
        count = graph.node("ReduceSum", (reached,), "count", axes=[1], keepdims=0)
    else:
        count = graph.node("ReduceSum", (reached, graph.constant("axis_1", [1])), "count", keepdims=0)
    return graph.node("Sub", (count, graph.constant("one", 1)), "levels")
