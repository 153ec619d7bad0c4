"""Tests that convert_opset changes the opset and no result, up and down, or reports what would change."""

from __future__ import annotations

import exports
import graph_models
import numpy as np
import onnx
import pytest
from calls import FEEDS
from graph_models import BODIES, HALF, LEGACY
from installed_versions import newest_opset
from node_facts import opset_of, roi_aligns
from onnx import TensorProto, helper, numpy_helper
from quiet import run_all
from tolerances import FLOAT32

from models import make_model, model, roi_align_node
from onnx_roialign import RoiAlignError
from onnx_roialign.arrays import largest_difference
from onnx_roialign.graph import convert_opset
from onnx_roialign.ops import roi_align as private_op

OPSETS = (11, 15, 16, 22)
SMALL = exports.small_names()
LARGE = exports.large_names()


def modes(made):
    return {a.s.decode() for n in roi_aligns(made) for a in n.attribute if a.name.startswith("coordinate")}


def same_answers(name, targets):
    export = exports.load(name)
    loadable = opset_of(onnx.load_from_string(export.model)) <= newest_opset()
    before = run_all(export.model, export.feeds()) if loadable else export.expected
    for target in targets:
        converted = convert_opset(export.model, target)
        assert opset_of(converted) == target
        assert [value.name for value in converted.graph.input] == list(export.feeds())
        onnx.checker.check_model(converted)
        if target > newest_opset():
            continue
        for got, want in zip(run_all(converted, export.feeds()), before, strict=True):
            assert largest_difference(got, want) <= 1e-5


@pytest.mark.parametrize("name", SMALL)
def test_a_small_export_returns_the_same_at_every_opset_that_can_express_it(name):
    given = onnx.load_from_string(exports.load(name).model)
    half = opset_of(given) >= 16 and modes(given) != {"output_half_pixel"}
    targets = [target for target in OPSETS if target >= (16 if half else 11)]
    if not half and not name.startswith("mindspore"):  # its Split cannot be converted down to opset 10
        targets.append(10)
    same_answers(name, targets)


@pytest.mark.parametrize("name", LARGE)
def test_a_detector_and_a_pooler_return_the_same_at_16_and_22(name):
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
    assert opset_of(converted) == target
    assert {
        entry.version for function in converted.functions for entry in function.opset_import if not entry.domain
    } <= {target}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("first", "attributes"), [one for one in MEANT if one[0] <= newest_opset()], ids=str)
@pytest.mark.parametrize("target", [target for target in TARGETS if target <= newest_opset()])
def test_bodies_and_functions_keep_their_meaning(body, first, attributes, target):
    given = BODIES[body](first, **attributes)
    converted = convert_opset(given, target, private_op=target < 16 and is_half(first, attributes))
    feeds = FEEDS | ({"which": np.array(True)} if body == "if" else {})
    (got,), (want,) = run_all(converted, feeds), run_all(given, feeds)
    assert largest_difference(got, want) <= FLOAT32


def test_the_mode_is_written_from_opset_16_on_and_never_before():
    assert modes(convert_opset(model(10), 16)) == {"output_half_pixel"}
    assert modes(convert_opset(model(16), 22)) == {"half_pixel"}
    assert modes(convert_opset(model(22), 16)) == {"half_pixel"}
    assert modes(convert_opset(model(16, **LEGACY), 10)) == set()


def test_the_error_has_the_change_of_the_results():
    with pytest.raises(
        RoiAlignError, match=r"would change by up to 0\.\d+ for features in \[0, 1\), and with half a"
    ) as e:
        convert_opset(model(16), 15)
    assert "under 1 x 1 pixel by up to 0." in str(e.value)
    assert "(node 'pool')" in str(e.value)
    assert "private_op=True" in str(e.value)


def test_the_private_op_expresses_what_an_opset_cannot_if_it_is_allowed():
    converted = convert_opset(model(16), 11, private_op=True)
    assert {entry.domain: entry.version for entry in converted.opset_import} == {"": 11, private_op.DOMAIN: 1}
    assert largest_difference(run_all(converted, FEEDS)[0], run_all(model(16), FEEDS)[0]) <= FLOAT32


@pytest.mark.parametrize("target", [9, 1000, "16", True, 16.0])
def test_an_invalid_target_opset_is_refused(target):
    with pytest.raises(RoiAlignError, match=r"target must be an (opset from 10 to|integer, got a)"):
        convert_opset(model(), target)


def test_another_operator_that_cannot_be_converted_is_named():
    nodes = [helper.make_node("Gelu", ["X"], ["G"]), roi_align_node("G", "rois", "batch_indices", "Y", **LEGACY)]
    with pytest.raises(RoiAlignError, match=r"model must be convertible to opset 16, got No Previous Version of Gelu"):
        convert_opset(make_model(nodes, 21), 16)


def test_a_loop_without_state_is_not_converted_to_opset_10():
    given = graph_models.in_loop(16, **LEGACY)
    loop = given.graph.node[1]
    body = loop.attribute[0].g
    for part, index in ((loop.input, 2), (loop.output, 0), (body.input, 2), (body.output, 1), (body.node, 2)):
        del part[index]
    assert opset_of(convert_opset(given, 11)) == 11
    with pytest.raises(RoiAlignError, match="Loop"):
        convert_opset(given, 10)


@pytest.mark.parametrize("index", [[0], [-1]], ids=str)
def test_a_negative_index_is_not_converted_below_opset_11(index):
    nodes = [
        graph_models.constant("index", index, np.int64),
        helper.make_node("Gather", ["X", "index"], ["one"], axis=1),
        roi_align_node("one", "rois", "batch_indices", "Y", **LEGACY),
    ]
    given = make_model(nodes, 16)
    assert opset_of(convert_opset(given, 11)) == 11
    if index == [0]:
        assert largest_difference(run_all(convert_opset(given, 10), FEEDS)[0], run_all(given, FEEDS)[0]) <= FLOAT32
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
        assert largest_difference(run_all(convert_opset(given, target), FEEDS)[0], run_all(given, FEEDS)[0]) <= FLOAT32


def test_large_weights_metadata_and_names_are_kept(tmp_path):
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
        assert [value.name for value in converted.graph.input] == ["image", "rois", "batch_indices"]
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


def test_onnxs_domain_may_have_its_long_name():
    given = model(11)
    given.opset_import[0].domain = given.graph.node[0].domain = "ai.onnx"
    converted = convert_opset(given, 16)
    assert [(entry.domain, entry.version) for entry in converted.opset_import] == [("ai.onnx", 16)]
    assert modes(converted) == {"output_half_pixel"}
