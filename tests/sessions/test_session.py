"""Tests session() and register(): all kinds of models, the opset of every scope, engines side by side, and errors."""

from __future__ import annotations

import itertools
from pathlib import Path

import onnx
import onnxruntime
import pytest
from calls import BATCH_INDICES, ROIS, X, expected
from closeness import assert_close
from installed_versions import GLOBAL_POOL
from quiet import DOORS, ENGINES, how, quiet_options, quiet_session, run

import onnx_roialign
from models import model
from onnx_roialign import NativeLibraryError, RoiAlignError
from onnx_roialign.engines import installation, native
from onnx_roialign.onnx_model import file as model_file

ALL = (*ENGINES, "builtin")


# ---- sources of the model ----


@pytest.fixture
def external(tmp_path) -> Path:
    """A model file whose X lies in a separate file, in a folder that is not the current one."""
    proto = model(16)
    del proto.graph.input[0]
    proto.graph.initializer.append(onnx.numpy_helper.from_array(X, "X"))
    path = tmp_path / "model.onnx"
    onnx.save_model(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").stat().st_size >= X.nbytes
    return path


@pytest.mark.parametrize("engine", ALL)
@pytest.mark.parametrize("kind", ["str", "path", "bytes", "proto"])
def test_a_model_is_a_path_or_bytes_or_a_proto(kind, engine, tmp_path):
    proto, path = model(16), tmp_path / "model.onnx"
    onnx.save_model(proto, path)
    source = {"str": str(path), "path": path, "bytes": proto.SerializeToString(), "proto": proto}[kind]
    assert_close(run(quiet_session(source, engine)), expected(16))


@pytest.mark.parametrize("engine", ALL)
def test_external_data_is_found_beside_the_model(external, engine):
    session = quiet_session(external, engine)
    assert_close(run(session, {"rois": ROIS, "batch_indices": BATCH_INDICES}), expected(16))


@pytest.mark.parametrize("engine", ENGINES)
def test_external_data_of_an_earlier_model_does_not_mislead_the_next(engine, external, tmp_path):
    shared, other = quiet_options(), tmp_path / "other"
    other.mkdir()
    onnx.save_model(onnx.load(external), other / "model.onnx", save_as_external_data=True, location="weights.bin")
    onnx_roialign.session(other / "model.onnx", shared, engine="reference")
    for file in other.iterdir():
        file.unlink()
    session = onnx_roialign.session(external, shared, **how(engine))
    assert_close(run(session, {"rois": ROIS, "batch_indices": BATCH_INDICES}), expected(16))


@pytest.mark.parametrize("engine", ALL)
def test_a_proto_over_the_limit_of_protobuf_says_to_use_a_path(engine, monkeypatch):
    monkeypatch.setattr(model_file, "PROTOBUF_LIMIT", 100)
    with pytest.raises(
        RoiAlignError, match=r"model must be a path where it is over 2 GB, got a ModelProto of \d+ bytes"
    ):
        quiet_session(model(16), engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_of_another_type_is_refused(engine):
    with pytest.raises(RoiAlignError, match="model must be a path, bytes or a ModelProto, got int"):
        quiet_session(3, engine)


@pytest.mark.parametrize("engine", ALL)
def test_further_arguments_reach_onnxruntime(engine):
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        quiet_session(model(16), engine, disabled_optimizers=3)


@pytest.mark.parametrize("engine", ALL)
def test_the_callers_model_is_left_as_it_is(engine):
    proto = model(16)
    before = proto.SerializeToString(deterministic=True)
    quiet_session(proto, engine)
    assert proto.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("engine", ALL)
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


@pytest.mark.parametrize("engine", ["native", *ENGINES])
def test_set_providers_keeps_the_meaning_where_options_are_shared(engine):
    shared = quiet_options()
    sessions = {opset: onnx_roialign.session(model(opset), shared, **how(engine)) for opset in (16, 11)}
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
    """The options then refuse another model's node without the mode, instead of giving it this model's opset."""
    options = quiet_options()
    onnx_roialign.register(options, model(16, coordinate_transformation_mode="half_pixel"))
    with pytest.raises(
        Exception, match="coordinate_transformation_mode must be set where the model's opset is unknown"
    ):
        onnxruntime.InferenceSession(model(11).SerializeToString(), options)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_that_onnxruntime_refuses_writes_no_file_of_the_options(engine, tmp_path):
    """To see whether the options are the cause, another model is loaded with them."""
    options, proto, saved = quiet_options(), model(16), str(tmp_path / "optimised.onnx")
    options.optimized_model_filepath = saved
    proto.graph.node.add(op_type="NoSuchOp", input=["Y"], output=["Z"])
    with pytest.raises(Exception, match="NoSuchOp"):
        onnx_roialign.session(proto, options, **how(engine))
    assert options.optimized_model_filepath == saved
    assert list(tmp_path.iterdir()) == []


# ---- engines side by side ----


def test_three_engines_live_in_one_process():
    sessions = [quiet_session(model(16), engine) for engine in (*ALL, *ALL)]
    for session in (*sessions, *reversed(sessions)):
        assert_close(run(session), expected(16))


# Options that the custom op is registered on are of no use for the provider: test_provider.py tests their refusal.
@pytest.mark.parametrize(
    ("first", "second"),
    [
        *(pair for pair in itertools.product(ENGINES, repeat=2) if {*pair} != {"custom_op", "provider"}),
        *(("native", "reference"), ("reference", "native"), ("native", "native")),
    ],
)
def test_one_options_object_serves_several_sessions_of_different_opsets(first, second):
    shared = quiet_options()
    sessions = [
        (onnx_roialign.session(model(opset), shared, **how(engine)), opset)
        for engine, opset in ((first, 10), (second, 16), (first, 16), (second, 10))
    ]
    for session, opset in sessions:
        assert_close(run(session), expected(opset))


def test_builtin_refuses_options_that_carry_the_library():
    shared = quiet_options()
    onnx_roialign.session(model(16), shared, door="custom_op")
    with pytest.raises(
        RoiAlignError, match="sess_options must not carry onnx_roialign's library with engine 'builtin'"
    ):
        onnx_roialign.session(model(16), shared, engine="builtin")


def test_builtin_is_onnxruntimes_own_kernel():
    """Reads the setting from what it accepts: a mode that ONNX does not have."""
    proto = model(16, coordinate_transformation_mode="asymmetric")
    assert_close(run(quiet_session(proto, "builtin")), expected(11))  # every mode except half_pixel means no shift


def session_with(options, proto, door):
    return onnx_roialign.session(proto, options, door=door)


@pytest.mark.parametrize("call", [onnx_roialign.register, session_with])
def test_the_work_is_cut_for_the_threads_of_the_session(call, door):
    one, default = quiet_options(), quiet_options()
    one.intra_op_num_threads = 1
    for options in (one, default):
        call(options, model(16), door=door)
    key = "onnx_roialign.threads"
    assert one.get_session_config_entry(key) == "1"
    assert int(default.get_session_config_entry(key)) >= 1


@GLOBAL_POOL
def test_work_on_a_pool_that_is_not_the_sessions_is_not_cut_for_the_session(door):
    pooled = quiet_options()
    pooled.use_per_session_threads = False
    onnx_roialign.register(pooled, model(16), door=door)
    key = "onnx_roialign.threads"
    with pytest.raises(RuntimeError):  # the session has no such entry: the pool is not its own
        pooled.get_session_config_entry(key)


def test_register_serves_those_who_build_their_own_session(door):
    for opset in (10, 16):
        proto, chosen = model(opset), quiet_options()
        onnx_roialign.register(chosen, proto, door=door)
        assert_close(run(onnxruntime.InferenceSession(proto.SerializeToString(), chosen)), expected(opset))


def test_an_unknown_engine_is_refused():
    with pytest.raises(RoiAlignError, match="engine must be one of native, reference, builtin, got 'gpu'"):
        quiet_session(model(16), "gpu")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("providers", [None, "available", [("CPUExecutionProvider", {})]])
def test_providers_that_take_nothing_are_not_warned_of(engine, providers, recwarn):
    quiet_session(model(16))  # from here on, onnxruntime lists the library's provider, behind the CPU's
    if providers == "available":
        providers = onnxruntime.get_available_providers()
    if providers and engine == "provider":  # where a provider that is listed behind the CPU's is said to get nothing
        providers = [name for name in providers if name != onnx_roialign.ep_name()]
    assert_close(run(quiet_session(model(16), engine, providers=providers)), expected(16))
    assert [str(one.message) for one in recwarn] == []


@pytest.mark.parametrize("engine", ALL)
def test_options_of_the_providers_reach_onnxruntime(engine, capsys):
    arena = {"arena_extend_strategy": "kSameAsRequested"}
    for given in (
        {"providers": [("CPUExecutionProvider", arena)]},
        {"providers": ["CPUExecutionProvider"], "provider_options": [arena]},
    ):
        assert_close(run(quiet_session(model(16), engine, **given)), expected(16))
    said = ""  # onnxruntime 1.20 prints the error and continues without the options, whatever enable_fallback is
    try:
        quiet_session(model(16), engine, provider_options=[{}, {}], enable_fallback=0)
    except ValueError as error:
        said = str(error)
    assert "same length" in said + capsys.readouterr().out


@pytest.mark.parametrize("engine", ALL)
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
    for engine in ("native", *ENGINES):
        with pytest.raises(
            NativeLibraryError, match=r"onnxruntime must be 1\.20 or newer, got 1\.19\.2: pip install -U"
        ):
            quiet_session(model(16), engine)
    for door in DOORS:
        with pytest.raises(NativeLibraryError, match=r"onnxruntime must be 1\.20 or newer"):
            onnx_roialign.register(quiet_options(), model(16), door=door)


def test_a_missing_library_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(installation.importlib.resources, "files", lambda _: tmp_path)
    monkeypatch.setattr(installation, "_installed", lambda _: "")
    for engine in ("native", *DOORS):
        with pytest.raises(NativeLibraryError, match=r"the compiled library is missing.*C\+\+17 compiler and CMake"):
            quiet_session(model(16), engine)
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
