"""Tests that a session reads its model once, for all facts that it needs."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from calls import FEEDS
from onnx import TensorProto, helper
from quiet import quiet_options, quiet_session
from scoped_models import branches, with_function

import onnx_roialign
from models import make_model, model, roi_align_node
from onnx_roialign.onnx_model import file, scopes
from onnx_roialign.onnx_model.facts import OpsetConflictError, read_facts

WEIGHTS = np.ones((64, 1024), np.float32)  # large enough to be left out of the copy for shape inference


@pytest.fixture
def path(tmp_path):
    """A model with one tensor in a separate file, so that its own graph differs from a light copy's."""
    nodes = [roi_align_node(), helper.make_node("ReduceSum", ["w"], ["sum"])]
    proto = make_model(nodes, 16, outputs=(("Y", TensorProto.FLOAT), ("sum", TensorProto.FLOAT)))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(WEIGHTS, "w"))
    onnx.save_model(proto, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin")
    return tmp_path / "model.onnx"


@pytest.fixture
def counted(monkeypatch):
    """Counts how often a model was decoded, and how often the graph with weights was walked."""
    counts = {"decoded": 0, "walked": 0}
    load, walk = file.onnx.load_model_from_string, scopes._graph_scopes

    def decode(*args, **kwargs):
        counts["decoded"] += 1
        return load(*args, **kwargs)

    def graph_scopes(graph, outer):
        external = [tensor for tensor in graph.initializer if tensor.data_location == TensorProto.EXTERNAL]
        counts["walked"] += bool(external)
        return walk(graph, outer)

    monkeypatch.setattr(file.onnx, "load_model_from_string", decode)
    monkeypatch.setattr(scopes, "_graph_scopes", graph_scopes)
    return counts


def session(path, door):
    quiet_session(path, door).run(None, FEEDS)


def register(path, door):
    onnx_roialign.register(quiet_options(), path, door=door)


@pytest.mark.parametrize("call", [session, register])
def test_a_model_is_decoded_and_walked_once(path, counted, call, door):
    call(path, door)
    assert counts_of(counted) == (1, 1)


def test_a_model_that_suits_only_the_custom_op_is_decoded_once(tmp_path, counted):
    onnx.save(with_function(16, 17, outer=True), tmp_path / "model.onnx")  # a provider would get it at opset 16
    onnx_roialign.session(tmp_path / "model.onnx", quiet_options()).run(None, FEEDS)
    assert counted["decoded"] == 1


def test_the_reference_decodes_a_model_once(path, counted):
    onnx_roialign.session(path, quiet_options(), engine="reference").run(None, FEEDS)
    assert counted["decoded"] == 1


def test_a_proto_is_not_written_and_read_again(counted, door):
    quiet_session(model(), door).run(None, FEEDS)
    assert counted["decoded"] == 0


def test_the_builtin_engine_does_not_read_the_model(path, counted):
    onnx_roialign.session(path, quiet_options(), engine="builtin")
    assert counts_of(counted) == (0, 0)


def test_other_providers_read_it_again_where_the_session_is_made_again(path, counted, door):
    running = quiet_session(path, door)
    running.set_providers(["CPUExecutionProvider"])
    assert counted["decoded"] == 2


def counts_of(counted):
    return counted["decoded"], counted["walked"]


def test_what_was_read(path):
    facts = read_facts(path)
    assert [node.name for _, node in facts.roi_aligns] == ["pool"]
    assert (facts.folder, facts.opset, facts.in_functions) == (str(path.parent), 16, False)
    assert facts.external_files == {"weights.bin"}
    assert facts.external_size() == WEIGHTS.nbytes
    (path.parent / "weights.bin").unlink()
    assert facts.external_size() == 0


def test_roi_aligns_of_bodies_and_functions_are_among_them():
    assert sorted(node.name for _, node in read_facts(branches(16)).roi_aligns) == ["deep", "flat"]
    facts = read_facts(with_function(16, 16, outer=True).SerializeToString())
    assert [(node.name, scope.graph is None) for scope, node in facts.roi_aligns] == [("outer", False), ("inner", True)]
    assert facts.in_functions
    assert facts.folder is None


@pytest.mark.parametrize(("opsets", "told"), [((16, 17), 16), ((10, 13), 10), ((10, 16), None), ((16, 10), None)])
def test_the_opset_of_a_session(opsets, told):
    facts = read_facts(with_function(*opsets, outer=True))
    if told is not None:
        assert facts.session_opset() == told
        return
    with pytest.raises(OpsetConflictError, match=f"at opsets {opsets[0]} and {opsets[1]}") as caught:
        facts.session_opset()
    assert caught.value.node == "inner"


def test_explicit_nodes_need_no_opset():
    mode = {"coordinate_transformation_mode": "half_pixel"}
    assert read_facts(make_model([roi_align_node(**mode)], 16)).session_opset() is None
