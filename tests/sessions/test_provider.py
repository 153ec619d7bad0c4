"""The execution provider in sessions: what it claims, what it leaves alone, and when `session()` takes it by itself."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from calls import BATCH_INDICES, FEEDS, ROIS, X, expected
from closeness import assert_close
from installed_versions import OPSETS, newest_opset
from onnx import TensorProto, helper
from quiet import DOORS, quiet_options, quiet_session, run
from scoped_models import branches, with_function

import onnx_roialign
from models import DTYPES, TYPES, cast_model, model, roi_align_node
from onnx_roialign import NativeLibraryError, RoiAlignError
from onnx_roialign.sessions import own_provider
from onnx_roialign.sessions.by_provider import ProviderSession

NAME = onnx_roialign.ep_name()
CPU = "CPUExecutionProvider"
OTHERS = [name for name in onnxruntime.get_available_providers() if name != NAME]

needs_provider = pytest.mark.skipif("provider" not in DOORS, reason="this onnxruntime takes no provider from outside")


def who_runs_what(session):
    """Provider by the name of the node."""
    return {
        node.name: part.ep_name for part in session.get_provider_graph_assignment_info() for node in part.get_nodes()
    }


def by_both(proto, feeds=FEEDS):
    """The outputs of a model through the one door and the other."""
    return [quiet_session(proto, door).run(None, feeds) for door in ("provider", "custom_op")]


def assert_same_bits(proto, feeds=FEEDS):
    for one, other in zip(*by_both(proto, feeds), strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


# ---- without it ----


def test_the_names_are_those_that_plugins_have():
    assert onnx_roialign.ep_names() == [NAME] == ["RoiAlignExecutionProvider"]


def test_an_unknown_door_is_refused():
    for call in (onnx_roialign.session, lambda proto, **door: onnx_roialign.register(quiet_options(), proto, **door)):
        with pytest.raises(RoiAlignError, match=r"door must be one of auto, provider, custom_op, got 'window'$"):
            call(model(16), door="window")


@pytest.mark.parametrize("engine", ["reference", "builtin"])
def test_a_door_is_one_of_the_compiled_library(engine):
    with pytest.raises(RoiAlignError, match=f"door must be 'auto' with engine '{engine}', got 'provider'$"):
        onnx_roialign.session(model(16), engine=engine, door="provider")


@pytest.mark.parametrize("version", ["1.20.0", "1.23.2", "1.24.0"])
def test_an_onnxruntime_that_is_too_old_is_named_and_auto_takes_the_custom_op(version, monkeypatch):
    monkeypatch.setattr(onnxruntime, "__version__", version)
    text = rf"onnxruntime must be 1\.24\.1 or newer for door 'provider', got {version}: pip install -U onnxruntime, or"
    with pytest.raises(NativeLibraryError, match=text):
        quiet_session(model(16), door="provider")
    with pytest.raises(NativeLibraryError, match=text):
        onnx_roialign.register(quiet_options(), model(16), door="provider")
    session = quiet_session(model(16))
    assert NAME not in session.get_providers()
    assert_close(run(session), expected(16))


# ---- what it claims ----


@needs_provider
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("opset", OPSETS)
def test_a_roialign_runs_on_it_with_the_bits_of_the_custom_op(opset, dtype):
    proto = cast_model(opset, TYPES[dtype]) if dtype == "bfloat16" else model(opset, element_type=TYPES[dtype])
    feeds = FEEDS
    if dtype != "bfloat16":
        feeds = {"X": X.astype(dtype), "rois": ROIS.astype(dtype), "batch_indices": BATCH_INDICES}
    elif opset < 22:
        text = rf"X must be of a type that RoiAlign has at opset {opset} with door 'provider', got bfloat16; use"
        with pytest.raises(Exception, match=text if opset >= 13 else "bfloat16"):  # which Cast has since 13
            quiet_session(proto, "provider")
        return
    session = quiet_session(proto, "provider")
    assert who_runs_what(session)["pool"] == NAME
    assert session.get_providers() == [NAME, CPU]
    assert_same_bits(proto, feeds)


# ---- when `session()` takes it ----


def constants():
    proto = model(16)
    del proto.graph.input[:]
    for name, array in FEEDS.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return proto


REFUSED = {
    "function of another opset": (
        lambda: with_function(16, 11),
        {},
        r"RoiAlign must be of the model's opset 16 with door 'provider', got a function of opset 11; .*"
        r"\(node 'inner'\)",
    ),
    "mode before the opset that has it": (
        lambda: model(11, coordinate_transformation_mode="half_pixel"),
        {},
        r"coordinate_transformation_mode must be left out below opset 16 with door 'provider', got it at opset 11; use "
        r"door='custom_op' \(node 'pool'\)",
    ),
    "bfloat16 before the opset that has it": (
        lambda: cast_model(21, TensorProto.BFLOAT16),
        {},
        r"X must be of a type that RoiAlign has at opset 21 with door 'provider', got bfloat16; use door='custom_op' "
        r"\(node 'pool'\)$",
    ),
    "constants": (
        constants,
        {"X": None, "rois": None, "batch_indices": None},
        r"RoiAlign must have an input that runs may change with door 'provider', got constants, .* \(node 'pool'\)",
    ),
}


@needs_provider
@pytest.mark.parametrize("case", REFUSED)
def test_what_would_not_mean_the_same_takes_the_custom_op(case):
    make, left_out, text = REFUSED[case]
    feeds = {name: array for name, array in FEEDS.items() if name not in left_out}
    with pytest.raises(RoiAlignError, match=text):
        quiet_session(make(), "provider")
    with pytest.raises(RoiAlignError, match=text):
        onnx_roialign.register(quiet_options(), make(), door="provider")
    session = quiet_session(make())
    assert NAME not in session.get_providers()
    (got,), (want,) = session.run(None, feeds), quiet_session(make(), "custom_op").run(None, feeds)
    assert got.tobytes() == want.tobytes()


@needs_provider
def test_a_provider_that_is_named_is_never_left_out():
    feeds = {name: array for name, array in FEEDS.items() if name not in REFUSED["constants"][1]}
    with pytest.raises(RoiAlignError, match=r"got constants, .* use door='custom_op' \(node 'pool'\)"):
        quiet_session(constants(), providers=[NAME, CPU])
    text = f"providers must name {NAME} only with engine 'native' and door 'provider' or 'auto', got it in another"
    for engine in ("custom_op", "reference", "builtin"):
        with pytest.raises(RoiAlignError, match=text):
            quiet_session(model(16), engine, providers=[(NAME, {}), CPU])
    session = quiet_session(constants(), "custom_op")
    with pytest.raises(RoiAlignError, match=text):
        session.set_providers([NAME, CPU])
    assert session.run(None, feeds)


@needs_provider
@pytest.mark.parametrize("engine", ["native", "custom_op", "reference", "builtin"])
def test_a_provider_that_is_listed_behind_the_cpus_is_no_wish(engine):
    """As `onnxruntime.get_available_providers()` lists it."""
    own_provider.devices()
    for given in ({"providers": [CPU, NAME]}, {"providers": [CPU, NAME], "provider_options": [{}, {}]}):
        session = quiet_session(model(16), engine, **given)
        by_provider = engine == "native" and own_provider.takes_names()
        assert session.get_providers() == ([NAME, CPU] if by_provider else [CPU])
        assert_close(run(session), expected(16))


@needs_provider
def test_auto_takes_the_door_that_suits_the_providers():
    session = onnx_roialign.session(model(16))
    for providers, other in ([CPU], False), ([NAME, CPU], False), (OTHERS, True), ([CPU], False):
        session.set_providers(providers)
        assert (NAME in session.get_providers()) != other
        assert_close(run(session), expected(16))


@needs_provider
def test_builtin_refuses_options_that_have_it():
    options = quiet_options()
    onnx_roialign.register(options, model(16), door="provider")
    with pytest.raises(RoiAlignError, match="must not carry onnx_roialign's library with engine 'builtin'"):
        onnx_roialign.session(model(16), options, engine="builtin")


@needs_provider
def test_auto_takes_it_where_the_model_means_the_same():
    for opset in OPSETS:
        session = onnx_roialign.session(model(opset))
        assert session.get_providers() == [NAME, CPU]
        assert who_runs_what(session) == {"pool": NAME}
        # An older onnxruntime would add it to the options, which could not be used for anything else.
        assert (NAME in quiet_session(model(opset)).get_providers()) == own_provider.takes_names()


@needs_provider
def test_constants_that_only_a_body_sees_or_a_shape_gives_are_found():
    deep, flat = constants(), model(16)
    flat.graph.input.append(helper.make_tensor_value_info("condition", TensorProto.BOOL, ()))
    body = helper.make_graph(
        [roi_align_node("X", "rois", "batch_indices", "inner")], "body", [], [deep.graph.output[0]]
    )
    body.output[0].name = "inner"
    del deep.graph.node[:]
    deep.graph.input.append(flat.graph.input[-1])
    deep.graph.node.append(helper.make_node("If", ["condition"], ["Y"], then_branch=body, else_branch=body))
    with pytest.raises(RoiAlignError, match="got constants"):
        quiet_session(deep, "provider")
    shaped = constants()
    shaped.graph.input.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, [2, 5, 9, 11]))
    shaped.graph.initializer.pop(0)
    shaped.graph.node.insert(0, helper.make_node("Shape", ["image"], ["shape"]))
    shaped.graph.node.insert(1, helper.make_node("ConstantOfShape", ["shape"], ["X"]))
    with pytest.raises(RoiAlignError, match="got constants"):
        quiet_session(shaped, "provider")


@needs_provider
def test_an_initializer_that_a_run_may_replace_is_no_constant():
    proto = constants()
    proto.graph.input.append(helper.make_tensor_value_info("X", TensorProto.FLOAT, X.shape))
    session = quiet_session(proto, "provider")
    np.testing.assert_array_equal(run(session, {"X": 2 * X}), 2 * run(session, {}))


@needs_provider
def test_options_that_carry_the_custom_op_stay_with_it():
    options = quiet_options()
    onnx_roialign.session(model(10), options, door="custom_op")
    text = "sess_options must not carry onnx_roialign's custom op with door 'provider', got options that it was"
    with pytest.raises(RoiAlignError, match=text):
        onnx_roialign.session(model(16), options, door="provider")
    with pytest.raises(RoiAlignError, match=text):
        onnx_roialign.register(options, model(16), door="provider")
    assert_close(run(onnx_roialign.session(model(16), options)), expected(16))


# ---- register ----


@needs_provider
def test_register_adds_it_to_options_which_then_serve_models_of_every_opset():
    options = quiet_options(session__record_ep_graph_assignment_info="1")
    for opset in (10, 16, newest_opset()):
        proto = model(opset)
        for _ in range(2):
            onnx_roialign.register(options, proto, door="provider")
        session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
        assert who_runs_what(session) == {"pool": NAME}
        assert_close(run(session), expected(opset))


@needs_provider
def test_by_itself_register_takes_the_door_that_stays_whatever_providers_a_session_is_given():
    proto, with_provider = model(16, mode="max"), quiet_options(session__record_ep_graph_assignment_info="1")
    onnx_roialign.register(with_provider, proto, door="provider")
    with pytest.warns(UserWarning, match="providers"):
        dropped = onnxruntime.InferenceSession(proto.SerializeToString(), with_provider, providers=[CPU])
    assert who_runs_what(dropped) == {"pool": CPU}
    options, asymmetric = quiet_options(), model(16, coordinate_transformation_mode="asymmetric")
    onnx_roialign.register(options, proto)
    with pytest.raises(Exception, match="coordinate_transformation_mode must be 'half_pixel' or"):  # ours is asked
        onnxruntime.InferenceSession(asymmetric.SerializeToString(), options, providers=[CPU])


@needs_provider
def test_registered_options_serve_session_too():
    options = quiet_options()
    onnx_roialign.register(options, model(16), door="provider")
    for providers in (None, ["CPUExecutionProvider"]):
        session = onnx_roialign.session(model(16), options, door="provider", providers=providers)
        assert who_runs_what(session) == {"pool": NAME}
    assert_close(run(onnx_roialign.session(model(16), options, providers=None)), expected(16))


@needs_provider
def test_options_with_providers_of_their_own_are_refused():
    options = quiet_options()
    options.add_provider(CPU, {})
    text = "sess_options must have no providers of their own with door 'provider', got options that providers were"
    with pytest.raises(RoiAlignError, match=text):
        onnx_roialign.session(model(16), options, door="provider")
    with pytest.raises(RoiAlignError, match=text):
        onnx_roialign.register(options, model(16), door="provider")


# ---- options of the provider ----


@needs_provider
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"threads": "many"}, r"ep\.roialignexecutionprovider\.threads must be an integer, got 'many'"),
        ({"threads": "-1"}, r"ep\.roialignexecutionprovider\.threads must be in \[0, 1024\], got -1"),
        ({"isa": "mmx"}, r"ep\.roialignexecutionprovider\.isa must be one of .*, got 'mmx'"),
        ({"fuse": "yes"}, r"ep\.roialignexecutionprovider\.fuse must be '0' or '1', got 'yes'"),
        ({"thread": "1"}, "an option of RoiAlignExecutionProvider must be one of fuse, isa, threads, got 'thread'"),
    ],
)
def test_an_option_that_it_does_not_have_is_refused(given, text):
    with pytest.raises(Exception, match=text):
        quiet_session(model(16), door="provider", providers=[(NAME, given), CPU])


@needs_provider
@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([{}, {}], "provider_options must have the same length as providers, got 2 for 1$"),
        ([3], r"provider_options must be a list of dicts, got \[3\]; pass one per provider$"),
        (3, "provider_options must be a list of dicts, got 3; pass one per provider$"),
    ],
)
def test_options_that_do_not_fit_the_providers_are_refused(given, text):
    with pytest.raises(RoiAlignError, match=text):
        quiet_session(model(16), "provider", provider_options=given)


@needs_provider
def test_its_options_change_no_result():
    want = run(quiet_session(model(16), "custom_op"))
    for given in ({"threads": "3"}, {"threads": "1", "isa": onnx_roialign.native.active_isa()}):
        np.testing.assert_array_equal(
            run(quiet_session(model(16), door="provider", providers=[(NAME, given), CPU])), want
        )


# ---- in a session ----


@needs_provider
def test_another_provider_of_onnxruntimes_goes_before_it_where_it_is_named_first():
    with pytest.warns(UserWarning, match=rf"{CPU} is named before {NAME} and runs RoiAlign itself \(node 'pool'\)"):
        session = quiet_session(model(16), door="provider", providers=[CPU, NAME])
    assert who_runs_what(session) == {"pool": CPU}
    if newest_opset() >= 22:  # for which the CPU's provider has no kernel
        assert who_runs_what(quiet_session(model(22), door="provider", providers=[CPU, NAME])) == {"pool": NAME}


@needs_provider
def test_a_session_in_which_another_provider_runs_a_roialign_is_refused(monkeypatch):
    """As where onnxruntime only logs that the provider failed, and goes on without it."""
    monkeypatch.setattr(ProviderSession, "_handed_over", lambda *_: ([CPU], None))
    with pytest.raises(
        RoiAlignError,
        match=rf"RoiAlign must run on the requested engine, got a session in which {CPU} runs it.*\(node 'pool'\)",
    ):
        quiet_session(model(16), "provider")


@needs_provider
def test_a_branch_at_opset_11_and_16_runs_on_it():
    for condition in (True, False):
        assert_same_bits(branches(16), FEEDS | {"condition": np.array(condition)})
