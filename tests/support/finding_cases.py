"""Triggers each finding that reading a model can have, each with a similar model that has no finding."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import onnx
from graph_models import (
    FLOAT,
    HALF,
    INT64,
    LEGACY,
    RIGHT_SHAPES,
    SCALE,
    float_ratio,
    in_batches,
    in_function,
    network,
    outputs,
    private,
    qlinear,
    shaped,
    shifted,
    two_inputs,
    without,
    without_roi_align,
)
from onnx import TensorProto, helper

from models import make_model, model, roi_align_node, value
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.sessions.installed import has_builtin_kernel

Make = Callable[[], onnx.ModelProto]


# Semantics that no framework has, for the findings about a single field.
QUARTER = Semantics(offset=0.25)


EXCLUSIVE = Semantics(border="exclusive")


def imports(*pairs: tuple[str, int]) -> onnx.ModelProto:
    """A model that imports these versions of these domains."""
    made = model(**LEGACY)
    del made.opset_import[:]
    made.opset_import.extend(helper.make_opsetid(*pair) for pair in pairs)
    return made


def rois_from(name: str) -> onnx.ModelProto:
    return make_model([roi_align_node("X", name, "batch_indices", "Y")], 16)


def private_with(name: str, given: Any) -> onnx.ModelProto:
    """The private op with one more attribute, or another one."""
    made = private("onnx_output_half_pixel")
    node = made.graph.node[0]
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, given)])
    return made


def twice(function_opset: int) -> onnx.ModelProto:
    """One RoiAlign without a mode in the graph at opset 16, and one in a function at the function's own opset."""
    made = in_function(16, function_opset=function_opset)
    made.graph.node.append(roi_align_node("X", "rois", "batch_indices", "Z", name="beside"))
    made.graph.output.append(value("Z", FLOAT))
    return made


def with_weights(*, data: bool) -> onnx.ModelProto:
    made = network(0.25)
    if not data:
        made.graph.initializer[0].ClearField("raw_data")
    return made


def typed(output: int) -> onnx.ModelProto:
    made = model()
    made.graph.output[0].type.tensor_type.elem_type = output
    return made


def mode_twice() -> onnx.ModelProto:
    made = model()
    made.graph.node[0].attribute.extend([helper.make_attribute("mode", "avg")] * 2)
    return made


def no_such_attribute() -> onnx.ModelProto:
    made = shifted(16, [0.0])
    made.graph.node[1].attribute.append(helper.make_attribute("no_such", 1))
    return made


def first_without_kernel() -> int:
    """onnxruntime has no kernel for an opset newer than itself, either."""
    return next(opset for opset in itertools.count(22) if not has_builtin_kernel(opset))


class Case(NamedTuple):
    """One way to trigger a finding.

    Attributes:
        code: the finding's.
        what: triggers it, in a few words.
        wrong: makes the model in which it is found.
        right: makes the twin in which it is not.
        source: what both models came from; None: not told.
    """

    code: str
    what: str
    wrong: Make
    right: Make
    source: str | Semantics | None


