"""Tests that convert_opset, repair and make_explicit keep every field of ONNX that they do not change."""

from __future__ import annotations

import filled
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from calls import FEEDS
from graph_models import constant
from onnx import TensorProto, helper, numpy_helper
from quiet import quiet_options

import onnx_roialign
from models import make_model, roi_align_node, value
from onnx_roialign import RoiAlignError
from onnx_roialign.graph import convert_opset, make_explicit, repair, validate
from onnx_roialign.graph.writing.restore import read, restored


def rich_model(opset):
    """A RoiAlign in the graph, a body and a function, beside nodes that change with the opset and nodes that do not."""
    body = helper.make_graph(
        [
            helper.make_node("Squeeze", ["Y_first"], ["squeezed"], name="squeezed"),
            helper.make_node("Identity", ["squeezed"], ["then_out"], name="inner"),
        ],
        "then",
        [],
        [value("then_out", TensorProto.FLOAT)],
        initializer=[numpy_helper.from_array(np.array([1.0], np.float32), "inner_weight")],
        value_info=[value("squeezed", TensorProto.FLOAT)],
    )
    other = helper.make_graph(
        [roi_align_node("X", "rois", "batch_indices", "else_out", name="else")],
        "else",
        [],
        [value("else_out", TensorProto.FLOAT)],
    )
    seven = constant("seven", [7.0])  # read by the search for shifts that are part of a RoiAlign's meaning
    seven.attribute[0].t.ClearField("name")
    nodes = [
        constant("weight", [1.0, 2.0]),
        seven,
        helper.make_node("Add", ["rois", "seven"], ["moved"], name="move"),
        helper.make_node("Dropout", ["X"], ["dropped"], name="dropped"),
        helper.make_node("Clip", ["dropped"], ["clipped"], name="clipped", **({"min": -1e30} if opset < 11 else {})),
        roi_align_node("clipped", "moved", "batch_indices", "Y_first", name="first"),
        helper.make_node("If", ["which"], ["Y_if"], name="if", then_branch=body, else_branch=other),
        helper.make_node("Pool", ["X", "rois", "batch_indices"], ["Y"], domain="local", name="call"),
    ]
    functions = [
        helper.make_function(
            "local",
            name,
            ["X", "rois", "batch_indices"],
            ["Y"],
            [helper.make_node("Identity", ["X"], ["same"]), roi_align_node("same", "rois", "batch_indices", "Y")],
            [helper.make_opsetid("", opset)],
            value_info=[value("same", TensorProto.FLOAT)],
        )
        for name in ("Pool", "Uncalled")
    ]
    made = make_model(nodes, opset, functions=tuple(functions), domains=("local",))
    made.graph.input.append(value("which", TensorProto.BOOL, ()))
    made.graph.output.append(value("Y_if", TensorProto.FLOAT))
    made.graph.value_info.extend(value(name, TensorProto.FLOAT) for name in ("dropped", "clipped", "Y_first"))
    made.graph.initializer.append(numpy_helper.from_array(np.array([3.0], np.float32), "unread"))
    values = helper.make_tensor("sparse", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("places", TensorProto.INT64, [1], [0])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [3]))
    made.training_info.add().algorithm.CopyFrom(helper.make_graph([], "algorithm", [], []))
    filled.fill(made)
    return made


