"""Every argument of every framework's call, given as anything: a result or one line, never another exception."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from anything import attempts, raised

from onnx_roialign import RoiAlignError
from onnx_roialign.frameworks import detectron2, mindspore, mmdet, paddle, torchvision

X = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)
HALF = X[:, :, ::2, ::2].copy()
BOXES = np.array([[0, 0, 3, 3]], np.float32)
ROWS = np.array([[0, 0, 0, 3, 3]], np.float32)


def make(kind, *names):
    """A function of a class's arguments and of its call's, of which `names` are the latter."""
    return lambda **given: kind(**{name: value for name, value in given.items() if name not in names})(
        *(given[name] for name in names)
    )


LAYER = {"type": "RoIAlign", "output_size": 2, "sampling_ratio": 2, "aligned": True, "use_torchvision": False}
COMMON = {"output_size": 2, "spatial_scale": 1.0, "sampling_ratio": 2, "aligned": True}
WRITTEN = {**COMMON, "opset": 16, "dtype": "float32"}
CALLS = {
    "torchvision": (torchvision.roi_align, {"input": X, "boxes": [BOXES], **COMMON, "engine": "native"}),
    "torchvision rows": (torchvision.roi_align, {"input": X, "boxes": ROWS, **COMMON, "engine": "reference"}),
    "torchvision model": (torchvision.roi_align.to_onnx, {**WRITTEN, "images": 2}),
    "torchvision quantized": (
        torchvision.roi_align_quantized,
        {"input": X.astype(np.uint8), "scale": 0.5, "zero_point": 3, "boxes": ROWS, **COMMON, "engine": "reference"},
    ),
    "torchvision quantized model": (torchvision.roi_align_quantized.to_onnx, {**WRITTEN, "dtype": "uint8"}),
    "torchvision pyramid": (
        make(torchvision.MultiScaleRoIAlign, "x", "boxes", "image_shapes"),
        {
            "featmap_names": ["0", "1"],
            "output_size": 2,
            "sampling_ratio": 2,
            "canonical_scale": 224,
            "canonical_level": 4,
            "x": {"0": X, "1": HALF},
            "boxes": [BOXES],
            "image_shapes": [(8, 8)],
        },
    ),
    "torchvision pyramid model": (
        torchvision.MultiScaleRoIAlign(["0", "1"], 2, 2).to_onnx,
        {"opset": 16, "feature_shapes": {"0": (4, 4), "1": (2, 2)}, "image_shapes": [(8, 8)], "dtype": "float32"},
    ),
    "paddle": (
        paddle.roi_align,
        {"x": X, "boxes": BOXES, "boxes_num": np.array([1], np.int32), **COMMON, "name": None, "engine": "native"},
    ),
    "paddle model": (paddle.roi_align.to_onnx, {**WRITTEN, "name": None}),
    "paddle fluid": (
        paddle.fluid_roi_align,
        {
            "input": X,
            "rois": BOXES,
            "pooled_height": 1,
            "pooled_width": 2,
            "spatial_scale": 1.0,
            "sampling_ratio": 2,
            "rois_num": np.array([1], np.int32),
            "name": None,
            "engine": "native",
        },
    ),
    "paddle fluid model": (
        paddle.fluid_roi_align.to_onnx,
        {
            "pooled_height": 1,
            "pooled_width": 2,
            "spatial_scale": 1.0,
            "sampling_ratio": 2,
            "name": None,
            "opset": 16,
            "dtype": "float32",
            "grouped_by": "lod",
        },
    ),
    "paddle offsets": (
        lambda data, lod: paddle.fluid_roi_align(X, paddle.LoDTensor(data, lod)),
        {"data": BOXES, "lod": [[0, 1]]},
    ),
    "mindspore": (
        make(mindspore.ROIAlign, "features", "rois"),
        {
            "pooled_height": 2,
            "pooled_width": 2,
            "spatial_scale": 1.0,
            "sample_num": 2,
            "roi_end_mode": 1,
            "features": X,
            "rois": ROWS,
        },
    ),
    "mindspore model": (mindspore.ROIAlign(2, 2, 1.0).to_onnx, {"opset": 16, "dtype": "float32"}),
    "detectron2": (
        make(detectron2.ROIPooler, "x", "box_lists"),
        {
            "output_size": 2,
            "scales": [0.5, 0.25],
            "sampling_ratio": 2,
            "pooler_type": "ROIAlignV2",
            "canonical_box_size": 224,
            "canonical_level": 4,
            "x": [X, HALF],
            "box_lists": [BOXES],
        },
    ),
    "detectron2 model": (
        detectron2.ROIPooler(2, [0.5, 0.25], 2, "ROIAlign").to_onnx,
        {"opset": 16, "images": 2, "dtype": "float32"},
    ),
    "mmdet": (
        make(mmdet.SingleRoIExtractor, "feats", "rois", "roi_scale_factor"),
        {
            "roi_layer": LAYER,
            "out_channels": 2,
            "featmap_strides": [2, 4],
            "finest_scale": 56,
            "feats": [X, HALF],
            "rois": ROWS,
            "roi_scale_factor": 1.5,
        },
    ),
    "mmdet model": (
        mmdet.SingleRoIExtractor(LAYER, 2, [2, 4]).to_onnx,
        {"opset": 16, "maps": 2, "roi_scale_factor": 1.5, "dtype": "float32"},
    ),
    "mmdet layer": (lambda **layer: mmdet.SingleRoIExtractor(layer, 2, [2, 4])([X, HALF], ROWS), LAYER),
}


@pytest.mark.parametrize("name", CALLS)
def test_only_one_line_comes_out_of_any_argument(name):
    call, right = CALLS[name]
    assert raised(call, right) is None
    refused = 0
    for argument, value, error in attempts(call, right):
        if isinstance(error, TypeError) and name == "mindspore":  # MindSpore's own
            assert str(error).startswith(f"{argument} must be a"), (argument, value)
        elif error is not None:
            assert isinstance(error, RoiAlignError), (argument, value, error)
            refused += 1
        assert "\n" not in str(error), argument
        assert len(str(error)) < 1000, argument
    assert refused > len(right)


@pytest.mark.parametrize("number", [1e39, 1e-46])
@pytest.mark.parametrize(
    ("write", "subject"),
    [
        (lambda x: torchvision.roi_align.to_onnx(2, x), "spatial_scale"),
        (lambda x: torchvision.roi_align.to_onnx(2, x, dtype="float64"), "spatial_scale"),
        (lambda x: torchvision.roi_align_quantized.to_onnx("uint8", 2, x), "spatial_scale"),
        (lambda x: paddle.roi_align.to_onnx(2, x), "spatial_scale"),
        (lambda x: mindspore.ROIAlign(2, 2, x).to_onnx(), "spatial_scale"),
        (lambda x: detectron2.ROIPooler(2, [0.5, 0.25], 2, "ROIAlign", canonical_box_size=x), "canonical_box_size"),
        (lambda x: torchvision.MultiScaleRoIAlign(["0"], 2, 2, canonical_scale=x), "canonical_scale"),
        (lambda x: mmdet.SingleRoIExtractor(LAYER, 2, [2, 4], finest_scale=x), "finest_scale"),
        (lambda x: mmdet.SingleRoIExtractor(LAYER, 2, [2, 4]).to_onnx(roi_scale_factor=x), "roi_scale_factor"),
    ],
)
def test_a_number_that_a_node_cannot_hold_is_refused_and_not_written_as_infinity_or_0(write, subject, number):
    with pytest.raises(RoiAlignError, match=rf"^{subject} must be finite and > 0 in float32, got 1e[+-]\d\d$"):
        write(number)


def test_every_call_and_every_class_is_attacked():
    attacked = " ".join(CALLS)
    for module in (torchvision, paddle, mindspore, detectron2, mmdet):
        names = [name for name in module.__all__ if callable(getattr(module, name)) and name != "LoDTensor"]
        lines = [name for name in CALLS if name.startswith(module.__name__.rpartition(".")[2])]
        assert len(lines) >= len(names), (module, attacked)


def test_the_arguments_are_those_of_the_calls():
    """One that is added to a call is attacked too, or this fails."""
    for name in ("torchvision", "torchvision quantized", "paddle", "paddle fluid"):
        call, right = CALLS[name]
        assert set(inspect.signature(call).parameters) == set(right)
