"""RoiAlign in the branches of an If and in a function, for the tests of sessions."""

from __future__ import annotations

from onnx import TensorProto, helper

from models import make_model, roi_align_node, value


def branches(opset):
    """An If whose branches pool differently, one of them two graphs deep; the condition is an input."""

    def body(name, nodes, output):
        return helper.make_graph(nodes, name, [], [value(output, TensorProto.FLOAT)])

    legacy = {"coordinate_transformation_mode": "output_half_pixel"}
    inner = body("inner", [roi_align_node("X", "rois", "batch_indices", "deep", name="deep", **legacy)], "deep")
    other = body("other", [helper.make_node("Identity", ["X"], ["never"])], "never")
    nested = helper.make_node("If", ["condition"], ["nested"], then_branch=inner, else_branch=other)
    outer = helper.make_node(
        "If",
        ["condition"],
        ["Y"],
        then_branch=body("then", [nested], "nested"),
        else_branch=body("else", [roi_align_node("X", "rois", "batch_indices", "flat", name="flat")], "flat"),
    )
    proto = make_model([outer], opset)
    proto.graph.input.append(value("condition", TensorProto.BOOL, ()))
    return proto


def with_function(opset, function_opset, *, outer=False, **attributes):
    """A model whose function pools at its own opset; with `outer` the graph pools, too."""
    node = roi_align_node("x", "r", "b", "y", name="inner", **attributes)
    function = helper.make_function(
        "local", "Pool", ["x", "r", "b"], ["y"], [node], [helper.make_opsetid("", function_opset)]
    )
    nodes = [helper.make_node("Pool", ["X", "rois", "batch_indices"], ["Y"], name="call", domain="local")]
    if outer:
        nodes = [nodes[0], roi_align_node("X", "rois", "batch_indices", "Z", name="outer")]
    return make_model(nodes, opset, functions=(function,), domains=("local",))
