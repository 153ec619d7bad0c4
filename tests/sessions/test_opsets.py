"""Tests graphs in graphs and functions in sessions: every node has the meaning of its own scope's opset."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from calls import BATCH_INDICES, FEEDS, ROIS, X, expected
from closeness import assert_close
from onnx import TensorProto, helper
from quiet import ENGINES, quiet_options, quiet_session, run
from refusals import EARLY_MODE, OTHER_OPSET, assert_provider_refuses
from scoped_models import branches, with_function

import onnx_roialign
from models import TYPES, make_model, roi_align_node, value
from onnx_roialign import RoiAlignError

RUNS = ("native", *ENGINES)  # the first is the door that session() takes by itself


@pytest.mark.parametrize("engine", RUNS)
@pytest.mark.parametrize("opset", [11, 16])
def test_nodes_in_the_bodies_of_if_are_run_too(opset, engine):
    if engine == "provider" and opset < 16:
        assert_provider_refuses(branches(opset), EARLY_MODE)
        return
    session = quiet_session(branches(opset), engine)
    assert_close(run(session, FEEDS | {"condition": np.array(True)}), expected(16, "output_half_pixel"))
    assert_close(run(session, FEEDS | {"condition": np.array(False)}), expected(opset))


@pytest.mark.parametrize("engine", RUNS)
@pytest.mark.parametrize(("opset", "function_opset"), [(11, 11), (16, 16), (11, 16), (16, 11)])
def test_a_function_means_what_its_own_opset_says(opset, function_opset, engine):
    proto = with_function(opset, function_opset)
    if engine == "provider" and opset != function_opset:
        assert_provider_refuses(proto, OTHER_OPSET)
        return
    assert_close(run(quiet_session(proto, engine)), expected(function_opset))


@pytest.mark.parametrize(("opset", "function_opset"), [(11, 16), (16, 11)])
def test_opsets_that_disagree_on_nodes_without_the_mode_are_refused_where_the_model_stays_as_it_is(
    opset, function_opset
):
    text = rf"got nodes without it at opsets {opset} and {function_opset}; write the attribute .* \(node 'inner'\)"
    with pytest.raises(RoiAlignError, match=text):
        onnx_roialign.register(quiet_options(), with_function(opset, function_opset, outer=True))


@pytest.mark.parametrize("engine", RUNS)
def test_opsets_may_disagree_where_the_mode_is_written(engine):
    proto = with_function(11, 16, outer=True, coordinate_transformation_mode="half_pixel")
    if engine == "provider":
        assert_provider_refuses(proto, OTHER_OPSET)
        return
    assert_close(run(quiet_session(proto, engine)), expected(16))


@pytest.mark.parametrize("engine", RUNS)
def test_a_session_keeps_both_meanings_where_opsets_disagree(engine):
    proto = with_function(11, 16, outer=True)
    if engine == "provider":
        assert_provider_refuses(proto, OTHER_OPSET)
        return
    proto.graph.output.append(value("Z", TensorProto.FLOAT))
    inner, outer = quiet_session(proto, engine).run(None, FEEDS)
    assert_close(inner, expected(16))
    assert_close(outer, expected(11))


@pytest.mark.parametrize("engine", RUNS)
def test_a_function_attribute_reaches_the_node(engine):
    node = roi_align_node("x", "r", "b", "y", name="inner")
    referring = onnx.AttributeProto(name="mode", type=onnx.AttributeProto.STRING, ref_attr_name="how")
    node.attribute.append(referring)
    imports = [helper.make_opsetid("", 16)]
    function = helper.make_function("local", "Pool", ["x", "r", "b"], ["y"], [node], imports, ["how"])
    call = helper.make_node("Pool", ["X", "rois", "batch_indices"], ["Y"], domain="local", how="max")
    proto = make_model([call], 16, functions=(function,), domains=("local",))
    assert_close(run(quiet_session(proto, engine)), expected(16, mode="max"))


@pytest.mark.parametrize("engine", RUNS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_type_behind_an_operator_that_onnx_does_not_know_is_found(dtype, engine):
    def hidden(name):
        opened = helper.make_node("ExpandDims", [name, "axis"], [f"{name}_5d"], domain="com.microsoft")
        return [opened, helper.make_node("Squeeze", [f"{name}_5d", "axes"], [f"{name}_hidden"])]

    pool = roi_align_node("X_hidden", "rois_hidden", "batch_indices", "pooled")
    nodes = [*hidden("X"), *hidden("rois"), pool, helper.make_node("Cast", ["pooled"], ["Y"], to=TensorProto.FLOAT)]
    outputs = (("Y", TensorProto.FLOAT),)
    proto = make_model(nodes, 16, element_type=TYPES[dtype], outputs=outputs, domains=("com.microsoft",))
    proto.graph.initializer.append(helper.make_tensor("axis", TensorProto.INT32, [], [0]))
    proto.graph.initializer.append(helper.make_tensor("axes", TensorProto.INT64, [1], [0]))
    feeds = {"X": X.astype(dtype), "rois": ROIS.astype(dtype), "batch_indices": BATCH_INDICES}
    assert_close(run(quiet_session(proto, engine), feeds), expected(16, dtype=dtype).astype(np.float32))
