"""Models for the graph tests: RoiAlign alone, on boxes that the graph moves, in bodies, functions and networks."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models import SHAPE, make_model, model, model_of, qlinear_node, roi_align_node, value
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import Semantics, resolve
from onnx_roialign.ops import roi_align as private_op

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
SCALE = SHAPE["spatial_scale"]


def without(name: str, opset: int = 16, **attributes: Any) -> onnx.ModelProto:
    made = model(opset, **attributes)
    node = made.graph.node[0]
    kept = [attribute for attribute in node.attribute if attribute.name != name]
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
    """RoiAlign as paddle2onnx writes it: batch indices that are zero, and RoI counts that nothing reads."""
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
    return model_of(nodes, inputs, outputs, opset)


def network(scale: float, *, dtype: Any = np.float32, side: int = 64, resized: bool = False) -> onnx.ModelProto:
    """Two convolutions of stride 2 on a square image, and a RoiAlign on their output."""
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
    return model_of(nodes, inputs, [value("Y", kind)], weights=weights)


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
    # A carried value, which opset 10 requires of every Loop.
    loop = helper.make_node("Loop", ["turns", "", "turns"], ["last", "Y"], body=body)
    nodes = [constant("turns", 2, np.int64), loop]
    return make_model(nodes, opset)


def in_scan(opset: int = 16, **attributes: Any) -> onnx.ModelProto:
    """RoiAlign in the body of a Scan over two rows that it does not otherwise read."""
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
    """RoiAlign with these outputs; the graph's output is the first."""
    made = model()
    node = made.graph.node[0]
    node.output[:] = names
    del made.graph.output[len(names) :]
    if not names:
        made.graph.node.append(helper.make_node("Identity", ["X"], ["Y"]))
        made.graph.output.append(value("Y", FLOAT))
    return made


def without_roi_align() -> onnx.ModelProto:
    """A model of one Identity."""
    return make_model([helper.make_node("Identity", ["X"], ["Y"])], 16)


def qlinear(rois: int = FLOAT, **attributes: Any) -> onnx.ModelProto:
    """The private op of quantized features, between the graph's inputs and its output."""
    uint8 = TensorProto.UINT8
    node = qlinear_node(**{**SHAPE, **attributes})
    inputs = [value("X", uint8, (2, 5, 9, 11)), value("x_scale", FLOAT, ()), value("x_zero_point", uint8, ())]
    inputs += [value("rois", rois, ("K", 4)), value("batch_indices", INT64, ("K",))]
    return model_of([node], inputs, [value("Y", uint8)], domains=(private_op.DOMAIN,))


def shaped(*shapes: Any, indices: int = INT64, rois: int = FLOAT) -> onnx.ModelProto:
    made = make_model([roi_align_node()], 16, shapes=shapes)
    made.graph.input[1].type.tensor_type.elem_type = rois
    made.graph.input[2].type.tensor_type.elem_type = indices
    return made


RIGHT_SHAPES = ((2, 5, 9, 11), ("K", 4), ("K",))
