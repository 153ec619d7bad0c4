"""Models around RoiAlign in rare forms: sequences, optionals, bodies in bodies.

Each takes FEEDS and a truth value `which`, and its output Y is what one RoiAlign makes of X, rois and batch_indices.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from graph_models import constant
from onnx import TensorProto, helper, numpy_helper

from models import make_model, roi_align_node, value

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def finished(nodes, opset, functions=(), domains=()):
    made = make_model(nodes, opset, functions=tuple(functions), domains=domains)
    made.graph.input.append(value("which", BOOL, ()))
    return made


def sequence_map(opset=17, **attributes):
    """The body sees X and batch_indices from outside."""
    body = helper.make_graph(
        [roi_align_node("X", "one", "batch_indices", "pooled", name="inner", **attributes)],
        "body",
        [value("one", FLOAT, ("K", 4))],
        [value("pooled", FLOAT)],
    )
    nodes = [
        helper.make_node("SequenceConstruct", ["rois", "rois"], ["many"]),
        helper.make_node("SequenceMap", ["many"], ["every"], body=body),
        constant("last", 1, np.int64),
        helper.make_node("SequenceAt", ["every", "last"], ["Y"]),
    ]
    return finished(nodes, opset)


def optional(opset=17, **attributes):
    """Optional boxes, unwrapped in the branch in which they exist."""
    there = helper.make_graph(
        [
            helper.make_node("OptionalGetElement", ["maybe"], ["boxes"]),
            roi_align_node("X", "boxes", "batch_indices", "Y_there", name="inner", **attributes),
        ],
        "there",
        [],
        [value("Y_there", FLOAT)],
    )
    gone = helper.make_graph(
        [constant("zero", [0.0]), helper.make_node("Identity", ["zero"], ["Y_gone"])],
        "gone",
        [],
        [value("Y_gone", FLOAT)],
    )
    nodes = [
        helper.make_node("Optional", ["rois"], ["maybe"]),
        helper.make_node("OptionalHasElement", ["maybe"], ["has"]),
        helper.make_node("If", ["has"], ["Y"], then_branch=there, else_branch=gone),
    ]
    return finished(nodes, opset)


def empty_else(opset=16, **attributes):
    """The other branch has no node, only an initializer that is its output."""
    pool = helper.make_graph(
        [roi_align_node("X", "rois", "batch_indices", "Y_then", name="inner", **attributes)],
        "then",
        [],
        [value("Y_then", FLOAT)],
    )
    nothing = helper.make_graph([], "else", [], [value("Y_else", FLOAT, (0,))])
    nothing.initializer.append(numpy_helper.from_array(np.zeros(0, np.float32), "Y_else"))
    return finished([helper.make_node("If", ["which"], ["Y"], then_branch=pool, else_branch=nothing)], opset)


def scan_outputs(opset=16, **attributes):
    """A Loop without a condition, with a carried value and three scan outputs, the RoiAlign's the second."""
    nodes = [
        helper.make_node("Identity", ["i"], ["number"]),
        roi_align_node("X", "rois", "batch_indices", "pooled", name="inner", **attributes),
        helper.make_node("ReduceMax", ["pooled"], ["largest"], keepdims=0),
        helper.make_node("Identity", ["go"], ["go_on"]),
        helper.make_node("Identity", ["carried"], ["carried_on"]),
    ]
    outputs = [value("go_on", BOOL, ()), value("carried_on", INT64, ()), value("number", INT64, ())]
    outputs += [value("pooled", FLOAT), value("largest", FLOAT, ())]
    body = helper.make_graph(
        nodes, "body", [value("i", INT64, ()), value("go", BOOL, ()), value("carried", INT64, ())], outputs
    )
    loop = helper.make_node("Loop", ["turns", "", "turns"], ["end", "numbers", "every", "maxima"], body=body)
    return finished([constant("turns", 3, np.int64), loop, *first_of("every")], opset)


def first_of(name):
    return [constant("first", 0, np.int64), helper.make_node("Gather", [name, "first"], ["Y"], axis=0)]


def scan_in_function(opset=16, **attributes):
    body = helper.make_graph(
        [roi_align_node("X", "rois", "batch_indices", "pooled", name="inner", **attributes)],
        "body",
        [value("row", FLOAT, ())],
        [value("pooled", FLOAT)],
    )
    nodes = [
        constant("rows", [0, 0]),
        helper.make_node("Scan", ["rows"], ["every"], body=body, num_scan_inputs=1),
        *first_of("every"),
    ]
    names = ["X", "rois", "batch_indices"]
    function = helper.make_function("local", "Pool", names, ["Y"], nodes, [helper.make_opsetid("", opset)])
    return finished([helper.make_node("Pool", names, ["Y"], domain="local")], opset, [function], ("local",))


def if_in_loop(opset=16, **attributes):
    """Both branches pool, one of them in a second If; all take their inputs from two graphs further out."""
    pools = [
        helper.make_graph(
            [roi_align_node("X", "rois", "batch_indices", f"Y_{name}", name=name, **attributes)],
            name,
            [],
            [value(f"Y_{name}", FLOAT)],
        )
        for name in ("left", "right")
    ]
    inner = helper.make_node("If", ["which"], ["Y_inner"], then_branch=pools[0], else_branch=pools[1])
    deep = helper.make_graph([inner], "deep", [], [value("Y_inner", FLOAT)])
    flat = helper.make_graph(
        [roi_align_node("X", "rois", "batch_indices", "Y_flat", name="flat", **attributes)],
        "flat",
        [],
        [value("Y_flat", FLOAT)],
    )
    body = helper.make_graph(
        [
            helper.make_node("If", ["which"], ["Y_turn"], then_branch=deep, else_branch=flat),
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["carried"], ["carried_on"]),
        ],
        "body",
        [value("i", INT64, ()), value("go", BOOL, ()), value("carried", INT64, ())],
        [value("go_on", BOOL, ()), value("carried_on", INT64, ()), value("Y_turn", FLOAT)],
    )
    loop = helper.make_node("Loop", ["turns", "which", "turns"], ["end", "every"], body=body)
    return finished([constant("turns", 2, np.int64), loop, *first_of("every")], opset)


NESTED = MappingProxyType(
    {
        "SequenceMap": sequence_map,
        "Optional": optional,
        "empty else": empty_else,
        "scan outputs": scan_outputs,
        "Scan in a function": scan_in_function,
        "If in a Loop": if_in_loop,
    }
)

# The first opset that has what the form is written with; for Optional, that every onnx converts it to.
FIRST_OPSET = MappingProxyType({"SequenceMap": 17, "Optional": 18})


def first_opset(name: str) -> int:
    return FIRST_OPSET.get(name, 11)
