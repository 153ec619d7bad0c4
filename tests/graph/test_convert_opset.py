"""convert_opset changes the opset and no answer, up and down, or says what would change."""

from __future__ import annotations

import itertools
import re

import exports
import graph_models
import numpy as np
import onnx
import onnxruntime
import pytest
import session_models
from graph_models import BODIES, HALF, LEGACY, model
from onnx import TensorProto, helper, numpy_helper
from session_models import FEEDS, make_model, newest_opset, roi_align_node
from tolerances import FLOAT32

import onnx_roialign
from onnx_roialign import RoiAlignError
from onnx_roialign.arrays import largest_difference
from onnx_roialign.graph import convert_opset
from onnx_roialign.onnx_model.operators import schema_of
from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.nodes import is_private, is_roi_align

OPSETS = (11, 15, 16, 22)
SMALL = tuple(name for name in exports.names() if name.startswith(("torchvision_roi", "paddle", "mindspore")))
LARGE = tuple(name for name in exports.names() if name.startswith(("detectors", "torchvision_multiscale")))


def opset(made):
    return next(entry.version for entry in made.opset_import if entry.domain == "")


def run(made, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnx_roialign.session(made, options).run(None, feeds)


def roi_aligns(made):
    """Those of the functions too."""
    return [node for scope in scopes(made) for node in scope.nodes if is_roi_align(node) or is_private(node)]


def modes(made):
    return {a.s.decode() for n in roi_aligns(made) for a in n.attribute if a.name.startswith("coordinate")}


def same_answers(name, targets):
    export = exports.load(name)
    loadable = opset(onnx.load_from_string(export.model)) <= newest_opset()
    before = run(export.model, export.feeds()) if loadable else export.expected
    for target in targets:
        converted = convert_opset(export.model, target)
        assert opset(converted) == target
        assert [one.name for one in converted.graph.input] == list(export.feeds())
        onnx.checker.check_model(converted)
        if target > newest_opset():
            continue
        for got, want in zip(run(converted, export.feeds()), before, strict=True):
            assert largest_difference(got, want) <= 1e-5


@pytest.mark.parametrize("name", SMALL)
def test_a_small_export_answers_the_same_at_every_opset_that_can_say_it(name):
    given = onnx.load_from_string(exports.load(name).model)
    half = opset(given) >= 16 and modes(given) != {"output_half_pixel"}
    targets = [target for target in OPSETS if target >= (16 if half else 11)]
    if not half and not name.startswith("mindspore"):  # whose Split has no way down to opset 10
        targets.append(10)
    same_answers(name, targets)


@pytest.mark.parametrize("name", LARGE)
def test_a_detector_and_a_pooler_answer_the_same_at_16_and_22(name):
    same_answers(name, (16, 22))


# Opset 10 has no coordinate_transformation_mode.
MEANT = [(10, {}), *((first, attributes) for first in (16, 22) for attributes in ({}, HALF, LEGACY))]
TARGETS = (10, 16, 22)


def is_half(first, attributes):
    return first >= 16 and attributes != LEGACY


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("first", "attributes"), MEANT, ids=str)
@pytest.mark.parametrize("target", TARGETS)
def test_bodies_and_functions_get_the_opset_or_are_refused(body, first, attributes, target):
    half = is_half(first, attributes)
    given = BODIES[body](first, **attributes)
    if half and target < 16:
        with pytest.raises(RoiAlignError, match="opset must be at least 16 for half_pixel, got target 10"):
            convert_opset(given, target)
        converted = convert_opset(given, target, private_op=True)
        assert {node.domain for node in roi_aligns(converted)} == {private_op.DOMAIN}
    else:
        converted = convert_opset(given, target)
    assert opset(converted) == target
    assert {entry.version for one in converted.functions for entry in one.opset_import if not entry.domain} <= {target}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("first", "attributes"), [one for one in MEANT if one[0] <= newest_opset()], ids=str)
@pytest.mark.parametrize("target", [target for target in TARGETS if target <= newest_opset()])
def test_bodies_and_functions_mean_what_they_meant(body, first, attributes, target):
    given = BODIES[body](first, **attributes)
    converted = convert_opset(given, target, private_op=target < 16 and is_half(first, attributes))
    feeds = FEEDS | ({"which": np.array(True)} if body == "if" else {})
    (got,), (want,) = run(converted, feeds), run(given, feeds)
    assert largest_difference(got, want) <= FLOAT32


def test_the_mode_is_written_from_opset_16_on_and_never_before():
    assert modes(convert_opset(model(10), 16)) == {"output_half_pixel"}
    assert modes(convert_opset(model(16), 22)) == {"half_pixel"}
    assert modes(convert_opset(model(22), 16)) == {"half_pixel"}
    assert modes(convert_opset(model(16, **LEGACY), 10)) == set()


