"""Tests a node of a model: how it is found, its meaning, and the result of identify for each runtime."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from identified import evidence

from onnx_roialign import PRESETS, RoiAlignError
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.identification.live import identify
from onnx_roialign.identification.node import ProbedNode, find_node
from onnx_roialign.identification.result import FIELDS


def node(opset, **attributes):
    return onnx.helper.make_node("RoiAlign", ["X", "rois", "b"], ["Y"], "pool", **attributes)


@pytest.mark.parametrize("engine_name", ["builtin", "native", "reference", "evaluator"])
@pytest.mark.parametrize(
    ("opset", "mode", "preset"),
    [
        (10, None, "onnx_output_half_pixel"),
        (16, None, "onnx_half_pixel"),
        (16, "output_half_pixel", "onnx_output_half_pixel"),
    ],
)
def test_a_node_is_named_on_every_runtime(engine_name, opset, mode, preset):
    probed = ProbedNode(node(opset, **({} if mode is None else {"coordinate_transformation_mode": mode})), opset)
    found = identify(probed.on(engine_name))
    assert found.fits, found.odd
    assert preset in found.names
    assert found.differs_from(probed.meant) == ()


def test_onnx_reference_is_half_a_pixel_off_at_opset_10():
    """If onnx repairs its op, this fails: evaluator.py's docstring and README's table must then change."""
    wrong, right = ProbedNode(node(10), 10), ProbedNode(node(16), 16)
    found = identify(wrong.on("onnx.reference"))
    assert "onnx_half_pixel" in found.names
    assert found.differs_from(wrong.meant) == ("offset", "min_size")
    assert identify(right.on("onnx.reference")).differs_from(right.meant) == ()


def test_a_runtime_that_refuses_the_node_fits_nothing_and_its_message_is_the_reason():
    found = identify(ProbedNode(node(22), 22).on("builtin"))
    assert not found.fits
    assert (found.semantics, found.names, found.hidden) == (None, (), tuple(FIELDS))
    assert "Could not find an implementation for RoiAlign(22)" in evidence(found, "offset").reason
    assert evidence(found, "border").reason == "not probed: the positions of RoIs are unknown"


def test_the_private_op_is_named_from_its_attributes():
    from onnx_roialign.ops.roi_align import make_node

    probed = ProbedNode(make_node("X", "rois", "b", "Y", Attributes(semantics=PRESETS["mindspore_1"]), name="p"), 16)
    assert probed.meant == PRESETS["mindspore_1"]
    for engine_name in ("native", "evaluator"):
        assert identify(probed.on(engine_name)).names == ("mindspore_1",)


def test_a_node_inside_a_branch_is_found_by_name():
    helper, tensor = onnx.helper, onnx.TensorProto
    y = helper.make_tensor_value_info("Y", tensor.FLOAT, None)
    branches = [helper.make_graph([replace_name(node(16), name)], name, [], [y]) for name in ("a", "b")]
    choice = helper.make_node("If", ["c"], ["Y"], then_branch=branches[0], else_branch=branches[1])
    graph = helper.make_graph([choice], "g", [helper.make_tensor_value_info("c", tensor.BOOL, [])], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)])
    assert find_node(model, "b", Path("m.onnx")).name == "b"
    with pytest.raises(RoiAlignError, match="MODEL must have one RoiAlign node, got 2; choose with --node: "):
        find_node(model, None, Path("m.onnx"))


def replace_name(proto, name):
    proto.name = name
    return proto


@pytest.mark.parametrize("names", [("", ""), ("pool", "pool"), ("first", "")], ids=str)
def test_nodes_without_a_name_are_chosen_by_their_output(names):
    nodes = [node(16), node(16)]
    for one, name, output in zip(nodes, names, ("Y", "Z"), strict=True):
        one.name, one.output[0] = name, output
    nodes[1].attribute.append(onnx.helper.make_attribute("coordinate_transformation_mode", "output_half_pixel"))
    graph = onnx.helper.make_graph(nodes, "graph", [], [])
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)])
    with pytest.raises(
        RoiAlignError, match=f"got 2; choose with --node: {names[0] if names[0] == 'first' else 'Y'}, Z"
    ):
        find_node(proto, None, Path("m.onnx"))
    assert find_node(proto, "Z", Path("m.onnx")).meant == PRESETS["onnx_output_half_pixel"]
    assert find_node(proto, "Y", Path("m.onnx")).meant == PRESETS["onnx_half_pixel"]
