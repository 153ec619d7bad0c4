"""Models for the graph tests: each thing that can be wrong with a RoiAlign, and its twin that is right."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from session_models import make_model, roi_align_node, value

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import Semantics, resolve
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.table import QLINEAR_ROI_ALIGN
from onnx_roialign.sessions.installed import has_builtin_kernel

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
SCALE = 0.5  # session_models.SHAPE's


def model(opset: int = 16, **attributes: Any) -> onnx.ModelProto:
    """One RoiAlign between the graph's inputs and its output."""
    return make_model([roi_align_node(**attributes)], opset)


def without(name: str, opset: int = 16, **attributes: Any) -> onnx.ModelProto:
    made = model(opset, **attributes)
    node = made.graph.node[0]
    kept = [one for one in node.attribute if one.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)
    return made


def constant(name: str, numbers: Any, dtype: Any = np.float32) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(numbers, dtype), name))


def shifted(opset: int, shift: Sequence[float], *, dtype: Any = np.float32, op: str = "Add", **attributes: Any):
    """RoiAlign on boxes that the graph moves."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [
        constant("shift", shift, dtype),
        helper.make_node(op, ["rois", "shift"], ["moved"], name="move"),
        roi_align_node("X", "moved", "batch_indices", "Y", **attributes),
    ]
    return make_model(nodes, opset, element_type=kind)


def private(semantics: str | Semantics, opset: int = 16, **attributes: Any) -> onnx.ModelProto:
    shape = {"output_height": 3, "output_width": 2, "sampling_ratio": 2, "spatial_scale": SCALE}
    meant = Attributes(**{**shape, **attributes}, semantics=resolve(semantics))
    node = private_op.make_node("X", "rois", "batch_indices", "Y", meant, name="pool")
    return make_model([node], opset, domains=(private_op.DOMAIN,))


def in_batches(images: Any, *, counts: str | None = "counts", read: bool = False, opset: int = 16) -> onnx.ModelProto:
    """As paddle2onnx writes it: batch indices that are zero, and RoI counts that nothing reads."""
    nodes = [
        helper.make_node("Shape", ["rois"], ["shape"]),
        constant("first", [0], np.int64),
        helper.make_node("Gather", ["shape", "first"], ["number"]),
        helper.make_node("Expand", ["first", "number"], ["zeros"]),
        roi_align_node("X", "rois", "zeros", "Y"),
    ]
    outputs = [value("Y", FLOAT)]
    inputs = [value("X", FLOAT, (images, 5, 9, 11)), value("rois", FLOAT, ("K", 4))]
    if counts is not None:
        inputs.append(value(counts, TensorProto.INT32, ("N",)))
    if read:
        nodes.append(helper.make_node("Identity", [counts], ["copy"]))
        outputs.append(value("copy", TensorProto.INT32))
    graph = helper.make_graph(nodes, "graph", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def network(scale: float, *, dtype: Any = np.float32, side: int = 64, resized: bool = False) -> onnx.ModelProto:
    """Two convolutions of stride 2, and a RoiAlign on what they make of a square image."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    weights = [
        numpy_helper.from_array(np.zeros((4, 3 if i == 0 else 4, 3, 3), np.dtype(dtype)), f"w{i}") for i in range(2)
    ]
    first = "image"
    nodes = []
    if resized:
        nodes = [
            constant("scales", [1, 1, 2, 2]),
            helper.make_node("Resize", ["image", "", "scales"], ["resized"]),
        ]
        first = "resized"
    nodes += [
        helper.make_node("Conv", [first, "w0"], ["half"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["half", "w1"], ["quarter"], strides=[2, 2], pads=[1, 1, 1, 1]),
        roi_align_node("quarter", "rois", "batch_indices", "Y", spatial_scale=scale),
    ]
    inputs = [value("image", kind, (1, 3, side, side)), value("rois", kind, ("K", 4))]
    inputs.append(value("batch_indices", INT64, ("K",)))
    graph = helper.make_graph(nodes, "graph", inputs, [value("Y", kind)], initializer=weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)


def in_if(opset: int = 16, **attributes: Any) -> onnx.ModelProto:
    """RoiAlign in both branches of an If."""
    bodies = [
        helper.make_graph(
            [roi_align_node("X", "rois", "batch_indices", f"Y_{name}", name=name, **attributes)],
            name,
            [],
            [value(f"Y_{name}", FLOAT)],
        )
        for name in ("then", "else")
    ]
    nodes = [helper.make_node("If", ["which"], ["Y"], then_branch=bodies[0], else_branch=bodies[1])]
    made = make_model(nodes, opset)
    made.graph.input.append(value("which", TensorProto.BOOL, ()))
    return made


def in_loop(opset: int = 16, **attributes: Any) -> onnx.ModelProto:
    """RoiAlign in the body of a Loop that runs twice."""
    body = helper.make_graph(
        [
            roi_align_node("X", "rois", "batch_indices", "Y_turn", name="turn", **attributes),
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["carried"], ["carried_on"]),
        ],
        "body",
        [value("i", INT64, ()), value("go", TensorProto.BOOL, ()), value("carried", INT64, ())],
        [value("go_on", TensorProto.BOOL, ()), value("carried_on", INT64, ()), value("Y_turn", FLOAT)],
    )
    # A value that it carries, which opset 10 asks of every Loop.
    loop = helper.make_node("Loop", ["turns", "", "turns"], ["last", "Y"], body=body)
    nodes = [constant("turns", 2, np.int64), loop]
    return make_model(nodes, opset)