def test_the_error_says_by_how_much_the_answers_would_change():
    with pytest.raises(
        RoiAlignError, match=r"would change by up to 0\.\d+ for features in \[0, 1\), and with half a"
    ) as e:
        convert_opset(model(16), 15)
    assert "under 1 x 1 pixel by up to 0." in str(e.value)
    assert "(node 'pool')" in str(e.value)
    assert "private_op=True" in str(e.value)


def test_what_an_opset_cannot_say_is_said_by_the_private_op_if_asked():
    converted = convert_opset(model(16), 11, private_op=True)
    assert {entry.domain: entry.version for entry in converted.opset_import} == {"": 11, private_op.DOMAIN: 1}
    assert largest_difference(run(converted, FEEDS)[0], run(model(16), FEEDS)[0]) <= FLOAT32


def test_bfloat16_needs_opset_22():
    given = session_models.model(22, element_type=TensorProto.BFLOAT16, **LEGACY)
    with pytest.raises(RoiAlignError, match="opset must be at least 22 for a RoiAlign of bfloat16, got target 16"):
        convert_opset(given, 16)
    converted = convert_opset(given, 16, private_op=True)
    assert {node.domain for node in converted.graph.node} == {private_op.DOMAIN}


@pytest.mark.parametrize("target", [9, 1000, "16", True, 16.0])
def test_a_target_that_is_no_opset_is_refused(target):
    with pytest.raises(RoiAlignError, match="target must be an opset from 10 to"):
        convert_opset(model(), target)


def test_another_operator_that_cannot_be_converted_is_named():
    nodes = [helper.make_node("Gelu", ["X"], ["G"]), roi_align_node("G", "rois", "batch_indices", "Y", **LEGACY)]
    with pytest.raises(RoiAlignError, match=r"model must be convertible to opset 16, got No Previous Version of Gelu"):
        convert_opset(make_model(nodes, 21), 16)


def test_an_operator_of_which_the_older_opset_lacks_the_type_is_not_taken_down():
    nodes = [helper.make_node("Max", ["batch_indices", "batch_indices"], ["indices"])]
    nodes.append(roi_align_node("X", "rois", "indices", "Y", **LEGACY))
    assert opset(convert_opset(make_model(nodes, 16), 12)) == 12
    with pytest.raises(RoiAlignError, match="Max"):  # of int64 only since opset 12
        convert_opset(make_model(nodes, 16), 11)


def test_a_loop_that_carries_nothing_is_not_taken_to_opset_10():
    given = graph_models.in_loop(16, **LEGACY)
    loop = given.graph.node[1]
    body = loop.attribute[0].g
    for part, index in ((loop.input, 2), (loop.output, 0), (body.input, 2), (body.output, 1), (body.node, 2)):
        del part[index]
    assert opset(convert_opset(given, 11)) == 11
    with pytest.raises(RoiAlignError, match="Loop"):
        convert_opset(given, 10)


@pytest.mark.parametrize("index", [[0], [-1]], ids=str)
def test_a_negative_index_is_not_taken_below_opset_11(index):
    nodes = [
        graph_models.constant("index", index, np.int64),
        helper.make_node("Gather", ["X", "index"], ["one"], axis=1),
        roi_align_node("one", "rois", "batch_indices", "Y", **LEGACY),
    ]
    given = make_model(nodes, 16)
    assert opset(convert_opset(given, 11)) == 11
    if index == [0]:
        assert largest_difference(run(convert_opset(given, 10), FEEDS)[0], run(given, FEEDS)[0]) <= FLOAT32
    else:
        with pytest.raises(RoiAlignError, match="Gather"):
            convert_opset(given, 10)


@pytest.mark.parametrize("op_type", ["Squeeze", "Unsqueeze"])
def test_axes_become_an_attribute_again(op_type):
    other = "Unsqueeze" if op_type == "Squeeze" else "Squeeze"
    nodes = [
        graph_models.constant("axes", [1], np.int64),
        helper.make_node(other, ["batch_indices", "axes"], ["there"])
        if op_type == "Squeeze"
        else helper.make_node("Identity", ["batch_indices"], ["there"]),
        helper.make_node(op_type, ["there", "axes"], ["back"]),
        helper.make_node("Reshape", ["back", "minus"], ["indices"], allowzero=0),
        roi_align_node("X", "rois", "indices", "Y", **LEGACY),
    ]
    nodes.insert(0, graph_models.constant("minus", [-1], np.int64))
    given = make_model(nodes, 16)
    for target in (10, 12, 13):
        assert largest_difference(run(convert_opset(given, target), FEEDS)[0], run(given, FEEDS)[0]) <= FLOAT32