_ROWS: tuple[tuple[str, str, Make, Make, str | Semantics | None], ...] = (
    ("no-roi-align", "one Identity", without_roi_align, model, None),
    ("invalid-attribute", "mode", lambda: model(mode="median"), model, None),
    ("invalid-attribute", "ratio -1", lambda: model(sampling_ratio=-1), lambda: model(sampling_ratio=0), None),
    ("invalid-attribute", "huge ratio", lambda: model(sampling_ratio=16385), model, None),
    ("invalid-attribute", "float ratio", float_ratio, model, None),
    ("invalid-attribute", "scale", lambda: model(spatial_scale=-1.0), model, None),
    ("invalid-attribute", "height", lambda: model(output_height=0), model, None),
    (
        "invalid-attribute",
        "coordinate mode",
        lambda: model(coordinate_transformation_mode="asymmetric"),
        lambda: model(**HALF),
        None,
    ),
    ("unknown-attribute", "aligned", lambda: model(aligned=1), model, None),
    ("unknown-attribute", "too new", lambda: model(15, **LEGACY), lambda: model(16, **LEGACY), None),
    ("invalid-input", "two inputs", two_inputs, model, None),
    ("invalid-input", "int32 indices", lambda: shaped(*RIGHT_SHAPES, indices=TensorProto.INT32), model, None),
    ("invalid-input", "float64 rois", lambda: shaped(*RIGHT_SHAPES, rois=TensorProto.DOUBLE), model, None),
    ("invalid-input", "rank", lambda: shaped((5, 9, 11), *RIGHT_SHAPES[1:]), lambda: shaped(*RIGHT_SHAPES), None),
    ("invalid-input", "five columns", lambda: shaped((2, 5, 9, 11), ("K", 5), ("K",)), model, None),
    ("invalid-input", "column of indices", lambda: shaped((2, 5, 9, 11), ("K", 4), ("K", 1)), model, None),
    (
        "invalid-input",
        "int32 X",
        lambda: make_model([roi_align_node()], 16, element_type=TensorProto.INT32),
        model,
        None,
    ),
    ("invalid-input", "float64 rois, quantized", lambda: qlinear(TensorProto.DOUBLE), qlinear, None),
    ("invalid-attribute", "max, quantized", lambda: qlinear(mode="max"), qlinear, None),
    (
        "invalid-attribute",
        "integer offset, private",
        lambda: private_with("offset", 1),
        lambda: private_with("offset", 1.0),
        None,
    ),
    (
        "unknown-attribute",
        "misspelt, private",
        lambda: private_with("ofset", 0.5),
        lambda: private_with("empty", "nan"),
        None,
    ),
    ("invalid-output", "two", lambda: outputs("Y", "Z"), model, None),
    ("invalid-output", "none", lambda: outputs(), model, None),
    ("broken-model", "rois from nowhere", lambda: rois_from("nowhere"), lambda: rois_from("rois"), None),
    ("broken-model", "opset 2**40", lambda: imports(("", 2**40)), lambda: imports(("", 16)), None),
    ("broken-model", "mode twice", mode_twice, model, None),
    ("broken-model", "an attribute of another node", no_such_attribute, lambda: shifted(16, [0.0]), None),
    ("inconsistent-types", "an output of another type", lambda: typed(INT64), lambda: typed(FLOAT), None),
    ("opset-too-new", "999", lambda: imports(("", 999)), lambda: imports(("", 16)), None),
    ("missing-weights", "one", lambda: with_weights(data=False), lambda: with_weights(data=True), None),
    (
        "conflicting-opsets",
        "two names",
        lambda: imports(("", 11), ("ai.onnx", 16)),
        lambda: imports(("", 16), ("ai.onnx", 16)),
        None,
    ),
    ("conflicting-opsets", "twice", lambda: imports(("", 16), ("", 11)), lambda: imports(("ai.onnx", 16)), None),
    (
        "undecided-meaning",
        "a function at 11",
        lambda: twice(11),
        lambda: twice(17),
        None,
    ),
    ("opset-too-old", "9", lambda: model(9), lambda: model(10), None),
    ("zero-batch-indices", "open batch", lambda: in_batches("B"), lambda: in_batches(1), None),
    (
        "zero-batch-indices",
        "open batch, counts read",
        lambda: in_batches("B"),
        lambda: in_batches("B", read=True),
        None,
    ),
    ("unread-images", "3 images", lambda: in_batches(3, counts=None), lambda: in_batches(1, counts=None), None),
    (
        "emulated-half-pixel",
        "Sub",
        lambda: shifted(11, [0.5 / SCALE], op="Sub"),
        lambda: shifted(11, [7.0], op="Sub"),
        None,
    ),
    (
        "emulated-half-pixel",
        "Add, 16, aligned",
        lambda: shifted(16, [-0.5 / SCALE], **LEGACY),
        lambda: model(**HALF),
        "torchvision:aligned=True",
    ),
    (
        "end-shift-minimum-size",
        "one more",
        lambda: shifted(11, [0, 0, 1, 1]),
        lambda: shifted(11, [0, 0, 0, 0]),
        None,
    ),
    (
        "end-shift-minimum-size",
        "mindspore",
        lambda: shifted(11, [0, 0, 1, 1]),
        lambda: private("mindspore_1"),
        "mindspore:roi_end_mode=1",
    ),
    (
        "half-pixel-twice",
        "Sub and half_pixel",
        lambda: shifted(16, [0.5 / SCALE], op="Sub", **HALF),
        lambda: shifted(16, [0.5 / SCALE], **HALF),
        None,
    ),
    (
        "half-pixel-twice",
        "aligned",
        lambda: shifted(16, [0.5 / SCALE], op="Sub"),
        lambda: model(16),
        "torchvision:aligned=True",
    ),
    ("spatial-scale-stride", "1/8 for 1/4", lambda: network(0.125), lambda: network(0.25), None),
    ("spatial-scale-stride", "1 for 1/4", lambda: network(1.0), lambda: network(0.25, resized=True), None),
    # boxes in pixels of the graph's input, before it is resized to twice its size
    ("spatial-scale-stride", "1/8 for 1/2", lambda: network(0.125), lambda: network(0.5, resized=True), None),
    (
        "coarse-coordinates",
        "float16 over 256",
        lambda: network(0.25, dtype=np.float16, side=260),
        lambda: network(0.25, dtype=np.float16, side=256),
        None,
    ),
    ("max-mode", "max", lambda: model(mode="max"), lambda: model(mode="avg"), None),
    ("sampling-ratio-omitted", "absent", lambda: without("sampling_ratio"), lambda: model(sampling_ratio=0), None),
    ("no-builtin-kernel", "the first without", lambda: model(first_without_kernel()), lambda: model(21), None),
    ("half-pixel-lost", "11", lambda: model(11), lambda: model(16), "torchvision:aligned=True"),
    ("half-pixel-lost", "16", lambda: model(**LEGACY), lambda: model(**HALF), "detectron2"),
    ("half-pixel-added", "16", lambda: model(16), lambda: model(**LEGACY), "torchvision"),
    ("half-pixel-added", "private", lambda: private("onnx_half_pixel"), lambda: private("paddle_legacy"), "onnx:10"),
    ("minimum-size", "DirectML", lambda: shifted(16, [1.0], **HALF), lambda: model(**LEGACY), "torchvision"),
    ("end-shift", "mindspore", lambda: model(11), lambda: shifted(16, [1, 1, 2, 2], **HALF), "mindspore"),
    (
        "adaptive-rule",
        "mindspore",
        lambda: model(11, sampling_ratio=0),
        lambda: model(11, sampling_ratio=2),
        "mindspore:roi_end_mode=0",
    ),
    ("offset", "quarter", lambda: model(**HALF), lambda: private(QUARTER), QUARTER),
    ("max-rule", "mmcv", lambda: model(mode="max", **HALF), lambda: private("mmcv_aligned", mode="max"), "mmcv"),
    (
        "start-shift",
        "openvino",
        lambda: model(**HALF),
        lambda: private("openvino_half_pixel"),
        "openvino:aligned_mode=half_pixel",
    ),
    ("max-start", "mmcv", lambda: model(mode="max", **HALF), lambda: private("mmcv_aligned", mode="max"), "mmcv"),
    ("border", "exclusive", lambda: model(**HALF), lambda: private(EXCLUSIVE), EXCLUSIVE),
    ("empty-bins", "paddle", lambda: model(sampling_ratio=0), lambda: model(sampling_ratio=2), "paddle"),
    (
        "empty-bins",
        "paddle private",
        lambda: model(sampling_ratio=0),
        lambda: private("paddle_aligned", sampling_ratio=0),
        "paddle",
    ),
)
CASES = tuple(Case(*row) for row in _ROWS)
