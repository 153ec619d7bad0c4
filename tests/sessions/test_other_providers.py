"""Tests sessions with a provider beside the CPU's: RoiAlign runs on the requested engine, whatever a provider claims.

The tests run with any other provider of the installed onnxruntime. AzureExecutionProvider, of the common build, claims
no node; OpenVINOExecutionProvider, of onnxruntime-openvino, claims whole graphs, RoiAlign included, and matches the
names of operators' types: with it, the tests also check that the danger exists.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import tolerances
from onnx import TensorProto, helper
from quiet import DOORS, how, quiet_options, quiet_session
from quiet import ENGINES as RUNS
from refusals import EARLY_MODE, OTHER_OPSET, assert_provider_refuses
from scoped_models import branches, with_function

import onnx_roialign
from models import model_of, value
from onnx_roialign import RoiAlignError
from onnx_roialign.sessions import own_provider

PRIVATE = ("private",)  # the names of nodes of the private domain
CPU = "CPUExecutionProvider"
OURS = onnx_roialign.ep_name()
OPENVINO = "OpenVINOExecutionProvider"
OTHERS = [name for name in onnxruntime.get_available_providers() if name not in (CPU, OURS)]
ENGINES = ("native", *RUNS)  # the first is the door that session() takes by itself

takes_nodes = pytest.mark.skipif(OPENVINO not in OTHERS, reason="no provider of this onnxruntime takes RoiAlign")
pytestmark = [
    pytest.mark.skipif(not OTHERS, reason="this onnxruntime has no provider beside the CPU's"),
    pytest.mark.filterwarnings("ignore:RoiAlign runs on the CPU"),
]

_rng = np.random.default_rng(25695)
FEEDS = {
    "X": _rng.standard_normal((2, 3, 9, 11)).astype(np.float32),
    "rois": np.array([[0, 0, 10, 10], [1.5, 2, 17, 12.25], [-6, 1, 40, 8], [3, 3, 3, 3]], np.float32),
    "batch_indices": np.array([0, 1, 1, 0]),
}
WEIGHTS = {"W": _rng.standard_normal((4, 3, 3, 3)) * 0.3, "M": _rng.standard_normal((24, 5)) * 0.3}


def detector(opset, element_type=TensorProto.FLOAT, **attributes):
    """Conv, Relu, RoiAlign, Flatten, MatMul: OpenVINO's provider claims them as one graph."""
    said = {"output_height": 3, "output_width": 2, "sampling_ratio": 0, "spatial_scale": 0.5, "mode": "max"}
    nodes = [
        helper.make_node("Conv", ["X", "W"], ["features"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["features"], ["map"], name="relu"),
        helper.make_node(
            "RoiAlign", ["map", "rois", "batch_indices"], ["pooled"], name="pool", **{**said, **attributes}
        ),
        helper.make_node("Flatten", ["pooled"], ["flat"], name="flatten"),
        helper.make_node("MatMul", ["flat", "M"], ["Y"], name="matmul"),
    ]
    dtype = helper.tensor_dtype_to_np_dtype(element_type)
    weights = [onnx.numpy_helper.from_array(array.astype(dtype), name) for name, array in WEIGHTS.items()]
    inputs = [value("X", element_type, ("N", 3, "H", "W")), value("rois", element_type, ("R", 4))]
    inputs.append(value("batch_indices", TensorProto.INT64, ("R",)))
    return model_of(nodes, inputs, [value("Y", element_type, ("R", 5))], opset, weights=weights)


def lone(opset):
    proto = detector(opset)
    del proto.graph.node[:], proto.graph.initializer[:], proto.graph.output[:]
    node = helper.make_node("RoiAlign", ["X", "rois", "batch_indices"], ["Y"], name="pool", output_height=3, mode="max")
    proto.graph.node.append(node)
    proto.graph.output.append(value("Y", TensorProto.FLOAT, ("R", 3, 3, 1)))
    return proto


def private(opset):
    proto = detector(opset)
    node = proto.graph.node[2]
    (node.name,) = PRIVATE
    node.domain, node.op_type = "onnx_roialign", "RoiAlign"  # the name in older models, which OpenVINO takes for ONNX's
    proto.opset_import.append(helper.make_opsetid("onnx_roialign", 1))
    return proto


def loop(opset):
    """A Loop that pools the same RoIs three times."""
    nodes = [
        helper.make_node("RoiAlign", ["X", "rois", "batch_indices"], ["pooled"], name="pool", output_height=2),
        helper.make_node("Identity", ["go"], ["again"]),
    ]
    body = helper.make_graph(
        nodes,
        "body",
        [value("i", TensorProto.INT64, ()), value("go", TensorProto.BOOL, ())],
        [value("again", TensorProto.BOOL, ()), value("pooled", TensorProto.FLOAT, ("R", 3, 2, 1))],
    )
    proto = lone(opset)
    del proto.graph.node[:], proto.graph.output[:]
    proto.graph.node.append(helper.make_node("Loop", ["times", ""], ["Y"], name="loop", body=body))
    proto.graph.initializer.append(helper.make_tensor("times", TensorProto.INT64, [], [3]))
    proto.graph.output.append(value("Y", TensorProto.FLOAT, (3, "R", 3, 2, 1)))
    return proto


def session(model, engine="native", providers=(*OTHERS, CPU)):
    return quiet_session(model, engine, providers=list(providers))


def on_the_cpu(model, feeds=FEEDS):
    return session(model, providers=[CPU]).run(None, feeds)[0]


def who_runs_what(running):
    """The provider by the name of the node; None before onnxruntime 1.24, which does not report it."""
    ask = getattr(running, "get_provider_graph_assignment_info", None)
    return None if ask is None else {node.name: part.ep_name for part in ask() for node in part.get_nodes()}


KEPT = "sess_options must keep the providers that were added to them, got other ones with onnxruntime 1"


def keeps_providers(engine):
    """Whether options have the providers of their first session for ever: the provider's, before onnxruntime 1.25.1."""
    return engine == "provider" and not own_provider.takes_names()


def assert_ours(running, want, feeds=FEEDS, node="pool"):
    (got,) = running.run(None, feeds)
    largest = max(np.abs(array).max() for array in feeds.values() if array.ndim == 4)
    step = 10 * tolerances.FLOAT32 if want.dtype == np.float32 else 2**-9  # the other nodes are computed elsewhere
    np.testing.assert_allclose(got, want, rtol=0, atol=step * largest)
    names = who_runs_what(running)
    by_provider = OURS in running.get_providers() and node not in PRIVATE
    assert names is None or names[node] == (OURS if by_provider else CPU)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("make", [detector, lone, private])
@pytest.mark.parametrize("opset", [11, 16, 22])
def test_roialign_runs_on_the_engine_beside_another_provider(opset, make, engine):
    proto = make(opset)
    before = proto.SerializeToString(deterministic=True)
    if engine == "provider" and make is private and OPENVINO in OTHERS:
        with pytest.raises(RoiAlignError, match=r"providers must leave RoiAlign to the CPU.*onnx_roialign\.RoiAlign"):
            session(proto, engine)  # gets the model as it is
        return
    assert_ours(session(proto, engine), on_the_cpu(proto), node=proto.graph.node[0 if make is lone else 2].name)
    assert proto.SerializeToString(deterministic=True) == before


@takes_nodes
def test_the_provider_takes_roialign_where_nobody_guards_it():
    """Tests the tests above, which would pass whatever session() did if the provider claimed nothing."""
    proto = detector(16)
    options = quiet_options(session__record_ep_graph_assignment_info="1")
    onnx_roialign.register(options, proto)
    taken = onnxruntime.InferenceSession(proto.SerializeToString(), options, [OPENVINO, CPU])
    assert who_runs_what(taken)["pool"] == OPENVINO
    assert np.abs(taken.run(None, FEEDS)[0] - on_the_cpu(proto)).max() > 0.1
    names = who_runs_what(session(proto))
    assert {names[name] for name in ("conv", "relu", "flatten", "matmul")} == {OPENVINO}


@takes_nodes
@pytest.mark.parametrize(
    "engine", [engine for engine in ENGINES if engine != "provider"]
)  # see below: it takes nothing
def test_the_warning_says_what_the_provider_runs(engine):
    text = f"RoiAlign runs on the CPU, and {OPENVINO} runs other nodes of this model"
    with pytest.warns(UserWarning, match=text):
        session(detector(16), engine)
    quiet = session(detector(16), engine, [CPU])
    with pytest.warns(UserWarning, match=text):
        quiet.set_providers([OPENVINO, CPU])


@takes_nodes
def test_a_lone_roialign_is_not_warned_of(recwarn):
    session(lone(16))
    assert not [one for one in recwarn if "RoiAlign runs on the CPU" in str(one.message)]


@pytest.mark.parametrize("engine", ENGINES)
def test_float16_too(engine):
    proto = detector(16, TensorProto.FLOAT16)
    feeds = {name: array.astype(np.float16) if array.dtype == np.float32 else array for name, array in FEEDS.items()}
    assert_ours(session(proto, engine), on_the_cpu(proto, feeds), feeds)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("condition", "node"), [(True, "deep"), (False, "flat")])
