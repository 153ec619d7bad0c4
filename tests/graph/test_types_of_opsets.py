"""Tests element types in convert_opset: a type that an operator gained later is refused below that opset."""

from __future__ import annotations

import itertools
import re

import numpy as np
import onnx
import pytest
from calls import FEEDS
from graph_models import HALF, LEGACY
from node_facts import opset_of
from onnx import TensorProto, helper
from quiet import run_all

from models import make_model, model, roi_align_node
from onnx_roialign import RoiAlignError
from onnx_roialign.graph import convert_opset
from onnx_roialign.onnx_model.operators import schema_of
from onnx_roialign.ops import roi_align as private_op


def test_bfloat16_needs_opset_22():
    given = model(22, element_type=TensorProto.BFLOAT16, **LEGACY)
    with pytest.raises(RoiAlignError, match="opset must be at least 22 for a RoiAlign of bfloat16, got target 16"):
        convert_opset(given, 16)
    converted = convert_opset(given, 16, private_op=True)
    assert {node.domain for node in converted.graph.node} == {private_op.DOMAIN}


def test_an_operator_whose_type_the_older_opset_lacks_is_not_converted():
    nodes = [helper.make_node("Max", ["batch_indices", "batch_indices"], ["indices"])]
    nodes.append(roi_align_node("X", "rois", "indices", "Y", **LEGACY))
    assert opset_of(convert_opset(make_model(nodes, 16), 12)) == 12
    with pytest.raises(RoiAlignError, match="Max"):  # accepts int64 only since opset 12
        convert_opset(make_model(nodes, 16), 11)


def in_function(opset_version, *nodes):
    """A model whose function has these nodes, x in and y out, and whose main graph pools the function's output."""
    imports = [helper.make_opsetid("", opset_version)]
    function = helper.make_function("local", "Through", ["x"], ["y"], list(nodes), imports)
    call = helper.make_node("Through", ["X"], ["through"], "call", domain="local")
    pool = roi_align_node("through", "rois", "batch_indices", "Y", name="pool", **HALF)
    return make_model([call, pool], opset_version, functions=(function,), domains=("local",))


@pytest.mark.parametrize(
    ("opset_version", "target", "names", "nodes"),
    [
        (
            20,
            12,
            "Cast to bfloat16",
            [
                helper.make_node("Cast", ["x"], ["unread"], to=TensorProto.BFLOAT16),
                helper.make_node("Identity", ["x"], ["y"]),
            ],
        ),
        (
            20,
            18,
            "ConstantOfShape to bfloat16",
            [
                helper.make_node("Shape", ["x"], ["s"]),
                helper.make_node(
                    "ConstantOfShape", ["s"], ["z"], value=helper.make_tensor("v", TensorProto.BFLOAT16, [1], [1.0])
                ),
                helper.make_node("Cast", ["z"], ["c"], to=TensorProto.FLOAT),
                helper.make_node("Mul", ["x", "c"], ["y"]),
            ],
        ),
    ],
)
def test_a_type_that_a_functions_node_gives_its_output_must_exist_there(opset_version, target, names, nodes):
    given = in_function(opset_version, *nodes)
    with pytest.raises(RoiAlignError, match=rf"model must be convertible to opset {target}, got {names}, which opset"):
        convert_opset(given, target, private_op=True)
    converted = convert_opset(given, target + 1 + (target == 18), private_op=True)
    for got, want in zip(run_all(converted, FEEDS), run_all(given, FEEDS), strict=True):
        np.testing.assert_array_equal(got, want)


NOT_THERE = r"model must be convertible to opset {}, got {} of .*, which opset {} does not have \(node 'newer(__1)?'\)"


def gains():
    """Operators of one input and no required attribute: (name, opset before, type that a later opset added)."""
    names = sorted({one.name for one in onnx.defs.get_all_schemas() if one.domain == "" and not one.deprecated})
    for name, before in itertools.product(names, range(10, 22)):
        older, newer = schema_of(name, before), schema_of(name, before + 1)
        if older is None or older.since_version == newer.since_version or (newer.min_input, newer.min_output) != (1, 1):
            continue
        first, result = newer.inputs[0], newer.outputs[0]
        if first.type_str == result.type_str and not any(attribute.required for attribute in newer.attributes.values()):
            yield from ((name, before, kind) for kind in sorted(set(first.types) - set(older.inputs[0].types)))


def type_of(text):
    outer, _, inner = text.removesuffix(")").partition("(")
    if outer == "seq":
        return helper.make_sequence_type_proto(type_of(inner))
    if outer == "optional":
        return helper.make_optional_type_proto(type_of(inner))
    return helper.make_tensor_type_proto(TensorProto.DataType.Value(inner.upper()), (2, 3, 4, 4))


def of_type(name, text, body, **attributes):
    """One operator at opset 22, in the graph or in a function, whose own values have no types."""
    node = helper.make_node(name, ["x"], ["y"], "newer", **attributes)
    values = [helper.make_value_info(one, type_of(text)) for one in "xy"]
    imports, nodes, functions = [helper.make_opsetid("", 22), helper.make_opsetid("local", 1)], [node], []
    if body == "function":
        functions.append(helper.make_function("local", "Through", ["x"], ["y"], [node], imports[:1]))
        nodes = [helper.make_node("Through", ["x"], ["y"], "call", domain="local")]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=10)


def refusal(given, target):
    """Lists whatever else an opset lacks; empty if the model can be converted."""
    try:
        convert_opset(given, target)
    except RoiAlignError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("body", ["graph", "function"])
@pytest.mark.parametrize(
    ("to", "name"), [(99, "99"), (-1, "-1"), (2**40, str(2**40)), (TensorProto.COMPLEX64, "complex64")]
)
def test_a_cast_to_an_invalid_type_is_refused(to, name, body):
    given = of_type("Cast", "tensor(float)", body, to=to)
    with pytest.raises(
        RoiAlignError, match=rf"convertible to opset 16, got Cast to {name}, which opset 16 does not have"
    ):
        convert_opset(given, 16)


@pytest.mark.parametrize("body", ["graph", "function"])
def test_the_type_of_a_sequences_elements_may_be_stated(body):
    nodes = [
        helper.make_node("SequenceEmpty", [], ["none"], dtype=TensorProto.FLOAT),
        helper.make_node("SequenceInsert", ["none", "X"], ["one"]),
        helper.make_node("SequenceLength", ["one"], ["length"]),
        helper.make_node("Cast", ["length"], ["factor"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["X", "factor"], ["through"]),
    ]
    if body == "function":
        nodes[-1].output[:] = ["y"]
        for node in nodes:
            node.input[:] = ["x" if name == "X" else name for name in node.input]
        given = in_function(21, *nodes)
    else:
        given = make_model([*nodes, roi_align_node("through", "rois", "batch_indices", "Y", **HALF)], 21)
    for got, want in zip(run_all(convert_opset(given, 16), FEEDS), run_all(given, FEEDS), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("body", ["graph", "function"])
def test_a_type_that_an_operator_gained_later_is_refused_below_and_not_above(body):
    seen = set()
    for name, before, kind in gains():
        with pytest.raises(RoiAlignError, match=NOT_THERE.format(before, name, before)):
            convert_opset(of_type(name, kind, body), before)
        assert not re.match(
            NOT_THERE.format(before + 1, name, before + 1), refusal(of_type(name, kind, body), before + 1)
        )
        seen.add((name, kind))
    assert len(seen) > 150
    assert {("Relu", "tensor(int32)"), ("Identity", "seq(tensor(float))"), ("Softmax", "tensor(bfloat16)")} <= seen
