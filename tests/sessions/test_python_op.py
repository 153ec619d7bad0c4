"""Tests engine reference in a session: its Python op beside onnxruntime-extensions' own ops, and its limits."""

from __future__ import annotations

import importlib
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime_extensions
import pytest
from calls import FEEDS, expected
from closeness import assert_close
from installed_versions import GLOBAL_POOL
from onnx import TensorProto, helper
from paths import SUPPORT
from quiet import DOORS, ENGINES, how, quiet_options, quiet_session, run

import onnx_roialign
from models import SHAPE, float_kinds, make_model, model, private_model, private_node, roi_align_node
from onnx_roialign import RoiAlignError
from onnx_roialign.onnx_model.facts import read_facts
from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.ops.nodes import is_ours
from onnx_roialign.sessions import python_op
from onnx_roialign.sessions.rewrite import rewrite


def test_options_with_onnxruntime_extensions_already_are_refused_by_the_reference():
    quiet_session(model(16), "reference")  # declares the ops: the library lacks ops that are registered later
    taken = quiet_options()
    taken.register_custom_ops_library(onnxruntime_extensions.get_library_path())
    with pytest.raises(
        RoiAlignError,
        match=r"sess_options must load a model, got options that load none \(.*Conflicting.*\); engine 'reference' "
        "registers onnxruntime-extensions' library itself: pass options without it",
    ):
        onnx_roialign.session(model(16), taken, engine="reference")


@GLOBAL_POOL
@pytest.mark.parametrize("engine", ENGINES)
def test_options_for_a_global_thread_pool_that_is_not_there_are_not_blamed_on_a_library(engine):
    pooled = quiet_options()
    pooled.use_per_session_threads = False
    with pytest.raises(RoiAlignError, match=r"options that load none \(.*per session threadpools.*\)$"):
        onnx_roialign.session(model(16), pooled, **how(engine))


def test_a_second_import_takes_over_the_declared_ops():
    before = quiet_session(model(16), "reference")
    again = importlib.reload(python_op)
    after = quiet_session(model(16), "reference")
    assert again is python_op
    for session in (before, after):
        assert_close(run(session), expected(16))


def test_declaring_the_ops_leaves_the_users_own_python_ops_alone():
    program = """
import numpy as np, onnxruntime, onnxruntime_extensions as ortx
from onnx import helper
from calls import FEEDS
from models import model
from quiet import quiet_options
@ortx.onnx_op(op_type="Twice", inputs=[ortx.PyCustomOpDef.dt_float], outputs=[ortx.PyCustomOpDef.dt_float])
def twice(x): return 2 * x
node = helper.make_node("Twice", ["X"], ["Y"], domain="ai.onnx.contrib")
graph = helper.make_graph([node], "g", *([helper.make_tensor_value_info(n, 1, [None])] for n in "XY"))
imports = [helper.make_opsetid("", 16), helper.make_opsetid("ai.onnx.contrib", 1)]
proto = helper.make_model(graph, opset_imports=imports, ir_version=8)
options = quiet_options()
options.register_custom_ops_library(ortx.get_library_path())
users = onnxruntime.InferenceSession(proto.SerializeToString(), options)
import onnx_roialign
for _ in range(3):
    onnx_roialign.session(model(16), quiet_options(), engine="reference").run(None, FEEDS)
    users = [users, onnxruntime.InferenceSession(proto.SerializeToString(), options)][_ % 2]
    print(users.run(None, {"X": np.ones(2, np.float32)})[0].tolist())
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=SUPPORT)
    assert done.stdout.split("\n")[:3] == ["[2.0, 2.0]"] * 3


def test_the_reference_does_not_run_asynchronously():
    with pytest.raises(RoiAlignError, match=r"engine 'reference' must be run with run\(\), got run_async\(\)"):
        quiet_session(model(16), "reference").run_async(["Y"], FEEDS, print, None)


def test_an_error_of_the_reference_survives_the_nodes_behind_it():
    nodes = [roi_align_node("X", "rois", "batch_indices", "pooled"), helper.make_node("Add", ["pooled", "X"], ["Y"])]
    with pytest.raises(RoiAlignError, match=r"batch_indices must be in \[0, 2\), got 9 at row 0 \(node 'pool'\)"):
        run(quiet_session(make_model(nodes, 16), "reference"), FEEDS | {"batch_indices": np.array([9, 0, 0, 0])})


def beside_an_if(depth):
    """A RoiAlign, and an If whose branches have the same to a lesser depth; the last node adds them."""
    own = roi_align_node("X", "rois", "batch_indices", f"own{depth}")
    if depth == 0:
        return [own]
    nodes = beside_an_if(depth - 1)
    body = helper.make_graph(nodes, "body", [], [onnx.ValueInfoProto(name=nodes[-1].output[0])])
    yes = helper.make_node("Constant", [], [f"yes{depth}"], value=onnx.numpy_helper.from_array(np.array(True)))
    chosen = helper.make_node("If", [f"yes{depth}"], [f"inner{depth}"], then_branch=body, else_branch=body)
    return [own, yes, chosen, helper.make_node("Add", [f"own{depth}", f"inner{depth}"], [f"sum{depth}"])]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_no_roi_align_is_left_to_onnxruntime_in_a_body_beside_one(depth):
    """Its own kernel would return nearly the same, so that the result alone does not show it."""
    nodes = beside_an_if(depth)
    nested = make_model([*nodes, helper.make_node("Identity", [nodes[-1].output[0]], ["Y"])], 16)
    rewritten = rewrite(read_facts(nested), "session")
    assert [node.op_type for scope in scopes(rewritten) for node in scope.nodes if is_ours(node)] == []
    assert_close(quiet_session(nested, "reference").run(None, FEEDS)[0], (depth + 1) * expected(16))


def test_a_reference_node_whose_inputs_are_constants_fails_at_session_creation_with_its_own_error():
    proto = model(16)
    del proto.graph.input[:]
    for name, array in (FEEDS | {"batch_indices": np.array([9, 0, 0, 0])}).items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    with pytest.raises(RoiAlignError, match=r"batch_indices must be in \[0, 2\), got 9 at row 0 \(node 'pool'\)"):
        run(quiet_session(proto, "reference"), {})


@pytest.mark.parametrize(("X", "rois", "name"), [("BFLOAT16", "FLOAT", "X"), ("FLOAT", "BFLOAT16", "rois")])
def test_the_reference_refuses_a_type_that_the_opset_cannot_cast(X, rois, name):
    def made(opset):
        kinds = {**float_kinds(TensorProto.DataType.Value(X)), "rois": TensorProto.DataType.Value(rois)}
        return private_model([private_node(**SHAPE)], kinds, opset=opset)

    text = (
        rf"{name} must be of a type that opset 12 can cast on engine 'reference', got bfloat16; engine 'native' accepts"
    )
    with pytest.raises(RoiAlignError, match=rf"{text} it \(node 'pool'\)"):
        quiet_session(made(12), "reference")
    for door in DOORS:
        quiet_session(made(12), door)
    quiet_session(made(13), "reference")