def sparse_constant(opset, body):
    """RoiAlign beside a Constant whose value is sparse, in the graph or in a function."""
    values = helper.make_tensor("values", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("places", TensorProto.INT64, [1], [0])
    sparse = helper.make_node("Constant", [], ["sparse"], sparse_value=helper.make_sparse_tensor(values, places, [3]))
    nodes, functions = [sparse], ()
    if body == "function":
        imports = [helper.make_opsetid("", opset)]
        functions = (helper.make_function("local", "Sparse", [], ["sparse"], [sparse], imports),)
        nodes = [helper.make_node("Sparse", [], ["sparse"], domain="local")]
    made = make_model([*nodes, roi_align_node()], opset, functions=functions, domains=("local",))
    made.graph.output.append(value("sparse", TensorProto.FLOAT, (3,)))
    return made


@pytest.mark.parametrize("body", ["graph", "function"])
def test_a_sparse_constant_is_kept(body):
    given = sparse_constant(16, body)
    assert [finding.code for finding in validate(given) if finding.severity == "error"] == []
    for made in (
        repair(given, "torchvision"),
        make_explicit(given),
        convert_opset(given, 21),
        convert_opset(given, 12, private_op=True),
    ):
        assert node_of(made, body).attribute == node_of(given, body).attribute
        onnx_roialign.session(made, quiet_options())
    with pytest.raises(
        RoiAlignError, match="model must be convertible to opset 10, got Constant of a sparse tensor, which"
    ):
        convert_opset(given, 10, private_op=True)


def node_of(model, body):
    return (model.functions[0] if body == "function" else model.graph).node[0]


# The nodes that another opset writes in another way.
CONVERTED = ("dropped", "clipped", "squeezed")


def changes(before, after, converted=()):
    """The paths at which two models differ, except those that a change of the opset must change."""
    old, new = filled.paths(before), filled.paths(after)
    differ = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    allowed = ["attribute[coordinate_transformation_mode]", "/ir_version", "/opset_import["]
    for name in converted:  # the node of this output, and the nodes that it now needs
        allowed += [f"node[{name}]/input", f"node[{name}]/attribute", f"node[{name.removesuffix('_out')}/opset_"]
    return {path for path in differ if not any(part in path for part in allowed)}


def test_the_model_has_all_fields_and_missing_ones_are_detected():
    """Tests the test: without `restored`, many fields of this model are lost."""
    given = rich_model(11)
    names = {
        f"{message.DESCRIPTOR.name}.{field.name}" for message in messages(given) for field, _ in message.ListFields()
    }
    for kind in (onnx.ModelProto, onnx.GraphProto, onnx.NodeProto, onnx.ValueInfoProto, onnx.FunctionProto):
        wanted = {f"{kind.DESCRIPTOR.name}.{field.name}" for field in kind.DESCRIPTOR.fields}
        assert wanted - names <= {
            "NodeProto.overload",
            "FunctionProto.overload",
            "FunctionProto.attribute",
            "FunctionProto.attribute_proto",
        }
    bare = ir.to_proto(read(given))
    assert len(changes(given, bare)) > 20
    assert changes(given, restored(given, bare)) == set()


def messages(message):
    yield message
    for field, value_ in message.ListFields():
        if field.message_type is not None:
            for one in value_ if field.is_repeated else (value_,):
                yield from messages(one)


@pytest.mark.parametrize(("first", "target"), [(11, 12), (11, 16), (16, 22), (16, 19), (22, 16)])
def test_another_opset_keeps_every_field(first, target):
    given = rich_model(first)
    before = given.SerializeToString(deterministic=True)
    left = changes(given, convert_opset(given, target), CONVERTED)
    assert given.SerializeToString(deterministic=True) == before
    assert left == set()


@pytest.mark.parametrize("opset", [11, 15])
def test_a_repair_that_raises_the_opset_keeps_every_field(opset):
    given = rich_model(opset)
    repaired = repair(given, "torchvision:aligned=True")
    assert repaired.opset_import[0].version == 16
    assert changes(given, repaired, CONVERTED) == set()


def test_a_repair_by_the_private_op_keeps_every_field():
    given = rich_model(16)
    left = changes(given, repair(given, "mindspore:roi_end_mode=0"))
    private = tuple(f"node[{name}]/" for name in ("Y_first", "else_out", "Y"))
    of_the_op = ("/op_type", "/domain", "/attribute[")
    assert {
        path for path in left if not (any(one in path for one in private) and any(one in path for one in of_the_op))
    } == set()


@pytest.mark.parametrize("opset", [11, 16, 22])
def test_make_explicit_keeps_every_field(opset):
    given = rich_model(opset)
    explicit = make_explicit(given)
    assert explicit.opset_import[0].version == max(opset, 16)
    assert changes(given, explicit, CONVERTED if opset < 16 else ()) == set()
    assert make_explicit(explicit).SerializeToString(deterministic=True) == explicit.SerializeToString(
        deterministic=True
    )


@pytest.mark.parametrize(
    "change", [lambda one: repair(one, "torchvision:aligned=True"), make_explicit, lambda one: convert_opset(one, 16)]
)
def test_an_unchanged_model_is_returned_equal_to_the_byte(change):
    given = make_explicit(rich_model(16))
    copy = change(given)
    assert copy is not given
    assert copy.SerializeToString(deterministic=True) == given.SerializeToString(deterministic=True)


@pytest.mark.parametrize("opset", [11, 16])
def test_validate_changes_nothing_and_prints_nothing(opset, capfd):
    """onnx-ir writes names into the tensors that it reads, and logs a line about nodes that are for devices."""
    given = rich_model(opset)
    before = given.SerializeToString(deterministic=True)
    inputs = {**FEEDS, "which": np.array(False)}
    for more in ({}, {"inputs": inputs}, {"inputs": inputs, "expected": {"Y": np.zeros((4, 5, 3, 2), np.float32)}}):
        for source in (None, "torchvision", "mindspore:roi_end_mode=0"):
            validate(given, source, **more)
            assert given.SerializeToString(deterministic=True) == before
    for change in (make_explicit, lambda one: convert_opset(one, 21), lambda one: repair(one, "mindspore")):
        change(given)
        assert given.SerializeToString(deterministic=True) == before
    assert capfd.readouterr() == ("", "")