def in_scan(opset: int = 16, **attributes: Any) -> onnx.ModelProto:
    """RoiAlign in the body of a Scan over two rows that it does not read otherwise."""
    body = helper.make_graph(
        [
            roi_align_node("X", "rois", "batch_indices", "Y_row", name="row", **attributes),
        ],
        "body",
        [value("unused", FLOAT, ())],
        [value("Y_row", FLOAT)],
    )
    nodes = [
        constant("rows", [0, 0]),
        helper.make_node("Scan", ["rows"], ["Y"], body=body, num_scan_inputs=1),
    ]
    return make_model(nodes, opset)


def in_function(opset: int = 16, function_opset: int | None = None, **attributes: Any) -> onnx.ModelProto:
    """RoiAlign in a function of the model."""
    function = helper.make_function(
        "local",
        "Pool",
        ["X", "rois", "batch_indices"],
        ["Y"],
        [roi_align_node(name="inside", **attributes)],
        [helper.make_opsetid("", function_opset or opset)],
    )
    call = helper.make_node("Pool", ["X", "rois", "batch_indices"], ["Y"], domain="local", name="call")
    return make_model([call], opset, functions=(function,), domains=("local",))


BODIES = MappingProxyType({"if": in_if, "loop": in_loop, "scan": in_scan, "function": in_function})

Make = Callable[[], onnx.ModelProto]

# Semantics that no framework has, for the findings about a single field.
QUARTER = Semantics(offset=0.25)
EXCLUSIVE = Semantics(border="exclusive")

HALF = {"coordinate_transformation_mode": "half_pixel"}
LEGACY = {"coordinate_transformation_mode": "output_half_pixel"}


def float_ratio() -> onnx.ModelProto:
    made = without("sampling_ratio")
    made.graph.node[0].attribute.append(helper.make_attribute("sampling_ratio", 2.0))
    return made


def two_inputs() -> onnx.ModelProto:
    made = model()
    del made.graph.node[0].input[2:]
    return made


def outputs(*names: str) -> onnx.ModelProto:
    """RoiAlign with these outputs, of which the graph's is the first."""
    made = model()
    node = made.graph.node[0]
    node.output[:] = names
    del made.graph.output[len(names) :]
    if not names:
        made.graph.node.append(helper.make_node("Identity", ["X"], ["Y"]))
        made.graph.output.append(value("Y", FLOAT))
    return made


def imports(*pairs: tuple[str, int]) -> onnx.ModelProto:
    """A model that imports these versions of these domains."""
    made = model(**LEGACY)
    del made.opset_import[:]
    made.opset_import.extend(helper.make_opsetid(*pair) for pair in pairs)
    return made


def rois_from(name: str) -> onnx.ModelProto:
    return make_model([roi_align_node("X", name, "batch_indices", "Y")], 16)


def private_with(name: str, given: Any) -> onnx.ModelProto:
    """The private op with an attribute more, or another one."""
    made = private("onnx_output_half_pixel")
    node = made.graph.node[0]
    kept = [one for one in node.attribute if one.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, given)])
    return made


def twice(function_opset: int) -> onnx.ModelProto:
    """One RoiAlign without a mode in the graph at opset 16, and one in a function at an opset of its own."""
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


def qlinear(rois: int = FLOAT, **attributes: Any) -> onnx.ModelProto:
    """The private op of quantized features, between the graph's inputs and its output."""
    uint8 = TensorProto.UINT8
    node = helper.make_node(
        private_op.QLINEAR_OP_TYPE,
        [*QLINEAR_ROI_ALIGN.input_names],
        ["Y"],
        name="pool",
        domain=private_op.DOMAIN,
        **{"output_height": 3, "output_width": 2, "sampling_ratio": 2, "spatial_scale": SCALE, **attributes},
    )
    inputs = [value("X", uint8, (2, 5, 9, 11)), value("x_scale", FLOAT, ()), value("x_zero_point", uint8, ())]
    inputs += [value("rois", rois, ("K", 4)), value("batch_indices", INT64, ("K",))]
    graph = helper.make_graph([node], "graph", inputs, [value("Y", uint8)])
    opsets = [helper.make_opsetid("", 16), helper.make_opsetid(private_op.DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def shaped(*shapes: Any, indices: int = INT64, rois: int = FLOAT) -> onnx.ModelProto:
    made = make_model([roi_align_node()], 16, shapes=shapes)
    made.graph.input[1].type.tensor_type.elem_type = rois
    made.graph.input[2].type.tensor_type.elem_type = indices
    return made


RIGHT_SHAPES = ((2, 5, 9, 11), ("K", 4), ("K",))


def first_without_kernel() -> int:
    """Of an opset that it does not know, onnxruntime has no kernel either."""
    return next(opset for opset in itertools.count(22) if not has_builtin_kernel(opset))


# code -> for each way to trigger it: what it is, the model, its twin that is right, the source (None: without).
CASES: tuple[tuple[str, str, Make, Make, str | Semantics | None], ...] = (
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
