"""torchvision.ops.MultiScaleRoIAlign: pools every box from the level of a feature pyramid that fits its size.

Lin et al., "Feature Pyramid Networks for Object Detection" (2017), equation 1: a box of w x h pixels of the image
belongs to level ``k = floor(k0 + log2(sqrt(w * h) / 224))``. torchvision adds 1e-6 before the floor, in the boxes'
type, so that a box whose area lies on a boundary goes to the coarser level. Level k has scale 2 ** -k; the scale of a
feature map is the power of two nearest to its height divided by the height of the largest image.

torchvision's behaviour (version 0.27), which this module keeps:

- The scales are inferred in the first call and do not change. Set `scales` to None to infer them again.
- Level k_min + i is feature map i, whatever the scale of that map. If a pyramid omits a level, boxes of levels past
  the last map give zeros.
- Boxes of negative area (x2 < x1 or y2 < y1, but not both) have no level and give zeros.
- If there is only one feature map, every box is pooled from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.pyramid import LevelMapper, box_areas, nearest_scale
from onnx_roialign.definition.semantics import PRESETS
from onnx_roialign.engines.by_name import Engine, engine_named
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.frameworks.common import join_images
from onnx_roialign.onnx_model.writer import GraphWriter

__all__ = ["LevelMapper", "MultiScaleRoIAlign"]

TYPES = ("float32", "float64", "float16")
# The first opset with ScatterND, which joins the outputs of the levels.
_FIRST_OPSET = 11


class MultiScaleRoIAlign:
    """Pools boxes from the levels of a feature pyramid, as torchvision.ops.MultiScaleRoIAlign does.

    Attributes:
        scales: pixels of each feature map per pixel of the image; None until the first call.
        map_levels: maps box areas to levels; None until the first call.
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
        sizes = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
        if len(sizes) != 2:
            raise RoiAlignError(f"output_size must be an integer or a pair (height, width), got {output_size!r}")
        self.featmap_names = featmap_names
        self.output_size = sizes
        self.sampling_ratio = sampling_ratio
        self.canonical_scale = canonical_scale
        self.canonical_level = canonical_level
        self.scales: list[float] | None = None
        self.map_levels: LevelMapper | None = None
        self._attributes(1.0)

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
        roi_align = engine_named(engine)
        maps = self._features({name: np.asarray(value) for name, value in x.items()})
        if len(boxes) == 0:
            raise RoiAlignError("boxes must be one (L, 4) matrix per image, got none")
        rois, batch_indices = join_images(boxes, maps[0].dtype, "the feature maps")
        scales, mapper = self._infer([features.shape[-2:] for features in maps], image_shapes)
        self.scales, self.map_levels = scales, mapper
        if len(maps) == 1:
            return roi_align(maps[0], rois, batch_indices, self._attributes(scales[0]))
        level = mapper(box_areas(rois))
        output = np.zeros((len(rois), maps[0].shape[1], *self.output_size), maps[0].dtype)
        for i, (features, scale) in enumerate(zip(maps, scales, strict=True)):
            rows = np.flatnonzero(level == i)
            output[rows] = roi_align(features, rois[rows], batch_indices[rows], self._attributes(scale))
        return output

    def to_onnx(
        self,
        opset: int = 16,
        *,
        feature_shapes: Mapping[str, Sequence[int]],
        image_shapes: Sequence[tuple[int, int]],
        dtype: npt.DTypeLike = np.float32,
    ) -> onnx.ModelProto:
        """Writes the call as a model in ONNX's own operators.

        The inputs are the feature maps by name and `boxes_0`, `boxes_1`, ..., one matrix per image; the output is
        `output`. The scales are those of the first call, or inferred from the shapes if there was no call. The model
        compares a box's area with the areas at which equation 1, rounded as in the call, changes its level, so every
        box gets the same level as in the call. Square roots and logarithms would not do: their last bit differs
        between runtimes (onnxruntime 1.20's Sqrt does), and with it the level of a box on a boundary.

        Args:
            opset: version of ONNX's own operators, at least 11.
            feature_shapes: shape of each feature map by name, in the order of the call; only (H, W) are read.
            image_shapes: (height, width) of each image.
            dtype: type of features and boxes.

        Raises:
            RoiAlignError: an argument is invalid.
        """
        graph = GraphWriter(opset, dtype, TYPES, _FIRST_OPSET)
        shapes = {name: shape for name, shape in feature_shapes.items() if name in self.featmap_names}
        scales, mapper = self._infer([tuple(shape[-2:]) for shape in shapes.values()], image_shapes)
        maps = [graph.input(name, ("N", "C", f"H{i}", f"W{i}")) for i, name in enumerate(shapes)]
        boxes = [graph.input(f"boxes_{i}", (f"L{i}", 4)) for i in range(len(image_shapes))]
        batch_indices, rois = graph.join(boxes)
        if len(maps) == 1:
            output = graph.roi_align(maps[0], rois, batch_indices, "output", self._attributes(scales[0]))
        else:
            levels = [
                (features, mask, self._attributes(scale))
                for i, (features, scale) in enumerate(zip(maps, scales, strict=True))
                if (mask := _write_mask(graph, mapper, i, rois)) is not None
            ]
            output = _write_levels(graph, levels, (maps[0], rois, batch_indices), self.output_size)
        return graph.model(output, ("K", "C", *self.output_size))

    def __repr__(self) -> str:
        return (
            f"MultiScaleRoIAlign(featmap_names={self.featmap_names}, output_size={self.output_size}, "
            f"sampling_ratio={self.sampling_ratio})"
        )

    def _attributes(self, scale: float) -> Attributes:
        return Attributes(
            output_height=self.output_size[0],
            output_width=self.output_size[1],
            sampling_ratio=max(self.sampling_ratio, 0),
            spatial_scale=scale,
            semantics=PRESETS["torchvision_legacy"],
        )

    def _features(self, x: Mapping[str, Array]) -> list[Array]:
        maps = [features for name, features in x.items() if name in self.featmap_names]
        if not maps:
            raise RoiAlignError(f"x must have a feature map of {list(self.featmap_names)}, got {list(x)}")
        for features in maps:
            if features.ndim != 4 or features.shape[1] != maps[0].shape[1]:
                shapes = [features.shape for features in maps]
                raise RoiAlignError(f"x must have maps (N, C, H, W) of the same number of channels, got {shapes}")
            if features.dtype != maps[0].dtype or features.dtype.name not in TYPES:
                types = [str(features.dtype) for features in maps]
                raise RoiAlignError(f"x must have maps of one type, {' or '.join(TYPES)}, got {types}")
        return maps

    def _infer(
        self, sizes: Sequence[tuple[int, ...]], image_shapes: Sequence[tuple[int, int]]
    ) -> tuple[list[float], LevelMapper]:
        """Returns the scales and the level mapper: those of the first call, or inferred from the shapes."""
        if self.scales is not None and self.map_levels is not None:
            if len(self.scales) != len(sizes):
                raise RoiAlignError(f"x must have {len(self.scales)} maps as in the first call, got {len(sizes)}")
            return self.scales, self.map_levels
        if len(sizes) == 0 or len(image_shapes) == 0:
            raise RoiAlignError(
                f"feature maps and image_shapes must be at least one, got {len(sizes)} and {len(image_shapes)}"
            )
        height = max(shape[0] for shape in image_shapes)
        scales = [nearest_scale(size[0], height) for size in sizes]
        k_min, k_max = (int(-np.log2(np.float32(scales[i]))) for i in (0, -1))
        return scales, LevelMapper(k_min, k_max, self.canonical_scale, self.canonical_level)


