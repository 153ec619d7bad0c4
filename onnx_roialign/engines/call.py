"""The public roi_align(): one call on NumPy arrays, on either engine."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from onnx_roialign.definition.attributes import Attributes, check_threads
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, Semantics, from_onnx, resolve
from onnx_roialign.engines.by_name import Engine, engine_named
from onnx_roialign.engines.caller_arrays import as_arrays
from onnx_roialign.errors import RoiAlignError, shown

__all__ = ["roi_align"]


def roi_align(
    X: npt.ArrayLike,
    rois: npt.ArrayLike,
    batch_indices: npt.ArrayLike,
    *,
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
    mode: str = "avg",
    coordinate_transformation_mode: str = "half_pixel",
    semantics: Semantics | str | None = None,
    engine: Engine = "native",
    threads: int | None = None,
) -> npt.NDArray[Any]:
    """Pools every RoI of feature maps to one size: ONNX's RoiAlign, or any framework's with `semantics`.

    Args:
        X: (N, C, H, W) feature maps, float32, float64, float16 or ml_dtypes.bfloat16.
        rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image: float32, float64, float16, bfloat16, or lists of
            numbers. They are rounded to float32, or to float64 for float64 features, and computed in that type.
        batch_indices: (num_rois,) image of each RoI in [0, N), integers of any type.
        output_height: number of bins along y, 1 to 32768.
        output_width: number of bins along x, 1 to 32768.
        sampling_ratio: samples per bin and axis, 0 to 16384, at most 2^20 along an axis over all bins; 0: adaptive, the
            bin's length in pixels, rounded up.
        spatial_scale: pixels of the feature map per pixel of the image.
        mode: pooling of the samples, "avg" or "max".
        coordinate_transformation_mode: "half_pixel" or "output_half_pixel", as in ONNX's RoiAlign-16.
        semantics: a Semantics or the name of one of PRESETS, instead of coordinate_transformation_mode.
        engine: "native" (the compiled library) or "reference" (NumPy).
        threads: number of threads of the native engine, at most 1024; None or 0: one per core that this process may run
            on. The result does not depend on it. The reference uses one thread.

    Returns:
        (num_rois, C, output_height, output_width), of X's type.

    Raises:
        RoiAlignError: an argument is invalid; the message names it, the rule and the value.
        NativeLibraryError: engine is "native" and there is no compiled library that can be loaded.
    """
    if semantics is None:
        resolved = from_onnx(HALF_PIXEL_OPSET, coordinate_transformation_mode)
    elif coordinate_transformation_mode != "half_pixel":
        raise RoiAlignError(
            "coordinate_transformation_mode",
            "conflict",
            "must not be given together with semantics, "
            f"got {shown(coordinate_transformation_mode)} and {shown(semantics)}",
        )
    else:
        resolved = resolve(semantics)
    attributes = Attributes(
        output_height=output_height,
        output_width=output_width,
        sampling_ratio=sampling_ratio,
        spatial_scale=spatial_scale,
        mode=mode,
        semantics=resolved,
    )
    compute = engine_named(engine)
    number = check_threads(threads)
    return compute(*as_arrays(X, rois, batch_indices), attributes, threads=number)
