"""mindspore.ops.ROIAlign on NumPy arrays.

MindSpore's behaviour (version 2.10, CPU kernel):

- `roi_end_mode=1`, the default, adds one pixel of the image to x2 and y2 before scaling and does not enlarge small
  RoIs; `roi_end_mode=0` adds nothing and enlarges every scaled RoI to at least 1 x 1 pixel of the feature map.
- If `sample_num` is 0 or less, the grid is adaptive and rounded down: a bin shorter than one pixel has no sample, and
  its value is NaN (0 / 0).
- The first column of the RoIs is the image index, rounded to the nearest integer (halves up). MindSpore checks that it
  is in [0, N - 1] before rounding, this module after rounding.
- A number of the wrong Python type raises TypeError: an integer is not a spatial_scale, a bool is not an integer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import PRESETS
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.frameworks.common import Array, Engine, boxes_of, features_of, pool, split_images
from onnx_roialign.onnx_model.writer import GraphWriter

__all__ = ["ROIAlign"]

TYPES = ("float32", "float16")


class ROIAlign:
    """mindspore.ops.ROIAlign: the constructor takes the sizes and modes, the call takes features and RoIs.

    >>> features = np.array([[[[1.0, 2.0], [3.0, 4.0]]]], np.float32)
    >>> rois = np.array([[0, 0.2, 0.3, 0.2, 0.3]], np.float32)
    >>> print(ROIAlign(2, 2, 0.5, 2)(features, rois).round(6))
    [[[[1.775 2.025]
       [2.275 2.525]]]]
    """

    def __init__(
        self, pooled_height: int, pooled_width: int, spatial_scale: float, sample_num: int = 2, roi_end_mode: int = 1
    ) -> None:
        """Checks and stores the arguments that all calls share.

        Args:
            pooled_height: number of bins along y.
            pooled_width: number of bins along x.
            spatial_scale: pixels of the feature map per pixel of the image.
            sample_num: samples per bin and axis; 0 or less: adaptive.
            roi_end_mode: 1: adds one pixel of the image to x2 and y2; 0: enlarges small RoIs to 1 x 1 pixel of the
                feature map.

        Raises:
            TypeError: spatial_scale is not a float, or another argument is not an int.
            RoiAlignError: a value is invalid.
        """
        integers = {
            "pooled_height": pooled_height,
            "pooled_width": pooled_width,
            "sample_num": sample_num,
            "roi_end_mode": roi_end_mode,
        }
        for name, value in integers.items():
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an int, got {shown(value)} of type {type(value).__name__}")
        if not isinstance(spatial_scale, float):
            raise TypeError(
                f"spatial_scale must be a float, got {shown(spatial_scale)} of type {type(spatial_scale).__name__}"
            )
        if roi_end_mode not in (0, 1):
            raise RoiAlignError("roi_end_mode", "choice", f"must be 0 or 1, got {roi_end_mode}")
        self.pooled_height = pooled_height
        self.pooled_width = pooled_width
        self.spatial_scale = spatial_scale
        self.sample_num = sample_num
        self.roi_end_mode = roi_end_mode
        self._attributes = Attributes(
            output_height=pooled_height,
            output_width=pooled_width,
            sampling_ratio=max(sample_num, 0),
            spatial_scale=spatial_scale,
            semantics=PRESETS[f"mindspore_{roi_end_mode}"],
        )

    def __call__(self, features: npt.NDArray[Any], rois: npt.NDArray[Any], *, engine: Engine = "native") -> Array:
        """Pools RoIs of feature maps.

        Args:
            features: (N, C, H, W), float32 or float16; float16 is computed in float32 and rounded once.
            rois: (rois_n, 5) rows (image, x1, y1, x2, y2) in pixels of the image, of features' type.
            engine: "native" (the compiled library) or "reference" (NumPy).

        Returns:
            (rois_n, C, pooled_height, pooled_width), of features' type.

        Raises:
            TypeError: features or rois is not an array.
            RoiAlignError: an array is invalid; the message names it.
            NativeLibraryError: engine is "native" and there is no compiled library.
        """
        for name, value in (("features", features), ("rois", rois)):
            if not isinstance(value, np.ndarray):
                raise TypeError(f"{name} must be an array, got {type(value).__name__}")
        X = features_of("features", features, TYPES)
        boxes, images = split_images("rois", boxes_of("rois", rois, "(rois_n, 5)", X.dtype, "features"), nearest=True)
        return pool(X, boxes, images, self._attributes, engine)

    def to_onnx(self, opset: int = 16, *, dtype: npt.DTypeLike = np.float32) -> onnx.ModelProto:
        """Writes the call as a model.

        The model uses ONNX's RoiAlign for roi_end_mode=0 with sample_num > 0, and the private operator otherwise. Its
        inputs are `features` and `rois` (rois_n, 5), its output is `output`. spatial_scale is stored as float32, like
        every float attribute of ONNX.

        Args:
            opset: version of ONNX's own operators.
            dtype: type of features and rois.

        Raises:
            RoiAlignError: the opset or the type is not supported.
        """
        graph = GraphWriter(opset, dtype, TYPES)
        X = graph.input("features", ("N", "C", "H", "W"))
        batch_indices, boxes = graph.indices_and_boxes(graph.input("rois", ("rois_n", 5)), nearest=True)
        output = graph.roi_align(X, boxes, batch_indices, "output", self._attributes)
        return graph.model(output, ("rois_n", "C", self.pooled_height, self.pooled_width))
