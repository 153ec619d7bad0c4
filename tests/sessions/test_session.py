"""session() and register(): every kind of model, the opset of every scope, engines side by side, and clear refusals."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxruntime_extensions
import pytest
from closeness import assert_close
from onnx import TensorProto, helper
from paths import SUPPORT
from private_models import float_kinds, private_model, private_node
from session_models import (
    BATCH_INDICES,
    FEEDS,
    ROIS,
    SHAPE,
    TYPES,
    X,
    branches,
    expected,
    make_model,
    model,
    quiet_options,
    roi_align_node,
    run,
    value,
    with_function,
)

import onnx_roialign
from onnx_roialign import NativeLibraryError, RoiAlignError
from onnx_roialign.engines import native
from onnx_roialign.onnx_model import file as model_file
from onnx_roialign.sessions import python_op

ENGINES = ("native", "reference", "builtin")


def quiet_session(proto, engine="native", **kwargs):
    return onnx_roialign.session(proto, quiet_options(), engine=engine, **kwargs)


# ---- where the model comes from ----


@pytest.fixture
def external(tmp_path) -> Path:
    """A model file whose X lies in a file beside it, in a folder that is not the current one."""
    proto = model(16)
    del proto.graph.input[0]
    proto.graph.initializer.append(onnx.numpy_helper.from_array(X, "X"))
    path = tmp_path / "model.onnx"
    onnx.save_model(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").stat().st_size >= X.nbytes
    return path


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["str", "path", "bytes", "proto"])
def test_a_model_is_a_path_or_bytes_or_a_proto(kind, engine, tmp_path):
    proto, path = model(16), tmp_path / "model.onnx"
    onnx.save_model(proto, path)
    source = {"str": str(path), "path": path, "bytes": proto.SerializeToString(), "proto": proto}[kind]
    assert_close(run(quiet_session(source, engine)), expected(16))


@pytest.mark.parametrize("engine", ENGINES)
def test_external_data_is_found_beside_the_model(external, engine):
    session = quiet_session(external, engine)
    assert_close(run(session, {"rois": ROIS, "batch_indices": BATCH_INDICES}), expected(16))


def test_external_data_of_an_earlier_model_does_not_mislead_the_next(external, tmp_path):
    shared, other = quiet_options(), tmp_path / "other"
    other.mkdir()
    onnx.save_model(onnx.load(external), other / "model.onnx", save_as_external_data=True, location="weights.bin")
    onnx_roialign.session(other / "model.onnx", shared, engine="reference")
    for file in other.iterdir():
        file.unlink()
    for engine in ("native", "reference"):
        session = onnx_roialign.session(external, shared, engine=engine)
        assert_close(run(session, {"rois": ROIS, "batch_indices": BATCH_INDICES}), expected(16))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_proto_over_the_limit_of_protobuf_says_to_use_a_path(engine, monkeypatch):
    monkeypatch.setattr(model_file, "PROTOBUF_LIMIT", 100)
    with pytest.raises(
        RoiAlignError, match=r"model must be a path where it is over 2 GB, got a ModelProto of \d+ bytes"
    ):
        quiet_session(model(16), engine)


def test_a_model_of_another_type_is_refused():
    with pytest.raises(RoiAlignError, match="model must be a path, bytes or a ModelProto, got int"):
        quiet_session(3)


@pytest.mark.parametrize("engine", ENGINES)
def test_further_arguments_reach_onnxruntime(engine):
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        quiet_session(model(16), engine, disabled_optimizers=3)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_callers_model_is_left_as_it_is(engine):
    proto = model(16)
    before = proto.SerializeToString(deterministic=True)
    quiet_session(proto, engine)
    assert proto.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("ending", ["onnx", "onnxtxt", "textproto", "json"])
def test_a_text_format_loads_with_every_engine(ending, engine, tmp_path):
    path = tmp_path / f"model.{ending}"
    onnx.save_model(model(16), path)
    assert_close(run(quiet_session(path, engine)), expected(16))


@pytest.mark.parametrize("shared", [False, True])
def test_the_reference_prints_nothing_where_the_model_comes_from_a_path(shared, external, capfd):
    options = onnxruntime.SessionOptions() if shared else None
    session = onnx_roialign.session(external, options, engine="reference")
    session.set_providers(["CPUExecutionProvider"])
    assert_close(run(session, {"rois": ROIS, "batch_indices": BATCH_INDICES}), expected(16))
    assert "already exists" not in capfd.readouterr().err


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_set_providers_keeps_the_meaning_where_options_are_shared(engine):
    shared = quiet_options()
    sessions = {opset: onnx_roialign.session(model(opset), shared, engine=engine) for opset in (16, 11)}
    for opset, session in sessions.items():
        session.set_providers(["CPUExecutionProvider"])
        assert_close(run(session), expected(opset))


def test_register_refuses_a_second_meaning_on_the_same_options():
    shared = quiet_options()
    onnx_roialign.register(shared, model(16))
    onnx_roialign.register(shared, model(22))
    with pytest.raises(
        RoiAlignError, match="got options registered for opset 16 and a model of opset 11; pass new ones"
    ):
        onnx_roialign.register(shared, model(11))
    assert_close(run(onnx_roialign.session(model(11), shared)), expected(11))
    assert_close(run(onnxruntime.InferenceSession(model(16).SerializeToString(), shared)), expected(16))


def test_a_model_that_says_every_mode_tells_no_opset():
    """So that the options refuse another model's node without the mode, instead of reading it by this one's opset."""
    options = quiet_options()
    onnx_roialign.register(options, model(16, coordinate_transformation_mode="half_pixel"))
    with pytest.raises(
        Exception, match="coordinate_transformation_mode must be set where the model's opset is unknown"
    ):
        onnxruntime.InferenceSession(model(11).SerializeToString(), options)


# ---- graphs in graphs, functions, opsets ----


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("opset", [11, 16])
def test_nodes_in_the_bodies_of_if_are_run_too(opset, engine):
    session = quiet_session(branches(opset), engine)
    assert_close(run(session, FEEDS | {"condition": np.array(True)}), expected(16, "output_half_pixel"))
    assert_close(run(session, FEEDS | {"condition": np.array(False)}), expected(opset))


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(("opset", "function_opset"), [(11, 11), (16, 16), (11, 16), (16, 11)])
def test_a_function_means_what_its_own_opset_says(opset, function_opset, engine):
    assert_close(run(quiet_session(with_function(opset, function_opset), engine)), expected(function_opset))


@pytest.mark.parametrize(("opset", "function_opset"), [(11, 16), (16, 11)])
def test_opsets_that_disagree_on_nodes_without_the_mode_are_refused_where_the_model_stays_as_it_is(
    opset, function_opset
):
    text = rf"got nodes without it at opsets {opset} and {function_opset}; write the attribute .* \(node 'inner'\)"
    with pytest.raises(RoiAlignError, match=text):
        onnx_roialign.register(quiet_options(), with_function(opset, function_opset, outer=True))


def test_opsets_may_disagree_where_the_mode_is_written():
    proto = with_function(11, 16, outer=True, coordinate_transformation_mode="half_pixel")
    assert_close(run(quiet_session(proto)), expected(16))


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_session_keeps_both_meanings_where_opsets_disagree(engine):
    proto = with_function(11, 16, outer=True)
    proto.graph.output.append(value("Z", TensorProto.FLOAT))
    inner, outer = quiet_session(proto, engine).run(None, FEEDS)
    assert_close(inner, expected(16))
    assert_close(outer, expected(11))


def test_a_function_attribute_reaches_the_reference():
    node = roi_align_node("x", "r", "b", "y", name="inner")
    referring = onnx.AttributeProto(name="mode", type=onnx.AttributeProto.STRING, ref_attr_name="how")
    node.attribute.append(referring)
    imports = [helper.make_opsetid("", 16)]
    function = helper.make_function("local", "Pool", ["x", "r", "b"], ["y"], [node], imports, ["how"])
    call = helper.make_node("Pool", ["X", "rois", "batch_indices"], ["Y"], domain="local", how="max")
    proto = make_model([call], 16, functions=(function,), domains=("local",))
    for engine in ("native", "reference"):
        assert_close(run(quiet_session(proto, engine)), expected(16, mode="max"))


@pytest.mark.parametrize("engine", ["native", "reference"])
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


# ---- engines side by side ----


def test_three_engines_live_in_one_process():
    sessions = [quiet_session(model(16), engine) for engine in (*ENGINES, *ENGINES)]
    for session in (*sessions, *reversed(sessions)):
        assert_close(run(session), expected(16))


@pytest.mark.parametrize(("first", "second"), [("native", "reference"), ("reference", "native"), ("native", "native")])
def test_one_options_object_serves_several_sessions_of_different_opsets(first, second):
    shared = quiet_options()
    sessions = [
        (onnx_roialign.session(model(opset), shared, engine=engine), opset)
        for engine, opset in ((first, 10), (second, 16), (first, 16), (second, 10))
    ]
    for session, opset in sessions:
        assert_close(run(session), expected(opset))


def test_builtin_refuses_options_that_carry_the_library():
    shared = quiet_options()
    onnx_roialign.session(model(16), shared)
    with pytest.raises(
        RoiAlignError, match="sess_options must not carry onnx_roialign's library with engine 'builtin'"
    ):
        onnx_roialign.session(model(16), shared, engine="builtin")


def test_builtin_is_onnxruntimes_own_kernel():
    """Told by what it lets pass: a mode that ONNX does not have."""
    proto = model(16, coordinate_transformation_mode="asymmetric")
    assert_close(run(quiet_session(proto, "builtin")), expected(11))  # it takes any but half_pixel for no shift


@pytest.mark.parametrize("call", [onnx_roialign.register, lambda options, proto: onnx_roialign.session(proto, options)])
def test_the_work_is_cut_for_the_threads_of_the_session(call):
    one, default = quiet_options(), quiet_options()
    one.intra_op_num_threads = 1
    for options in (one, default):
        call(options, model(16))
    key = "onnx_roialign.threads"
    assert one.get_session_config_entry(key) == "1"
    assert int(default.get_session_config_entry(key)) >= 1


# onnxruntime 1.20 has no such option in Python.
GLOBAL_POOL = pytest.mark.skipif(
    not hasattr(onnxruntime.SessionOptions, "use_per_session_threads"), reason="this onnxruntime has no global pool"
)


@GLOBAL_POOL
def test_work_on_a_pool_that_is_not_the_sessions_is_not_cut_for_the_session():
    pooled = quiet_options()
    pooled.use_per_session_threads = False
    onnx_roialign.register(pooled, model(16))
    key = "onnx_roialign.threads"
    with pytest.raises(RuntimeError):  # there is no such entry: the pool is not the session's
        pooled.get_session_config_entry(key)


def test_register_serves_those_who_build_their_own_session():
    for opset in (10, 16):
        proto, chosen = model(opset), quiet_options()
        onnx_roialign.register(chosen, proto)
        assert_close(run(onnxruntime.InferenceSession(proto.SerializeToString(), chosen)), expected(opset))


def test_an_unknown_engine_is_refused():
    with pytest.raises(RoiAlignError, match="engine must be one of native, reference, builtin, got 'gpu'"):
        quiet_session(model(16), "gpu")


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("providers", [None, onnxruntime.get_available_providers(), [("CPUExecutionProvider", {})]])
def test_providers_that_take_nothing_are_not_warned_of(engine, providers, recwarn):
    assert_close(run(quiet_session(model(16), engine, providers=providers)), expected(16))
    assert [str(one.message) for one in recwarn] == []


@pytest.mark.parametrize("engine", ENGINES)
def test_options_of_the_providers_reach_onnxruntime(engine, capsys):
    arena = {"arena_extend_strategy": "kSameAsRequested"}
    for how in (
        {"providers": [("CPUExecutionProvider", arena)]},
        {"providers": ["CPUExecutionProvider"], "provider_options": [arena]},
    ):
        assert_close(run(quiet_session(model(16), engine, **how)), expected(16))
    said = ""  # onnxruntime 1.20 prints the error and goes on without the options, whatever enable_fallback says
    try:
        quiet_session(model(16), engine, provider_options=[{}, {}], enable_fallback=0)
    except ValueError as error:
        said = str(error)
    assert "same length" in said + capsys.readouterr().out


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("providers", "text"),
    [
        ("CPUExecutionProvider", r"providers must be a list of names, got 'CPUExecutionProvider'; pass \['CPUE"),
        (7, "providers must be a list of names, got int"),
        ([7], r"providers must be names or \(name, options\) pairs, got 7"),
        ([("CPUExecutionProvider", {}, 1)], r"providers must be names or \(name, options\) pairs, got \('CPUE"),
    ],
)
def test_providers_that_are_no_list_are_refused_in_one_line(providers, text, engine):
    with pytest.raises(RoiAlignError, match=text):
        quiet_session(model(16), engine, providers=providers)


def test_an_onnxruntime_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr(onnxruntime, "__version__", "1.19.2")
    for engine in ("native", "reference"):
        with pytest.raises(
            NativeLibraryError, match=r"onnxruntime must be 1\.20 or newer, got 1\.19\.2: pip install -U"
        ):
            quiet_session(model(16), engine)
    with pytest.raises(NativeLibraryError, match=r"onnxruntime must be 1\.20 or newer"):
        onnx_roialign.register(quiet_options(), model(16))


def test_a_missing_library_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(native.importlib.resources, "files", lambda _: tmp_path)
    monkeypatch.setattr(native, "_installed", lambda _: "")
    with pytest.raises(NativeLibraryError, match=r"the compiled library is missing.*C\+\+17 compiler and CMake"):
        quiet_session(model(16))
    assert_close(run(quiet_session(model(16), "reference")), expected(16))


def test_a_library_that_does_not_load_says_so(monkeypatch, tmp_path):
    broken = tmp_path / Path(native.library_path()).name
    broken.write_bytes(b"not a library")
    monkeypatch.setattr(native, "library_path", lambda: str(broken))
    native._library.cache_clear()
    try:
        with pytest.raises(NativeLibraryError, match="the compiled library cannot be loaded"):
            native.active_isa()
    finally:
        native._library.cache_clear()


# ---- the Python op ----


def test_options_with_onnxruntime_extensions_already_are_refused_by_the_reference():
    quiet_session(model(16), "reference")  # declares the ops: nothing that was registered later lacks them
    taken = quiet_options()
    taken.register_custom_ops_library(onnxruntime_extensions.get_library_path())
    with pytest.raises(
        RoiAlignError,
        match=r"sess_options must load a model, got options that load none \(.*Conflicting.*\); engine 'reference' "
        "registers onnxruntime-extensions' library itself: pass options without it",
    ):
        onnx_roialign.session(model(16), taken, engine="reference")


@GLOBAL_POOL
def test_options_for_a_global_thread_pool_that_is_not_there_are_not_blamed_on_a_library():
    pooled = quiet_options()
    pooled.use_per_session_threads = False
    with pytest.raises(RoiAlignError, match=r"options that load none \(.*per session threadpools.*\)$"):
        onnx_roialign.session(model(16), pooled, engine="reference")


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
from session_models import FEEDS, model, quiet_options
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
        rf"{name} must be of a type that opset 12 can cast on engine 'reference', got bfloat16; engine 'native' takes"
    )
    with pytest.raises(RoiAlignError, match=rf"{text} it \(node 'pool'\)"):
        quiet_session(made(12), "reference")
    quiet_session(made(12), "native")
    quiet_session(made(13), "reference")