@pytest.mark.parametrize("opset", [11, 16])
def test_nodes_in_the_bodies_of_if_too(opset, condition, node, engine):
    feeds, proto = FEEDS | {"condition": np.array(condition)}, branches(opset)
    if engine == "provider" and opset < 16:
        assert_provider_refuses(proto, EARLY_MODE)
        return
    assert_ours(session(proto, engine), on_the_cpu(proto, feeds), feeds, node)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("opset", [11, 16])
def test_nodes_in_the_body_of_a_loop_too_or_it_is_said_what_to_do(opset, engine):
    proto = loop(opset)
    if OPENVINO not in OTHERS:
        assert_ours(session(proto, engine), on_the_cpu(proto))
        return
    # The provider claims a Loop without reading its body, and fails on any operator there that it does not have.
    text = r"providers must leave RoiAlign to the CPU.*; leave them out, or use engine='builtin' \(.*AnyRoiAlign"
    if engine == "provider":  # ONNX's RoiAlign it has
        text = (
            rf"RoiAlign must run on the requested engine, got a session in which {OPENVINO} runs it; leave {OPENVINO}"
        )
    with pytest.raises(RoiAlignError, match=text):
        session(proto, engine)
    made = session(proto, engine, [CPU])
    with pytest.raises(RoiAlignError, match=KEPT if keeps_providers(engine) else text):
        made.set_providers([OPENVINO, CPU])
    assert_ours(made, on_the_cpu(proto))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("opset", "function_opset"), [(11, 11), (16, 16), (11, 16), (16, 11)])
