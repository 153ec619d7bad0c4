"""torchvision.ops.roi_align, RoIAlign and MultiScaleRoIAlign on NumPy arrays.

torchvision's behaviour (version 0.27, CPU kernel):

- `aligned` is False by default: no half-pixel offset, and every scaled RoI is enlarged to at least 1 x 1 pixel of the
  feature map.
- The first column of the boxes is the image index, truncated to an integer. torchvision reads out of bounds for an
  index outside [0, N - 1]; this module raises an error.
- torchvision computes float16 in float16, with one rounding per operation; this module computes in float32 and rounds
  once.
- A bin without samples has the value 0.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from onnx_roialign.definition import quantized
from onnx_roialign.definition.attributes import Attributes, flag, integer, positive
from onnx_roialign.definition.semantics import PRESETS
from onnx_roialign.engines.by_name import check_engine
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.extras import imported_for
from onnx_roialign.frameworks.common import (
    TORCH_TYPES,
    Array,
    Engine,
    boxes_of,
    features_of,
    framework_call,
    image_count,
    join_images,
    onnx_sampling_ratio,
    pair,
    pool,
    split_images,
)
from onnx_roialign.frameworks.torchvision_pyramid import MultiScaleRoIAlign
from onnx_roialign.onnx_model.writer import GraphWriter

__all__ = ["MultiScaleRoIAlign", "RoIAlign", "roi_align", "roi_align_quantized"]

Boxes = npt.ArrayLike | Sequence[npt.ArrayLike]
Size = int | Sequence[int]


def _attributes(output_size: Size, spatial_scale: float, sampling_ratio: int, aligned: bool) -> Attributes:
    height, width = pair(output_size)
    return Attributes(
        output_height=height,
        output_width=width,
        sampling_ratio=onnx_sampling_ratio(sampling_ratio),
        spatial_scale=spatial_scale,
        semantics=PRESETS["torchvision_aligned" if flag("aligned", aligned) else "torchvision_legacy"],
    )


def _rois(boxes: Boxes, dtype: np.dtype[np.generic]) -> tuple[Array, Array]:
    """Returns (K, 4) boxes and (K,) image indices, from rows (image, x1, y1, x2, y2) or one (L, 4) matrix per image."""
    if not isinstance(boxes, (list, tuple)):
        return split_images("boxes", boxes_of("boxes", boxes, "(K, 5)", dtype, "input"))
    if not boxes:
        raise RoiAlignError("boxes", "missing", "must be (K, 5) or one (L, 4) per image, got an empty list")
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
    """Writes the call as a model, with ONNX's RoiAlign where it means the same and the private operator otherwise.

    The inputs are `input` and `boxes`, the output is `output`. spatial_scale is stored as float32, like every float
    attribute of ONNX.

    Args:
        output_size: as in the call.
        spatial_scale: as in the call.
        sampling_ratio: as in the call.
        aligned: as in the call. ONNX's RoiAlign can express True from opset 16 on.
        opset: version of ONNX's own operators.
        dtype: type of features and boxes.
        images: number of images whose boxes are separate (L, 4) inputs, boxes_0, boxes_1, ...; None: one (K, 5) input.

    Raises:
        RoiAlignError: an argument is invalid.
    """
    attributes = _attributes(output_size, spatial_scale, sampling_ratio, aligned)
    graph = GraphWriter(opset, dtype, TORCH_TYPES)
    X = graph.input("input", ("N", "C", "H", "W"))
    if images is None:
        batch_indices, rois = graph.indices_and_boxes(graph.input("boxes", ("K", 5)))
    else:
        boxes = [graph.input(f"boxes_{i}", (f"L{i}", 4)) for i in range(image_count(images))]
        batch_indices, rois = graph.join(boxes)
    output = graph.roi_align(X, rois, batch_indices, "output", attributes)
    return graph.model(output, ("K", "C", attributes.output_height, attributes.output_width))


@framework_call(_to_onnx)
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
        output_size: number of bins, one integer for both axes or a pair (height, width).
        spatial_scale: pixels of the feature map per pixel of the image.
        sampling_ratio: samples per bin and axis; 0 or less: adaptive, the bin's length in pixels, rounded up.
        aligned: subtracts half a pixel from the scaled coordinates and does not enlarge small boxes.
        engine: "native" (the compiled library) or "reference" (NumPy).

    Returns:
        (K, C, height, width), of input's type.

    Raises:
        RoiAlignError: an argument is invalid; the message names it.
        NativeLibraryError: engine is "native" and there is no compiled library.
    """
    X = features_of("input", input, TORCH_TYPES)
    attributes = _attributes(output_size, spatial_scale, sampling_ratio, aligned)
    return pool(X, *_rois(boxes, X.dtype), attributes, engine)


