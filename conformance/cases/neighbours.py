"""RoiAlign between nodes that a runtime may compute in another layout: Conv, Relu, Transpose."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.conformance import oracle
from onnx_roialign.conformance.case import Case

from .building import positive
from .graphs import DECLARED, GIVEN, IMAGES, POOL, ROIS, X, graph, pooled

__all__ = ["cases"]


def cases() -> Iterator[Case]:
    """Yields the cases of this group; their ids begin with "graphs/" too."""
    # Sums of absolute weights are at most 1, so that no value exceeds the largest feature; all numbers are exact.
    index = np.arange(16 * 3 * 9)
    three = (((index * index * 5 % 7) - 3) / 128).reshape(16, 3, 3, 3).astype(np.float32)
    one = (((np.arange(4 * 16) * 3 % 5) - 2) / 32).reshape(4, 16, 1, 1).astype(np.float32)
    mapped = conv(X, three)
    before = pooled(mapped, ROIS, IMAGES)
    # Weights are initializers: where they are not, runtimes keep Conv's plain layout.
    w, v = _initializer("w", three), _initializer("v", one)
    yield graph(
        "conv-before",
        "X comes from a convolution, which a runtime may compute in another layout.",
        f"""neighbours ({DECLARED}) => (float[3,16,2,2] Y) <{w}> {{
            m = Conv <pads = [1, 1, 1, 1]> (X, w)
            Y = {POOL} (m, rois, images)
        }}""",
        {"Y": before},
        requires=("Conv",),
    )
    yield graph(
        "conv-before-max-adaptive",
        "X comes from a convolution; the maximum of an adaptive grid follows.",
        f"""neighbours ({DECLARED}) => (float[3,16,2,3] Y) <{w}> {{
            m = Conv <pads = [1, 1, 1, 1]> (X, w)
            r = Relu (m)
            Y = RoiAlign <output_height = 2, output_width = 3, mode = "max"> (r, rois, images)
        }}""",
        {"Y": oracle.roi_align(np.maximum(mapped, 0), ROIS, IMAGES, output_height=2, output_width=3, mode="max")},
        requires=("Conv", "Relu"),
    )
    yield graph(
        "conv-after",
        "Y goes into a convolution.",
        f"""neighbours (float[2,16,8,9] X, float[3,4] rois, int64[3] images) => (float[3,4,2,2] Z) <{v}> {{
            y = {POOL} (X, rois, images)
            Z = Conv (y, v)
        }}""",
        {"Z": conv(pooled(wide := positive(2, 16, 8, 9, seed=62), ROIS, IMAGES), one)},
        inputs={**GIVEN, "X": wide},
        requires=("Conv",),
    )
    yield graph(
        "conv-before-and-after",
        "Between two convolutions.",
        f"""neighbours ({DECLARED}) => (float[3,4,2,2] Z) <{w}, {v}> {{
            m = Conv <pads = [1, 1, 1, 1]> (X, w)
            y = {POOL} (m, rois, images)
            Z = Conv (y, v)
        }}""",
        {"Z": conv(before, one)},
        requires=("Conv",),
    )
    yield graph(
        "transpose-before-and-after",
        "X arrives with channels last, and Y leaves so.",
        f"""neighbours (float[2,8,9,3] last, float[3,4] rois, int64[3] images) => (float[3,2,2,3] Z) {{
            X = Transpose <perm = [0, 3, 1, 2]> (last)
            y = {POOL} (X, rois, images)
            Z = Transpose <perm = [0, 2, 3, 1]> (y)
        }}""",
        {"Z": np.ascontiguousarray(np.moveaxis(pooled(X, ROIS, IMAGES), 1, 3))},
        inputs={"last": np.ascontiguousarray(np.moveaxis(X, 1, 3)), "rois": ROIS, "images": IMAGES},
        requires=("Transpose",),
    )
    result = pooled(X, ROIS, IMAGES)
    yield graph(
        "relu-after",
        "A Relu after the mean is not the mean of a Relu.",
        f"""neighbours ({DECLARED}) => (float[3,3,2,2] Z) {{
            y = {POOL} (X, rois, images)
            Z = Relu (y)
        }}""",
        {"Z": np.maximum(result, 0)},
        requires=("Relu",),
    )
    yield graph(
        "relu-before",
        "The mean of a Relu is not a Relu of the mean.",
        f"""neighbours ({DECLARED}) => (float[3,3,2,2] Y) {{
            r = Relu (X)
            Y = {POOL} (r, rois, images)
        }}""",
        {"Y": pooled(np.maximum(X, 0), ROIS, IMAGES)},
        requires=("Relu",),
    )
    whole = np.array([[1, 0, 6, 5], [2, 3, 7, 6], [0, 1, 4, 7]], np.int64)
    yield graph(
        "rois-cast-from-integers",
        "RoIs may come from a Cast.",
        f"""neighbours (float[2,3,8,9] X, int64[3,4] whole, int64[3] images) => (float[3,3,2,2] Y) {{
            rois = Cast <to = 1> (whole)
            Y = {POOL} (X, rois, images)
        }}""",
        {"Y": pooled(X, whole.astype(np.float32), IMAGES)},
        inputs={"X": X, "whole": whole, "images": IMAGES},
        requires=("Cast",),
    )
    yield graph(
        "rois-transposed",
        "RoIs may come from a Transpose, which a runtime may compute by other strides over the same numbers.",
        f"""neighbours (float[2,3,8,9] X, float[4,3] sides, int64[3] images) => (float[3,3,2,2] Y) {{
            rois = Transpose <perm = [1, 0]> (sides)
            Y = {POOL} (X, rois, images)
        }}""",
        {"Y": result},
        inputs={"X": X, "sides": np.ascontiguousarray(ROIS.T), "images": IMAGES},
        requires=("Transpose",),
    )
    yield graph(
        "rois-of-five-columns",
        "RoIs and batch indices may be columns of one tensor, as Caffe's and torchvision's are.",
        f"""neighbours (float[2,3,8,9] X, float[3,5] all) => (float[3,3,2,2] Y)
            <int64[1] one = {{1}}, int64[1] five = {{5}}, int64[1] second = {{1}}, int64 first = {{0}}> {{
            rois = Slice (all, one, five, second)
            image = Gather <axis = 1> (all, first)
            images = Cast <to = 7> (image)
            Y = {POOL} (X, rois, images)
        }}""",
        {"Y": result},
        inputs={"X": X, "all": np.concatenate([IMAGES[:, None], ROIS], axis=1, dtype=np.float32)},
        requires=("Slice", "Gather", "Cast"),
    )
    yield graph(
        "y-is-read-twice",
        "Y is an output of the graph and an input of another node.",
        f"""neighbours ({DECLARED}) => (float[3,3,2,2] Y, float[3,3,2,2] Z) {{
            Y = {POOL} (X, rois, images)
            Z = Neg (Y)
        }}""",
        {"Y": pooled(X, ROIS, IMAGES), "Z": -pooled(X, ROIS, IMAGES)},
        requires=("Neg",),
    )


def _initializer(name: str, array: Array) -> str:
    """Returns a declaration in ONNX's textual syntax."""
    numbers = ", ".join(map(str, array.ravel().tolist()))
    return f"float[{','.join(map(str, array.shape))}] {name} = {{{numbers}}}"


def conv(features_: Array, weights: Array) -> Array:
    """Returns a convolution of (C_out, C_in, k, k) weights, padded to the same size."""
    pad = weights.shape[2] // 2
    padded = np.pad(features_.astype(np.float64), ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape[2:], axis=(2, 3))
    made: Array = np.einsum("nchwij,ocij->nohw", windows, weights.astype(np.float64)).astype(np.float32)
    return made