def test_large_weights_metadata_and_names_come_through(tmp_path):
    given = graph_models.network(0.25)
    weights = np.random.default_rng(0).random((4, 3, 3, 3), dtype=np.float32)
    large = np.random.default_rng(1).random((8, 4, 3, 3), dtype=np.float32)
    del given.graph.initializer[:]
    given.graph.initializer.extend([numpy_helper.from_array(weights, "w0"), numpy_helper.from_array(large, "w1")])
    given.metadata_props.add(key="who", value="me")
    given.producer_name = "somebody"
    onnx.save_model(given, tmp_path / "m.onnx", save_as_external_data=True, location="weights", size_threshold=1024)
    for converted in (convert_opset(given, 22), convert_opset(given, 16), convert_opset(tmp_path / "m.onnx", 22)):
        assert converted.producer_name == "somebody"
        assert {entry.key: entry.value for entry in converted.metadata_props} == {"who": "me"}
        assert sorted(tensor.name for tensor in converted.graph.initializer) == ["w0", "w1"]
        assert [one.name for one in converted.graph.input] == ["image", "rois", "batch_indices"]
    assert {e.value for t in converted.graph.initializer for e in t.external_data} >= {"weights"}


def test_the_model_is_not_changed_and_its_own_opset_is_a_copy():
    given = model(16)
    before = given.SerializeToString()
    same = convert_opset(given, 16)
    convert_opset(given, 22)
    assert given.SerializeToString() == before == same.SerializeToString()
    assert same is not given


def test_a_roi_align_that_is_not_valid_is_refused():
    with pytest.raises(RoiAlignError, match=r"mode must be 'avg' or 'max', got 'median' \(node 'pool'\)"):
        convert_opset(model(mode="median"), 22)


def test_a_model_without_onnxs_operators_is_refused():
    given = model()
    given.opset_import[0].domain = "other"
    with pytest.raises(RoiAlignError, match="model must import ONNX's own operators"):
        convert_opset(given, 16)


def test_sparse_initializers_are_kept():
    given = model(11)
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    places = helper.make_tensor("p", TensorProto.INT64, [1], [0])
    given.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [3]))
    converted = convert_opset(given, 16)
    assert converted.graph.sparse_initializer == given.graph.sparse_initializer
    assert modes(converted) == {"output_half_pixel"}


def test_onnxs_domain_may_be_written_out():
    given = model(11)
    given.opset_import[0].domain = given.graph.node[0].domain = "ai.onnx"
    converted = convert_opset(given, 16)
    assert [(entry.domain, entry.version) for entry in converted.opset_import] == [("ai.onnx", 16)]
    assert modes(converted) == {"output_half_pixel"}


def in_function(opset_version, *nodes):
    """A model whose function has these nodes, x in and y out, and whose main graph pools what it returns."""
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
    for got, want in zip(run(converted, FEEDS), run(given, FEEDS), strict=True):
        np.testing.assert_array_equal(got, want)


NOT_THERE = r"model must be convertible to opset {}, got {} of .*, which opset {} has not \(node 'newer(__1)?'\)"


def gains():
    """Of operators of one input and no attribute that must be there: (name, opset before, type that came after it)."""
    names = sorted({one.name for one in onnx.defs.get_all_schemas() if one.domain == "" and not one.deprecated})
    for name, before in itertools.product(names, range(10, 22)):
        older, newer = schema_of(name, before), schema_of(name, before + 1)
        if older is None or older.since_version == newer.since_version or (newer.min_input, newer.min_output) != (1, 1):
            continue
        first, result = newer.inputs[0], newer.outputs[0]
        if first.type_str == result.type_str and not any(one.required for one in newer.attributes.values()):
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
    """Of whatever else an opset has not; empty where it is converted."""
    try:
        convert_opset(given, target)
    except RoiAlignError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("body", ["graph", "function"])
@pytest.mark.parametrize(
    ("to", "name"), [(99, "99"), (-1, "-1"), (2**40, str(2**40)), (TensorProto.COMPLEX64, "complex64")]
)
def test_a_cast_to_what_is_no_type_is_refused_in_our_words(to, name, body):
    given = of_type("Cast", "tensor(float)", body, to=to)
    with pytest.raises(RoiAlignError, match=rf"convertible to opset 16, got Cast to {name}, which opset 16 has not"):
        convert_opset(given, 16)


@pytest.mark.parametrize("body", ["graph", "function"])
def test_the_type_of_what_a_sequence_holds_may_be_stated(body):
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
    for got, want in zip(run(convert_opset(given, 16), FEEDS), run(given, FEEDS), strict=True):
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