def _write_areas(graph: GraphWriter, rois: str) -> str:
    """Writes `box_areas` as nodes; returns the name of the areas."""
    if graph.dtype == np.float16:
        rois = graph.node("Cast", (rois,), "wide_rois", to=onnx.TensorProto.FLOAT)
    ends, starts = graph.columns(rois, 2, 3, "ends"), graph.columns(rois, 0, 1, "starts")
    sizes = graph.node("Sub", (ends, starts), "sizes")
    factors = (graph.columns(sizes, 0, 0, "widths"), graph.columns(sizes, 1, 1, "heights"))
    return graph.node("Reshape", (graph.node("Mul", factors, "area_column"), graph.constant("flat", [-1])), "areas")


def _write_mask(graph: GraphWriter, mapper: LevelMapper, index: int, rois: str) -> str | None:
    """Writes the mask of the boxes that belong to a level; None if no box can. Comparisons with NaN are false."""
    last = mapper.k_max - mapper.k_min
    if index > max(last, 0) or last < 0:
        return None
    real = np.dtype(np.float64 if graph.dtype == np.float64 else np.float32)
    if index == 0:
        areas, zero = _write_areas(graph, rois), graph.constant("zero", 0, real)
        signs = (graph.node("Greater", (areas, zero), "positive"), graph.node("Equal", (areas, zero), "empty"))
        mask = graph.node("Or", signs, "not_below_0")  # GreaterOrEqual exists from opset 12 on
    else:
        areas, low = "areas", graph.constant(f"below_{index}", mapper.below(index, real), real)
        mask = graph.node("Greater", (areas, low), f"not_below_{index}")
    if index == last:
        return mask
    first = np.nextafter(real.type(mapper.below(index + 1, real)), real.type(np.inf))
    high = graph.constant(f"above_{index}", first, real)
    return graph.node("And", (mask, graph.node("Less", (areas, high), f"not_above_{index}")), f"in_level_{index}")


def _write_levels(
    graph: GraphWriter,
    levels: Sequence[tuple[str, str, Attributes]],
    values: tuple[str, str, str],
    output_size: tuple[int, ...],
) -> str:
    """Writes nodes that pool each level's boxes and scatter the results into a tensor of zeros.

    Args:
        graph: the graph to write to.
        levels: for each level its feature map, the mask of its boxes and the attributes.
        values: names of any feature map, of rois and of batch_indices.
        output_size: (height, width) in bins.
    """
    X, rois, batch_indices = values
    map_shape = graph.node("Shape", (X,), "map_shape")
    channels = graph.node("Gather", (map_shape, graph.constant("axis_1", [1])), "channels", axis=0)
    shape = (graph.length(rois, "num_rois"), channels, graph.constant("output_size", output_size))
    zero = numpy_helper.from_array(np.zeros(1, graph.dtype))
    names = ["zeros", *(f"output_{i}" for i in range(len(levels) - 1)), "output"][-len(levels) - 1 :]
    output = graph.node("ConstantOfShape", (graph.node("Concat", shape, "shape", axis=0),), names[0], value=zero)
    for i, (features, mask, attributes) in enumerate(levels):
        found = graph.node("NonZero", (mask,), f"found_{i}")
        own = graph.node("Reshape", (found, graph.constant("flat", [-1])), f"own_{i}")
        own_rois = graph.node("Gather", (rois, own), f"rois_{i}")
        own_images = graph.node("Gather", (batch_indices, own), f"images_{i}")
        pooled = graph.roi_align(features, own_rois, own_images, f"pooled_{i}", attributes)
        rows = graph.node("Reshape", (found, graph.constant("rows", [-1, 1])), f"rows_{i}")
        output = graph.node("ScatterND", (output, rows, pooled), names[i + 1])
    return output
