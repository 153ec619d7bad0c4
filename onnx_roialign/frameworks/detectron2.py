"""detectron2.modeling.poolers.ROIPooler on NumPy arrays.

Detectron2's behaviour (version 0.6), which this module keeps:

- `pooler_type` "ROIAlign" has no half-pixel offset (aligned=False), "ROIAlignV2" has one (aligned=True).
- A box of area A belongs to level ``floor(canonical_level + log2(sqrt(A) / canonical_box_size + 1e-8))``, between the
  levels of the first and the last scale, computed in float32 for maps of any type, since Boxes are float32. A box of
  negative area has no level, and its row is 0.
- If there is only one scale, every box is pooled from it.
- The scales must form a pyramid: the first and the last are powers of two, at most 1, and there is one for each level.

It differs in two ways: `output_size` may have unequal height and width (Detectron2 then fails on several levels), and
boxes stay float32 beside float16 maps (Detectron2 rounds them and computes in float16).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import onnx

from onnx_roialign.definition.attributes import Attributes, positive_in
from onnx_roialign.definition.pyramid import LevelRule, Pyramid
from onnx_roialign.definition.sources import parse
from onnx_roialign.engines.by_name import check_engine
from onnx_roialign.engines.caller_arrays import array_of
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.frameworks.common import (
    TORCH_TYPES,
    Array,
    Engine,
    image_count,
    join_images,
    maps_of,
    onnx_sampling_ratio,
    pair,
    pool_levels,
    positives,
    write_levels,
)
from onnx_roialign.onnx_model.writer import GraphWriter
from onnx_roialign.ops.expansion import FIRST_OPSET

__all__ = ["ROIPooler"]

_SOURCES = MappingProxyType({"ROIAlign": "detectron2:aligned=False", "ROIAlignV2": "detectron2:aligned=True"})


class ROIPooler:
    """Pools boxes from the levels of a feature pyramid, as detectron2.modeling.poolers.ROIPooler does.

    Attributes:
        output_size: number of bins, (height, width).
        min_level: level of the first map.
        max_level: level of the last map.
    """

    def __init__(
        self,
        output_size: int | Sequence[int],
        scales: Sequence[float],
        sampling_ratio: int,
        pooler_type: str,
        canonical_box_size: int = 224,
        canonical_level: int = 4,
    ) -> None:
        """Checks and stores the arguments that all calls share.

        Args:
            output_size: number of bins, one integer for both axes or a pair (height, width).
            scales: pixels of each map per pixel of the image, from the finest map to the coarsest.
            sampling_ratio: samples per bin and axis; 0 or less: adaptive.
            pooler_type: "ROIAlign" or "ROIAlignV2".
            canonical_box_size: side of a box of the canonical level, in pixels of the image.
            canonical_level: level of a box with that side, where 0 is the level of the image.

        Raises:
            RoiAlignError: an argument is invalid.
        """
        if not (isinstance(pooler_type, str) and pooler_type in _SOURCES):
            names = " or ".join(map(repr, _SOURCES))
            raise RoiAlignError("pooler_type", "choice", f"must be {names}, got {shown(pooler_type)}")
        self.output_size = pair(output_size)
        self.min_level, self.max_level, numbers = _levels(scales)
        rule = LevelRule(
            self.min_level,
            self.max_level,
            positive_in("canonical_box_size", canonical_box_size, np.dtype(np.float32)),
            canonical_level,
            log_epsilon=1e-8,
            floor_epsilon=0,
        )
        attributes = Attributes(
            output_height=self.output_size[0],
            output_width=self.output_size[1],
            sampling_ratio=onnx_sampling_ratio(sampling_ratio),
            semantics=parse(_SOURCES[pooler_type]),
        )
        self._pyramid = Pyramid(numbers, rule, attributes)

    def __call__(self, x: list[npt.ArrayLike], box_lists: list[npt.ArrayLike], *, engine: Engine = "native") -> Array:
        """Pools every box from the map of its level.

        Args:
            x: one (N, C, H, W) map for each scale, float32, float64 or float16.
            box_lists: for each of N images an (L, 4) matrix of rows (x1, y1, x2, y2) in pixels of the image, like the
                tensor of Detectron2's Boxes: numbers of any type, which become float32.
            engine: "native" (the compiled library) or "reference" (NumPy).

        Returns:
            (K, C, height, width) for all K boxes in the order of the images, of the maps' type.

        Raises:
            RoiAlignError: an argument is invalid; the message names it.
            NativeLibraryError: engine is "native" and there is no compiled library.
        """
        check_engine(engine)
        for name, argument in (("x", x), ("box_lists", box_lists)):
            if not isinstance(argument, list):
                raise RoiAlignError(name, "type", f"must be a list, got {shown(argument)}")
        if len(x) != len(self._pyramid.spatial_scales):
            wanted = len(self._pyramid.spatial_scales)
            raise RoiAlignError("x", "shape", f"must be one map for each of {wanted} scales, got {len(x)}")
        maps = maps_of("x", x, TORCH_TYPES)
        if len(box_lists) != len(maps[0]):
            raise RoiAlignError(
                "box_lists", "shape", f"must be one for each of {len(maps[0])} images, got {len(box_lists)}"
            )
        if not box_lists:
            return np.zeros((0, maps[0].shape[1], *self.output_size), maps[0].dtype)
        boxes = [_boxes(f"box_lists[{i}]", matrix) for i, matrix in enumerate(box_lists)]
        rois, batch_indices = join_images(boxes, np.dtype(np.float32), "Boxes")
        return pool_levels(rois, batch_indices, maps, self._pyramid, engine)

    def to_onnx(self, opset: int = 16, *, images: int = 1, dtype: npt.DTypeLike = np.float32) -> onnx.ModelProto:
        """Writes the call as a model with one onnx_roialign::MultiScaleRoiAlign, or for a single map one RoiAlign.

        The inputs are the maps `x_0`, `x_1`, ..., and `boxes_0`, `boxes_1`, ..., one float32 matrix per image; the
        output is `output`. `graph.unfuse` writes the model in ONNX's own operators, for other runtimes.

        Args:
            opset: version of ONNX's own operators, at least 11, which `graph.unfuse` needs.
            images: number of images.
            dtype: type of the maps.

        Raises:
            RoiAlignError: an argument is invalid.
        """
        count = image_count(images)
        graph = GraphWriter(opset, dtype, TORCH_TYPES, FIRST_OPSET)
        scales = self._pyramid.spatial_scales
        maps = [graph.input(f"x_{i}", ("N", "C", f"H{i}", f"W{i}")) for i in range(len(scales))]
        boxes = [graph.input(f"boxes_{i}", (f"L{i}", 4), np.float32) for i in range(count)]
        batch_indices, rois = graph.join(boxes)
        return write_levels(graph, rois, batch_indices, maps, self._pyramid, same_type=graph.dtype == np.float32)


def _levels(scales: Sequence[float]) -> tuple[int, int, tuple[float, ...]]:
    """Checks that the scales form a pyramid; returns the levels of the first and the last scale, and the scales."""
    numbers = positives("scales", scales)
    levels = [-math.log2(numbers[i]) for i in (0, -1)]
    first, last = map(int, levels)
    if not (math.isclose(levels[0], first) and math.isclose(levels[1], last)):
        raise RoiAlignError("scales", "range", f"must begin and end with powers of 2, got {shown(list(numbers))}")
    if first < 0 or len(numbers) != last - first + 1:
        raise RoiAlignError(
            "scales",
            "range",
            "must be at most 1 and one for each level from the first scale's to the last scale's, "
            f"got {shown(list(numbers))}",
        )
    return first, last, numbers


def _boxes(name: str, given: npt.ArrayLike) -> Array:
    """Returns the tensor of Detectron2's Boxes: float32, of shape (0, 4) if it is empty."""
    array = array_of(name, given)
    if array.dtype.kind not in "iuf":
        raise RoiAlignError(name, "type", f"must be numbers, got {array.dtype}")
    with np.errstate(over="ignore"):  # numbers beyond float32 become infinite and are refused later
        boxes = array.astype(np.float32)
    return boxes if boxes.size else boxes.reshape(-1, 4)