def test_nodes_in_functions_too(opset, function_opset, engine):
    proto = with_function(opset, function_opset, mode="max")
    if engine == "provider" and opset != function_opset:
        assert_provider_refuses(proto, OTHER_OPSET)
        return
    (got,) = session(proto, engine).run(None, FEEDS)
    np.testing.assert_allclose(got, on_the_cpu(proto), rtol=0, atol=tolerances.FLOAT32 * np.abs(FEEDS["X"]).max())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shared", [False, True])
def test_external_data_is_found_with_any_providers(shared, engine, tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save_model(detector(16), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    want = on_the_cpu(detector(16))
    options = quiet_options() if shared else None
    made = onnx_roialign.session(path, options, **how(engine), providers=[*OTHERS, CPU])
    assert_ours(made, want)
    for providers in ([CPU], [*OTHERS, CPU]):
        if shared and providers == [CPU] and keeps_providers(engine):
            with pytest.raises(RoiAlignError, match=KEPT):
                made.set_providers(providers)
            continue
        made.set_providers(providers)
        assert_ours(made, want)


@pytest.mark.parametrize("engine", ENGINES)
def test_set_providers_keeps_roialign_on_the_engine(engine):
    proto = detector(11)
    want, made = on_the_cpu(proto), session(proto, engine, [CPU])
    for providers in ([*OTHERS, CPU], [CPU], None):
        if providers == [*OTHERS, CPU] and keeps_providers(engine):
            with pytest.raises(RoiAlignError, match=KEPT):
                made.set_providers(providers)
            assert_ours(made, want)
            continue
        made.set_providers(providers)
        assert_ours(made, want)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_error_names_the_node_as_the_model_does(engine):
    with pytest.raises(Exception, match=r"batch_indices must be in \[0, 2\), got 7 at row 2 \(node 'pool'\)"):
        session(detector(16), engine).run(None, FEEDS | {"batch_indices": np.array([0, 1, 7, 0])})
    with pytest.raises(RoiAlignError, match=r"sampling_ratio must be in \[0, 16384\], got -1 \(node 'pool'\)"):
        session(detector(16, sampling_ratio=-1), engine)


@pytest.mark.skipif(not hasattr(onnxruntime.SessionOptions, "add_provider"), reason="options have no providers yet")
def test_register_refuses_options_that_providers_were_added_to():
    options = quiet_options()
    options.add_provider(OTHERS[0], {})
    text = r"sess_options must have no providers of their own.*; use onnx_roialign\.session\(\)$"
    with pytest.raises(RoiAlignError, match=text):
        onnx_roialign.register(options, detector(16))
    assert_ours(onnx_roialign.session(detector(16), options, providers=None), on_the_cpu(detector(16)))


# ---- the order of providers ----


needs_provider = pytest.mark.skipif("provider" not in DOORS, reason="this onnxruntime takes no provider from outside")


@takes_nodes
@needs_provider
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_what_our_provider_has_first_no_other_takes(mode):
    proto = detector(16, mode=mode)
    made = session(proto, "provider", [OURS, OPENVINO, CPU])
    names = who_runs_what(made)
    # OpenVINO's provider would take the graph as one node, so onnxruntime gives it nothing of one with a node of ours.
    assert names["pool"] == OURS
    assert {names[name] for name in ("conv", "relu", "flatten", "matmul")} <= {OPENVINO, CPU}
    assert_ours(made, on_the_cpu(proto))


@takes_nodes
@needs_provider
def test_what_another_provider_has_first_is_its_own_and_said():
    proto = detector(16)
    text = rf"{OPENVINO} is named before {OURS} and runs RoiAlign itself \(node 'pool'\); .* from 0, .*"
    with pytest.warns(UserWarning, match=text):
        made = session(proto, "provider", [OPENVINO, OURS, CPU])
    assert who_runs_what(made)["pool"] == OPENVINO
    assert np.abs(made.run(None, FEEDS)[0] - on_the_cpu(proto)).max() > 0.1  # the maximum that it computes


@takes_nodes
@needs_provider
def test_a_loop_that_another_provider_takes_unseen_is_refused():
    text = rf"RoiAlign must run on the requested engine, got a session in which {OPENVINO} runs it.*\(node 'loop'\)"
    with pytest.raises(RoiAlignError, match=text):
        session(loop(16), "provider", [OURS, OPENVINO, CPU])
    text = "providers must leave RoiAlign to the CPU, got providers with which onnxruntime cannot load the model, which"
    with pytest.raises(RoiAlignError, match=text):  # OpenVINO's looks for X in the body alone
        session(loop(16), "provider", [OPENVINO, OURS, CPU])