class RoIAlign:
    """torchvision.ops.RoIAlign: `roi_align` with its arguments stored in an object."""

    def __init__(self, output_size: Size, spatial_scale: float, sampling_ratio: int, aligned: bool = False) -> None:
        """Checks and stores the arguments of `roi_align` that are not arrays.

        Raises:
            RoiAlignError: an argument is invalid.
        """
        _attributes(output_size, spatial_scale, sampling_ratio, aligned)
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def __call__(self, input: npt.ArrayLike, rois: Boxes, *, engine: Engine = "native") -> Array:
        """Pools rois of input; arguments and result are those of `roi_align`."""
        return roi_align(
            input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned, engine=engine
        )

    def to_onnx(
        self, opset: int = 16, *, dtype: npt.DTypeLike = np.float32, images: int | None = None
    ) -> onnx.ModelProto:
        """Returns the call as a model, as ``roi_align.to_onnx`` does."""
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
    """Writes the call as a model with onnx_roialign::QLinearRoiAlign, because ONNX has no quantized RoiAlign.

    The inputs are `input`, `scale` (float32), `zero_point` and `boxes` (K, 5), the output is `output`. Unlike the
    call, the model accepts several images.

    Args:
        dtype: uint8, int8 or int32.
        output_size: as in the call.
        spatial_scale: as in the call.
        sampling_ratio: as in the call.
        aligned: as in the call.
        opset: version of ONNX's own operators.

    Raises:
        RoiAlignError: an argument is invalid.
    """
    return _quantized_model(_attributes(output_size, spatial_scale, sampling_ratio, aligned), dtype, opset)


def _quantized_model(attributes: Attributes, dtype: npt.DTypeLike, opset: int) -> onnx.ModelProto:
    graph = GraphWriter(opset, dtype, quantized.TYPES)
    X = graph.input("input", ("N", "C", "H", "W"))
    scale, zero_point = graph.input("scale", (), np.float32), graph.input("zero_point", ())
    batch_indices, rois = graph.indices_and_boxes(graph.input("boxes", ("K", 5), np.float32))
    output = graph.qlinear_roi_align((X, scale, zero_point, rois, batch_indices), "output", attributes)
    return graph.model(output, ("K", "C", attributes.output_height, attributes.output_width))


@framework_call(_quantized_to_onnx)
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

    A value q stands for ``scale * (q - zero_point)``, in input and output. The output is rounded to nearest (ties to
    even) before the zero point is added, and clamped to the type. torchvision's boxes are also quantized; here they
    must be dequantized to float32 with their own scale and zero point.

    Args:
        input: (1, C, H, W) feature maps, uint8, int8 or int32; the sums are float32, which has 24 significant bits.
            torchvision allows only one image.
        scale: scale of input and output, a float32.
        zero_point: zero point of input and output, in the range of input's type.
        boxes: as in `roi_align`, float32.
        output_size: as in `roi_align`.
        spatial_scale: as in `roi_align`.
        sampling_ratio: as in `roi_align`.
        aligned: as in `roi_align`.
        engine: "native" (the compiled library in an onnxruntime session) or "reference" (NumPy).

    Returns:
        (K, C, height, width), of input's type.

    Raises:
        RoiAlignError: an argument is invalid; the message names it.
        NativeLibraryError: engine is "native" and there is no compiled library.
    """
    X = features_of("input", input, quantized.TYPES)
    if len(X) != 1:
        raise RoiAlignError("input", "shape", f"must be one image where it is quantized, got {len(X)}")
    x_scale, x_zero_point = _scale(scale), _zero_point(zero_point, X.dtype)
    attributes = _attributes(output_size, spatial_scale, sampling_ratio, aligned)
    rois, images = _rois(boxes, np.dtype(np.float32))
    arrays = X, x_scale, x_zero_point, rois, images
    check_engine(engine)
    if engine == "reference":
        return quantized.roi_align(*arrays, attributes)
    quantized.check(*arrays, attributes)  # without this check, the session would raise onnxruntime's errors
    rows = np.column_stack([images.astype(np.float32), rois])
    feeds = dict(zip(("input", "scale", "zero_point", "boxes"), (*arrays[:3], rows), strict=True))
    return _quantized_engine(attributes, X.dtype.name)(feeds)


def _scale(scale: object) -> Array:
    number = positive("scale", scale.item() if isinstance(scale, np.ndarray) and scale.ndim == 0 else scale)
    with np.errstate(over="ignore"):  # what is no float32 is not finite, and refused as such
        return np.asarray(number).astype(np.float32)


def _zero_point(zero_point: object, dtype: np.dtype[Any]) -> Array:
    limits, number = np.iinfo(dtype), integer("zero_point", zero_point)
    if not limits.min <= number <= limits.max:
        raise RoiAlignError("zero_point", "range", f"must be in [{limits.min}, {limits.max}], got {shown(number)}")
    return np.asarray(number, dtype)


@functools.lru_cache(maxsize=16)
def _quantized_engine(attributes: Attributes, dtype: str) -> Callable[[Mapping[str, Array]], Array]:
    """Returns a function that runs the library in a session, because its C function does not support integers."""
    with imported_for("roi_align_quantized() on engine 'native'"):
        from onnx_roialign.sessions.session import session
    running = session(_quantized_model(attributes, dtype, 16))
    return lambda feeds: np.asarray(running.run(None, dict(feeds))[0])
