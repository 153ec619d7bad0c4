"""torchvision.ops.MultiScaleRoIAlign: pools every box from the level of a feature pyramid for its size.

Lin et al., "Feature Pyramid Networks for Object Detection" (2017), equation 1: a box of w x h pixels of the image
belongs to level ``k = floor(k0 + log2(sqrt(w * h) / 224))``. torchvision adds 1e-6 before the floor, in the boxes'
type, so that a box whose area lies on a boundary goes to the coarser level. Level k has scale 2 ** -k; the scale of a
feature map is the power of two nearest to its height divided by the height of the largest image.

torchvision's behaviour (version 0.29), which this module keeps:

- The scales are inferred in the first call and do not change. Set `scales` to None to infer them again.
- Level k_min + i is feature map i, independently of that map's scale. If a pyramid omits a level, boxes of levels past
  the last map give zeros.
- Boxes of negative area (x2 < x1 or y2 < y1, but not both) have no level and give zeros.
- If there is only one feature map, every box is pooled from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import Attributes, as_index
from onnx_roialign.definition.pyramid import LevelRule, Pyramid, nearest_scale
from onnx_roialign.definition.semantics import PRESETS
from onnx_roialign.engines.by_name import check_engine
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.frameworks.common import (
    TORCH_TYPES,
    Engine,
    elements,
    join_images,
    maps_of,
    onnx_sampling_ratio,
    pair,
    pool_levels,
    write_levels,
)
from onnx_roialign.onnx_model.writer import GraphWriter
from onnx_roialign.ops.expansion import FIRST_OPSET

__all__ = ["MultiScaleRoIAlign"]

_HIGHEST = 2**31 - 1


class MultiScaleRoIAlign:
    """Pools boxes from the levels of a feature pyramid, as torchvision.ops.MultiScaleRoIAlign does.

    Attributes:
        scales: pixels of each feature map per pixel of the image; None until the first call.
        map_levels: the rule that assigns levels to boxes; None until the first call.
    """

    def __init__(
        self,
        featmap_names: Sequence[str],
        output_size: int | Sequence[int],
        sampling_ratio: int,
        *,
        canonical_scale: int = 224,
        canonical_level: int = 4,
    ) -> None:
        """Checks and stores the arguments that all calls share.

        Args:
            featmap_names: names of the feature maps to pool from; others are ignored.
            output_size: number of bins, one integer for both axes or a pair (height, width).
            sampling_ratio: samples per bin and axis; 0 or less: adaptive.
            canonical_scale: side of a box of the canonical level, in pixels of the image.
            canonical_level: k0 of equation 1.

        Raises:
            RoiAlignError: an argument is invalid.
        """
        if not isinstance(featmap_names, (list, tuple)) or not all(isinstance(name, str) for name in featmap_names):
            raise RoiAlignError("featmap_names", "type", f"must be a list of names, got {shown(featmap_names)}")
        self.featmap_names = featmap_names
        self.output_size = pair(output_size)
        self.sampling_ratio = sampling_ratio
        self.canonical_scale = canonical_scale
        self.canonical_level = canonical_level
        self.scales: list[float] | None = None
        self.map_levels: LevelRule | None = None
        self._pyramid([1.0], self._rule(0, 0))

    def __call__(
        self,
        x: Mapping[str, npt.ArrayLike],
        boxes: Sequence[npt.ArrayLike],
        image_shapes: Sequence[tuple[int, int]],
        *,
        engine: Engine = "native",
    ) -> Array:
        """Pools every box from the feature map of its level.

        Args:
            x: (N, C, H, W) feature maps by name, from the finest to the coarsest, float32, float64 or float16.
            boxes: for each image an (L, 4) matrix of rows (x1, y1, x2, y2) in pixels of the image, of the maps' type.
            image_shapes: (height, width) of each image.
            engine: "native" (the compiled library) or "reference" (NumPy).

        Returns:
            (K, C, height, width) for all K boxes in the order of the images, of the maps' type.

        Raises:
            RoiAlignError: an argument is invalid; the message names it.
            NativeLibraryError: engine is "native" and there is no compiled library.
        """
        check_engine(engine)
        maps = maps_of("x", [x[name] for name in self._chosen("x", x)], TORCH_TYPES)
        rois, batch_indices = join_images(boxes, maps[0].dtype, "the feature maps")
        self.scales, self.map_levels = self._infer([X.shape[-2:] for X in maps], image_shapes)
        pyramid = self._pyramid(self.scales, self.map_levels)
        return pool_levels(rois, batch_indices, maps, pyramid, engine)

    def to_onnx(
        self,
        opset: int = 16,
        *,
        feature_shapes: Mapping[str, Sequence[int]],
        image_shapes: Sequence[tuple[int, int]],
        dtype: npt.DTypeLike = np.float32,
    ) -> onnx.ModelProto:
        """Writes the call as a model with one onnx_roialign::MultiScaleRoiAlign, or for a single map one RoiAlign.

        The inputs are the feature maps by name and `boxes_0`, `boxes_1`, ..., one matrix per image; the output is
        `output`. The scales are those of the first call, or inferred from the shapes if there was no call.
        `graph.unfuse` writes the model in ONNX's own operators, for other runtimes.

        Args:
            opset: version of ONNX's own operators, at least 11, which `graph.unfuse` needs.
            feature_shapes: shape of each feature map by name, in the order of the call; only (H, W) are read.
            image_shapes: (height, width) of each image.
            dtype: type of features and boxes.

        Raises:
            RoiAlignError: an argument is invalid.
        """
        graph = GraphWriter(opset, dtype, TORCH_TYPES, FIRST_OPSET)
        names = self._chosen("feature_shapes", feature_shapes)
        sizes = [_size(f"feature_shapes[{name!r}]", feature_shapes[name]) for name in names]
        pyramid = self._pyramid(*self._infer(sizes, image_shapes))
        maps = [graph.input(name, ("N", "C", f"H{i}", f"W{i}")) for i, name in enumerate(names)]
        boxes = [graph.input(f"boxes_{i}", (f"L{i}", 4)) for i in range(len(_images(image_shapes)))]
        batch_indices, rois = graph.join(boxes)
        return write_levels(graph, rois, batch_indices, maps, pyramid)

    def __repr__(self) -> str:
        return (
            f"MultiScaleRoIAlign(featmap_names={self.featmap_names}, output_size={self.output_size}, "
            f"sampling_ratio={self.sampling_ratio})"
        )

    def _pyramid(self, scales: Sequence[float], rule: LevelRule) -> Pyramid:
        attributes = Attributes(
            output_height=self.output_size[0],
            output_width=self.output_size[1],
            sampling_ratio=onnx_sampling_ratio(self.sampling_ratio),
            semantics=PRESETS["torchvision_legacy"],
        )
        return Pyramid(tuple(scales), rule, attributes)

    def _rule(self, first: int, last: int) -> LevelRule:
        return LevelRule(first, last, self.canonical_scale, self.canonical_level)

    def _chosen(self, argument: str, given: Mapping[str, Any]) -> list[str]:
        if not isinstance(given, Mapping):
            raise RoiAlignError(argument, "type", f"must be a mapping with the names of maps, got {shown(given)}")
        names = [name for name in given if name in self.featmap_names]
        if not names:
            raise RoiAlignError(
                argument, "missing", f"must have a feature map of {list(self.featmap_names)}, got {list(given)}"
            )
        return names

    def _infer(
        self, sizes: Sequence[tuple[int, ...]], image_shapes: Sequence[tuple[int, int]]
    ) -> tuple[list[float], LevelRule]:
        """Returns the scales and the level rule: those of the first call, or inferred from the shapes."""
        if self.scales is not None and self.map_levels is not None:
            if len(self.scales) != len(sizes):
                raise RoiAlignError(
                    "x", "shape", f"must have {len(self.scales)} maps as in the first call, got {len(sizes)}"
                )
            return self.scales, self.map_levels
        height = max(_size(f"image_shapes[{i}]", shape)[0] for i, shape in enumerate(_images(image_shapes)))
        scales = [nearest_scale(size[0], height) for size in sizes]
        return scales, self._rule(*(int(-np.log2(np.float32(scales[i]))) for i in (0, -1)))


def _images(image_shapes: Sequence[tuple[int, int]]) -> list[Any]:
    images = elements(image_shapes)
    if not images:
        raise RoiAlignError(
            "image_shapes", "missing", f"must be one (height, width) for each image, got {shown(image_shapes)}"
        )
    return images


def _size(name: str, shape: Sequence[int]) -> tuple[int, int]:
    """Returns (height, width), the last two of a shape."""
    try:
        height, width = (as_index(length) for length in tuple(shape)[-2:])
        if 1 <= height <= _HIGHEST:
            return height, width
    except (TypeError, ValueError):
        pass
    raise RoiAlignError(name, "range", f"must end with a height in [1, {_HIGHEST}] and a width, got {shown(shape)}")
