"""torchvision.ops.roi_align, RoIAlign and MultiScaleRoIAlign on NumPy arrays.

Particular to torchvision (0.27, its CPU kernel):

- `aligned` is False by default: no half pixel, and every scaled RoI grows to at least 1 x 1 pixel of the feature map.
- Image indices travel in the boxes' first column, and are cut to whole numbers. An index without an image reads past
  the features; here it is an error.
- float16 is computed in float16 there, one rounding an operation; here in float32, rounded once.
- A bin without samples answers 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnx

from onnx_roialign.definition import quantized
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import PRESETS
from onnx_roialign.engines.by_name import check_engine
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.extras import imported_for
from onnx_roialign.frameworks.common import (
    Array,
    Engine,
    adaptive_or,
    boxes_of,
    features_of,
    front_door,
    join_images,
    pair,
    pool,
    split_images,
)
from onnx_roialign.frameworks.torchvision_pyramid import TYPES, MultiScaleRoIAlign
from onnx_roialign.onnx_model.writer import GraphWriter

__all__ = ["MultiScaleRoIAlign", "RoIAlign", "roi_align", "roi_align_quantized"]

Boxes = npt.ArrayLike | Sequence[npt.ArrayLike]
Size = int | Sequence[int]


def _attributes(output_size: Size, spatial_scale: float, sampling_ratio: int, aligned: bool) -> Attributes:
    height, width = pair(output_size)
    return Attributes(
        output_height=height,
        output_width=width,
        sampling_ratio=adaptive_or(sampling_ratio),
        spatial_scale=spatial_scale,
        semantics=PRESETS["torchvision_aligned" if aligned else "torchvision_legacy"],
    )


def _rois(boxes: Boxes, dtype: np.dtype[np.generic]) -> tuple[Array, Array]:
    """(K, 4) boxes and (K,) images, of rows (image, x1, y1, x2, y2) or of one (L, 4) matrix per image."""
    if not isinstance(boxes, (list, tuple)):
        return split_images("boxes", boxes_of("boxes", boxes, "(K, 5)", dtype, "input"))
    if not boxes:
        raise RoiAlignError("boxes must be (K, 5) or one (L, 4) per image, got an empty list")
    return join_images(boxes, dtype, "input")


def _to_onnx(
    output_size: Size,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
    *,
    opset: int = 16,
    dtype: npt.DTypeLike = np.float32,
    images: int | None = None,
) -> onnx.ModelProto:
    """Writes the call as a model, with ONNX's own RoiAlign where that means the same, else the private one.

    Inputs `input` and `boxes`, output `output`. spatial_scale becomes a float32, as every attribute of ONNX.

    Args:
        output_size: as in the call.
        spatial_scale: as in the call.
        sampling_ratio: as in the call.
        aligned: as in the call. ONNX's RoiAlign can say it from opset 16.
        opset: version of ONNX's own operators.
        dtype: of features and boxes.
        images: how many (L, 4) matrices the boxes come in, as inputs boxes_0 to boxes_N; None: one (K, 5) matrix.

    Raises:
        RoiAlignError: an argument that cannot be.
    """
    attributes = _attributes(output_size, spatial_scale, sampling_ratio, aligned)
    graph = GraphWriter(opset, dtype, TYPES)
    X = graph.input("input", ("N", "C", "H", "W"))
    if images is None:
        batch_indices, rois = graph.indices_and_boxes(graph.input("boxes", ("K", 5)))
    elif images < 1:
        raise RoiAlignError(f"images must be at least 1, got {images}")
    else:
        batch_indices, rois = graph.join([graph.input(f"boxes_{i}", (f"L{i}", 4)) for i in range(images)])
    output = graph.roi_align(X, rois, batch_indices, "output", attributes)
    return graph.model(output, ("K", "C", attributes.output_height, attributes.output_width))


@front_door(_to_onnx)
def roi_align(
    input: npt.ArrayLike,
    boxes: Boxes,
    output_size: Size,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
    *,
    engine: Engine = "native",
) -> Array:
    """Pools boxes of feature maps as torchvision.ops.roi_align does.

    Args:
        input: (N, C, H, W) feature maps, float32, float64 or float16.
        boxes: (K, 5) rows (image, x1, y1, x2, y2), or a list of one (L, 4) matrix of rows (x1, y1, x2, y2) per image,
            in pixels of the image, of input's type.
        output_size: bins, one number for both axes or a pair (height, width).
        spatial_scale: pixels of the feature map per pixel of the image.
        sampling_ratio: samples per bin and axis; 0 or less: adaptive, as many as the bin is pixels long.
        aligned: takes half a pixel off the scaled coordinates, and leaves small boxes as they are.
        engine: "native", the compiled library, or "reference", NumPy.

    Returns:
        (K, C, height, width), of input's type.

    Raises:
        RoiAlignError: an argument that cannot be; the text names it.
        NativeLibraryError: engine "native" without a compiled library.
    """
    X = features_of("input", input, TYPES)
    attributes = _attributes(output_size, spatial_scale, sampling_ratio, aligned)
    return pool(X, *_rois(boxes, X.dtype), attributes, engine)


class RoIAlign:
    """torchvision.ops.RoIAlign: `roi_align` with its arguments given beforehand."""

    def __init__(self, output_size: Size, spatial_scale: float, sampling_ratio: int, aligned: bool = False) -> None:
        """Takes the arguments of `roi_align` that are no arrays.

        Raises:
            RoiAlignError: an argument that cannot be.
        """
        _attributes(output_size, spatial_scale, sampling_ratio, aligned)
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def __call__(self, input: npt.ArrayLike, rois: Boxes, *, engine: Engine = "native") -> Array:
        """Pools rois of input; arguments and answer are those of `roi_align`."""
        return roi_align(
            input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned, engine=engine
        )

    def to_onnx(
        self, opset: int = 16, *, dtype: npt.DTypeLike = np.float32, images: int | None = None
    ) -> onnx.ModelProto:
        """The call as a model, as ``roi_align.to_onnx`` writes it."""
        return roi_align.to_onnx(
            self.output_size,
            self.spatial_scale,
            self.sampling_ratio,
            self.aligned,
            opset=opset,
            dtype=dtype,
            images=images,
        )

    def __repr__(self) -> str:
        return (
            f"RoIAlign(output_size={self.output_size}, spatial_scale={self.spatial_scale}, "
            f"sampling_ratio={self.sampling_ratio}, aligned={self.aligned})"
        )


def _quantized_to_onnx(
    dtype: npt.DTypeLike,
    output_size: Size,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
    *,
    opset: int = 16,
) -> onnx.ModelProto:
    """Writes the call with onnx_roialign::QLinearRoiAlign: ONNX has no such op.

    Inputs `input`, `scale` (float32), `zero_point` and `boxes` (K, 5); output `output`. Unlike the call, the model
    takes several images.

    Args:
        dtype: uint8, int8 or int32.
        output_size: as in the call.
        spatial_scale: as in the call.
        sampling_ratio: as in the call.
        aligned: as in the call.
        opset: version of ONNX's own operators.

    Raises:
        RoiAlignError: an argument that cannot be.
    """
    return _quantized_model(_attributes(output_size, spatial_scale, sampling_ratio, aligned), dtype, opset)


def _quantized_model(attributes: Attributes, dtype: npt.DTypeLike, opset: int) -> onnx.ModelProto:
    graph = GraphWriter(opset, dtype, quantized.TYPES)
    X = graph.input("input", ("N", "C", "H", "W"))
    scale, zero_point = graph.input("scale", (), np.float32), graph.input("zero_point", ())
    batch_indices, rois = graph.indices_and_boxes(graph.input("boxes", ("K", 5), np.float32))
    output = graph.qlinear_roi_align((X, scale, zero_point, rois, batch_indices), "output", attributes)
    return graph.model(output, ("K", "C", attributes.output_height, attributes.output_width))


@front_door(_quantized_to_onnx)
def roi_align_quantized(
    input: npt.ArrayLike,
    scale: float,
    zero_point: int,
    boxes: Boxes,
    output_size: Size,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
    *,
    engine: Engine = "native",
) -> Array:
    """Pools boxes of quantized feature maps as torchvision.ops.roi_align does with a quantized tensor.

    A value q means ``scale * (q - zero_point)``, in the answer too. It is rounded to nearest, ties to even, before the
    zero point is added, and clamped to the type. torchvision takes the boxes quantized as well, and dequantizes them
    first: pass them dequantized, ``scale * (q - zero_point)`` of their own in float32.

    Args:
        input: (1, C, H, W) feature maps, uint8, int8 or int32, of whose values the float32 sums hold 24 bits.
            torchvision allows one image only.
        scale: of input and of the answer; a float32.
        zero_point: of input and of the answer, in the range of input's type.
        boxes: as in `roi_align`, float32.
        output_size: as in `roi_align`.
        spatial_scale: as in `roi_align`.
        sampling_ratio: as in `roi_align`.
        aligned: as in `roi_align`.
        engine: "native", the compiled library in an onnxruntime session, or "reference", NumPy.

    Returns:
        (K, C, height, width), of input's type.

    Raises:
        RoiAlignError: an argument that cannot be; the text names it.
        NativeLibraryError: engine "native" without a compiled library.
    """
    X = features_of("input", input, quantized.TYPES)
    if len(X) != 1:
        raise RoiAlignError(f"input must be one image where it is quantized, got {len(X)}")
    limits = np.iinfo(X.dtype)
    if not limits.min <= zero_point <= limits.max:
        raise RoiAlignError(f"zero_point must be in [{limits.min}, {limits.max}], got {zero_point}")
    attributes = _attributes(output_size, spatial_scale, sampling_ratio, aligned)
    rois, images = _rois(boxes, np.dtype(np.float32))
    arrays = X, np.asarray(scale, np.float32), np.asarray(zero_point, X.dtype), rois, images
    check_engine(engine)
    if engine == "reference":
        return quantized.roi_align(*arrays, attributes)
    quantized.check(*arrays, attributes)  # the session's own errors are onnxruntime's
    rows = np.column_stack([images.astype(np.float32), rois])
    feeds = dict(zip(("input", "scale", "zero_point", "boxes"), (*arrays[:3], rows), strict=True))
    return _quantized_engine(attributes, X.dtype.name)(feeds)


@functools.lru_cache(maxsize=16)
def _quantized_engine(attributes: Attributes, dtype: str) -> Callable[[Mapping[str, Array]], Array]:
    """The library in a session: its direct call takes floats only."""
    with imported_for("roi_align_quantized() on engine 'native'"):
        from onnx_roialign.sessions.session import session
    running = session(_quantized_model(attributes, dtype, 16))
    return lambda feeds: np.asarray(running.run(None, dict(feeds))[0])
