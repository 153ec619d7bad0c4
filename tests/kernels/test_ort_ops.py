"""RoiAlign inside onnxruntime sessions, compiled and as a Python op: values, the opset trap, shapes and refusals."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest
import tolerances
from closeness import assert_close
from onnx import TensorProto, helper
from paths import SUPPORT
from session_models import (
    BATCH_INDICES,
    DTYPES,
    FEEDS,
    ROIS,
    TYPES,
    X,
    bare_options,
    cast_model,
    expected,
    make_model,
    model,
    newest_opset,
    quiet_options,
    roi_align_node,
    run,
)

import onnx_roialign
from onnx_roialign import RoiAlignError, errors
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.engines import native

ENGINES = ("native", "reference")
OPSETS = tuple(sorted({10, 11, 12, 13, 15, 16, 18, 20, 21, newest_opset()}))
TRAP = (
    "coordinate_transformation_mode must be set where the model's opset is unknown, got a node without it "
    r"\(node 'pool'\); set the session config entry 'onnx_roialign.opset' to the model's opset before registering"
)


def bare_session(proto, opset=None):
    return onnxruntime.InferenceSession(proto.SerializeToString(), bare_options(opset), ["CPUExecutionProvider"])


def quiet_session(proto, engine, **kwargs):
    return onnx_roialign.session(proto, quiet_options(), engine=engine, **kwargs)


def assert_units_apart(got, want):
    """At most SIXTEEN_BIT_ULP steps of the 16-bit type, counted over the sign too."""
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    bits = [array.view(np.int16).astype(int) for array in (got, want)]
    steps = [np.where(number < 0, -32768 - number, number) for number in bits]
    assert np.abs(steps[0] - steps[1]).max() <= tolerances.SIXTEEN_BIT_ULP


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("opset", OPSETS)
def test_a_session_answers_as_the_reference_at_every_opset(opset, dtype, mode, engine):
    session = quiet_session(model(opset, element_type=TYPES[dtype], mode=mode), engine)
    feeds = {"X": X.astype(dtype), "rois": ROIS.astype(dtype), "batch_indices": BATCH_INDICES}
    got, want = run(session, feeds), expected(opset, dtype=dtype, mode=mode)
    (assert_units_apart if dtype == "float16" else assert_close)(got, want)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("opset", [opset for opset in OPSETS if opset >= 13])  # Cast knows bfloat16 since 13
def test_a_session_carries_bfloat16_inside(opset, mode, engine):
    got = run(quiet_session(cast_model(opset, TensorProto.BFLOAT16, mode=mode), engine))
    assert_units_apart(got.astype(DTYPES["bfloat16"]), expected(opset, dtype=DTYPES["bfloat16"], mode=mode))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("coordinate_mode", ["half_pixel", "output_half_pixel"])
@pytest.mark.parametrize("opset", OPSETS)
def test_a_written_coordinate_mode_holds_at_every_opset(opset, coordinate_mode, engine):
    session = quiet_session(model(opset, coordinate_transformation_mode=coordinate_mode), engine)
    assert_close(run(session), expected(opset, coordinate_mode))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_long_name_of_onnxs_domain_is_the_same_domain(engine):
    proto = model(16)
    proto.graph.node[0].domain = proto.opset_import[0].domain = "ai.onnx"
    assert_close(run(quiet_session(proto, engine)), expected(16))


def test_the_coordinate_modes_differ_on_these_inputs():
    assert np.abs(expected(15) - expected(16)).max() > 0.1


@pytest.mark.parametrize("opset", [10, 16, newest_opset()])
def test_the_bare_library_refuses_a_node_without_the_mode_where_no_entry_tells_the_opset(opset):
    with pytest.raises(Exception, match=TRAP):
        bare_session(model(opset))


@pytest.mark.parametrize("opset", OPSETS)
def test_the_bare_library_takes_the_opset_from_the_entry(opset):
    assert_close(run(bare_session(model(opset), opset)), expected(opset))


def test_the_bare_library_needs_no_entry_where_the_mode_is_written():
    session = bare_session(model(16, coordinate_transformation_mode="output_half_pixel"))
    assert_close(run(session), expected(16, "output_half_pixel"))


NO_INTEGERS = {
    "sixteen": "'sixteen'",
    "": "''",
    "-": "'-'",
    "16 ": "'16 '",
    "1e3": "'1e3'",
    "it's\n": '"it\'s\\n"',
    "7" * 80 + "x": f"'{'7' * 63}...'",
}


@pytest.mark.parametrize("entry", ["opset", "threads"])
@pytest.mark.parametrize(("text", "shown"), NO_INTEGERS.items(), ids=range(len(NO_INTEGERS)))
def test_an_entry_that_is_no_integer_is_refused(entry, text, shown):
    assert shown == errors.shown(text)
    with pytest.raises(Exception, match=re.escape(f"onnx_roialign.{entry} must be an integer, got {shown}") + "$"):
        quiet_options(**{f"onnx_roialign__{entry}": text}).register_custom_ops_library(onnx_roialign.library_path())


@pytest.mark.parametrize("text", ["0", "-3", "-99999999999999999999"])
def test_an_opset_that_none_can_be_is_refused(text):
    options = quiet_options(onnx_roialign__opset=text)
    got = max(int(text), -(2**63))
    with pytest.raises(Exception, match=f"onnx_roialign.opset must be at least 1, got {got}$"):
        options.register_custom_ops_library(onnx_roialign.library_path())


@pytest.mark.parametrize("threads", [-1, 1025, 999999999, 2**40])
def test_a_number_of_threads_is_refused_in_the_words_of_the_other_doors(threads):
    options = quiet_options(onnx_roialign__threads=str(threads))
    with pytest.raises(RoiAlignError) as refused:
        onnx_roialign.roi_align(**FEEDS, threads=threads)
    with pytest.raises(Exception, match=re.escape(f"onnx_roialign.{refused.value}") + "$"):
        options.register_custom_ops_library(onnx_roialign.library_path())


@pytest.mark.parametrize("threads", ["0", "1", "3", "1024"])
def test_the_number_of_threads_changes_no_answer(threads):
    options = quiet_options(onnx_roialign__threads=threads, onnx_roialign__opset="16")
    options.register_custom_ops_library(onnx_roialign.library_path())
    told = onnxruntime.InferenceSession(model(16).SerializeToString(), options)
    np.testing.assert_array_equal(run(told), run(bare_session(model(16), 16)))


def test_the_bare_library_registered_twice_takes_the_newer_entry_and_leaves_sessions_alone():
    options = bare_options(10)
    old = onnxruntime.InferenceSession(model(10).SerializeToString(), options)
    options.add_session_config_entry("onnx_roialign.opset", "16")
    options.register_custom_ops_library(onnx_roialign.library_path())
    options.register_custom_ops_library(onnx_roialign.library_path())
    new = onnxruntime.InferenceSession(model(16).SerializeToString(), options)
    assert_close(run(old), expected(10))
    assert_close(run(new), expected(16))


def test_a_second_copy_of_the_library_is_refused_on_the_same_options(tmp_path):
    options, copy = bare_options(16), tmp_path / "copy.so"
    shutil.copy(onnx_roialign.library_path(), copy)
    with pytest.raises(Exception, match="must be registered from one file per session options, got a second copy"):
        options.register_custom_ops_library(str(copy))
    session = onnxruntime.InferenceSession(model(16).SerializeToString(), options)
    assert_close(run(session), expected(16))


def test_a_session_outlives_the_options_it_was_made_with():
    options = bare_options(16)
    session = onnxruntime.InferenceSession(model(16).SerializeToString(), options)
    del options
    assert_close(run(session), expected(16))


def test_a_runtime_without_the_functions_that_the_library_needs_is_refused_by_name():
    """The library against a runtime that knows API version 1 only: its CreateStatus is slot 0 of that table."""
    told = []

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)
    def create_status(code, text):
        told.append((code, text.decode()))
        return 1

    class Base(ctypes.Structure):
        _fields_ = (
            ("get_api", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)),
            ("get_version", ctypes.CFUNCTYPE(ctypes.c_void_p)),
        )

    table = (ctypes.c_void_p * 1)(ctypes.cast(create_status, ctypes.c_void_p))
    version = ctypes.create_string_buffer(b"1.16.3")
    base = Base(
        Base._fields_[0][1](lambda number: ctypes.addressof(table) if number == 1 else None),
        Base._fields_[1][1](lambda: ctypes.addressof(version)),
    )
    library = ctypes.CDLL(onnx_roialign.library_path())
    library.RegisterCustomOps.restype = ctypes.c_void_p
    assert library.RegisterCustomOps(None, ctypes.byref(base)) == 1
    assert told == [(9, "onnx_roialign needs ONNX Runtime 1.17 or newer, got 1.16.3")]


def test_many_options_and_failed_sessions_do_not_hold_memory():
    program = """
import resource, onnxruntime
from session_models import bare_options, model
def grown(work, times):
    for _ in range(50): work()
    before = resident()
    for _ in range(times): work()
    return resident() - before
def resident():
    with open("/proc/self/statm") as file: return int(file.read().split()[1]) * resource.getpagesize()
bad, options = model(16, mode="median").SerializeToString(), bare_options(16)
def fail():
    try: onnxruntime.InferenceSession(bad, options)
    except Exception as error: assert "mode must be" in str(error)
def mapped():
    with open("/proc/self/maps") as file: return "onnx_roialign" in file.read()
print(grown(fail, 300), grown(lambda: bare_options(16), 1000), mapped(), end=" ")
del options
print(mapped())
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=SUPPORT)
    failures, options, *mapped = done.stdout.split()
    assert int(failures) < 1 << 20
    assert int(options) < 4 << 20  # about 1 kB each
    assert mapped == ["True", "False"]  # and onnxruntime unloads the library, which frees them


# ---- shapes ----


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("X_shape", "rois_shape", "Y_shape"),
    [
        (("N", "C", "H", "W"), ("R", 4), ["R", "C", 3, 2]),
        ((1, 256, "H", "W"), (7, 4), [7, 256, 3, 2]),
        (("N", 256, None, None), ("R", 4), ["R", 256, 3, 2]),
    ],
    ids=["symbolic", "fixed", "mixed"],
)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_session_tells_the_shape_and_type_of_its_output(dtype, X_shape, rois_shape, Y_shape, engine):
    proto = make_model([roi_align_node()], 16, element_type=TYPES[dtype], shapes=(X_shape, rois_shape, ("R",)))
    (output,) = quiet_session(proto, engine).get_outputs()
    assert (output.shape, output.type) == (Y_shape, {"float32": "tensor(float)", "float16": "tensor(float16)"}[dtype])


def test_the_output_size_defaults_to_one_bin():
    proto = make_model([helper.make_node("RoiAlign", ["X", "rois", "batch_indices"], ["Y"])], 16)
    assert quiet_session(proto, "native").get_outputs()[0].shape[2:] == [1, 1]


@pytest.mark.parametrize("engine", ENGINES)
def test_an_unknown_dimension_is_not_taken_for_a_known_one(engine):
    """onnxruntime 1.20 folds the Shape of an output of size -1, and 1.31 ends the process."""
    nodes = [
        roi_align_node(),
        helper.make_node("Shape", ["Y"], ["shape"]),
        helper.make_node("Flatten", ["Y"], ["flat"], axis=2),
        helper.make_node("Slice", ["Y", "start", "end", "axes"], ["part"]),
    ]
    outputs = (("shape", TensorProto.INT64), ("flat", TensorProto.FLOAT), ("part", TensorProto.FLOAT))
    proto = make_model(nodes, 16, outputs=outputs, shapes=((None, None, None, None), (None, 4), (None,)))
    for name, number in (("start", 0), ("end", 2), ("axes", 0)):
        proto.graph.initializer.append(helper.make_tensor(name, TensorProto.INT64, [1], [number]))
    shape, flat, part = quiet_session(proto, engine).run(None, FEEDS)
    assert shape.tolist() == [4, 5, 3, 2]
    assert flat.shape == (20, 6)
    assert part.shape == (2, 5, 3, 2)


# ---- refusals ----


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"mode": "median"}, "mode must be 'avg' or 'max', got 'median'"),
        ({"mode": 1}, "mode must be a string, got an integer"),
        ({"mode": ["avg"]}, "mode must be a string, got another type"),
        (
            {"coordinate_transformation_mode": "asymmetric"},
            "coordinate_transformation_mode must be 'half_pixel' or 'output_half_pixel', got 'asymmetric'",
        ),
        ({"coordinate_transformation_mode": 0.5}, "coordinate_transformation_mode must be a string, got a float"),
        ({"sampling_ratio": -1}, r"sampling_ratio must be in \[0, 16384\], got -1"),
        ({"sampling_ratio": 16385}, r"sampling_ratio must be in \[0, 16384\], got 16385"),
        ({"sampling_ratio": 2.0}, "sampling_ratio must be an integer, got a float"),
        ({"sampling_ratio": "2"}, "sampling_ratio must be an integer, got a string"),
        ({"sampling_ratio": [2, 2]}, "sampling_ratio must be an integer, got a list of integers"),
        ({"output_height": 0}, "output_height must be at least 1, got 0"),
        ({"output_width": -7}, "output_width must be at least 1, got -7"),
        ({"output_width": helper.make_tensor("t", TensorProto.INT64, [1], [7])}, "got another type"),
        ({"spatial_scale": 0.0}, "spatial_scale must be finite and > 0, got 0"),
        ({"spatial_scale": -0.5}, "spatial_scale must be finite and > 0, got -0.5"),
        ({"spatial_scale": float("nan")}, "spatial_scale must be finite and > 0, got nan"),
        ({"spatial_scale": float("inf")}, "spatial_scale must be finite and > 0, got inf"),
        ({"spatial_scale": 1}, "spatial_scale must be a float, got an integer"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_bad_attribute_is_refused_at_session_creation_with_the_nodes_name(attributes, text, engine):
    proto = model(16, **{name: value for name, value in attributes.items() if not isinstance(value, (float, int))})
    for attribute in [helper.make_attribute(*item) for item in attributes.items()]:
        kept = [a for a in proto.graph.node[0].attribute if a.name != attribute.name]
        del proto.graph.node[0].attribute[:]
        proto.graph.node[0].attribute.extend([*kept, attribute])
    with pytest.raises(Exception, match=text + r".*\(node 'pool'\)"):
        quiet_session(proto, engine)


BAD_FEEDS = [
    ({"X": X[0]}, r"X must have rank 4 \(N, C, H, W\), got shape \(5, 9, 11\)"),
    ({"rois": ROIS[:, :3]}, r"rois must have shape \(num_rois, 4\), got shape \(4, 3\)"),
    ({"rois": ROIS.ravel()}, r"rois must have shape \(num_rois, 4\), got shape \(16,\)"),
    ({"batch_indices": BATCH_INDICES[:, None]}, r"batch_indices must have shape \(num_rois,\), got shape \(4, 1\)"),
    ({"rois": ROIS[:3]}, "rois and batch_indices must have the same count, got 3 and 4"),
    ({"batch_indices": np.array([0, 1, 2, 0])}, r"batch_indices must be in \[0, 2\), got 2 at row 2"),
    ({"batch_indices": np.array([0, -1, 1, 0])}, r"batch_indices must be in \[0, 2\), got -1 at row 1"),
    ({"rois": np.where(ROIS == 17, np.nan, ROIS)}, r"rois must be finite, got nan at row 1, column 2 \(x2\)"),
    ({"rois": np.where(ROIS == 12.25, -np.inf, ROIS)}, r"rois must be finite, got -inf at row 1, column 3 \(y2\)"),
    ({"X": X[:, :, :0]}, r"X must have H and W of at least 1, got shape \(2, 5, 0, 11\)"),
]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "a'b",
            'a"b',
            "a'\"b",
            "a\nb\tc\rd",
            "a    b ",
            "a\\b",
            "\x01\x7f",
            "x" * 61,
            "x" * 62,
            "x" * 63,
            "x" * 64,
        ),
        *("x" * 100_000, "\u00e9" * 62, "\u00e9" * 63, "\U0001f600" * 100, "'" * 63, '"' * 63, "'\"" * 31, "\n" * 32),
    ],
    ids=range(20),
)
def test_the_library_shows_a_text_as_python_does(text):
    with pytest.raises(RoiAlignError) as by_python:
        Attributes(mode=text)
    with pytest.raises(Exception, match=re.escape(f"{by_python.value} (node 'pool')")):
        bare_session(model(16, mode=text), 16)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("feeds", "text"), BAD_FEEDS)
def test_a_bad_array_is_refused_at_run_time_with_the_nodes_name(feeds, text, engine):
    session = quiet_session(model(), engine)
    with pytest.raises(Exception, match=text + r" \(node 'pool'\)"):
        run(session, FEEDS | feeds)
    assert_close(run(session), expected(16))  # the session is as good as before


@pytest.mark.parametrize("engine", ENGINES)
def test_a_coordinate_that_overflows_when_scaled_names_its_place(engine):
    session = quiet_session(model(spatial_scale=1e10), engine)
    with pytest.raises(
        Exception, match=r"rois must stay finite when scaled by 1e\+10, got 3.*e\+38 at row 1, column 2 \(x2\)"
    ):
        run(session, FEEDS | {"rois": np.where(ROIS == 17, np.float32(3e38), ROIS)})


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("feeds", "shape"),
    [
        ({"rois": ROIS[:0], "batch_indices": BATCH_INDICES[:0]}, (0, 5, 3, 2)),
        ({"X": X[:, :0]}, (4, 0, 3, 2)),
        ({"X": X[:0], "rois": ROIS[:0], "batch_indices": BATCH_INDICES[:0]}, (0, 5, 3, 2)),
    ],
    ids=["no RoIs", "no channels", "no images"],
)
def test_empty_input_is_answered_with_an_empty_output(feeds, shape, engine):
    assert run(quiet_session(model(), engine), FEEDS | feeds).shape == shape


def isa_options(name):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("onnx_roialign.isa", name)
    return options


@pytest.mark.parametrize("name", ["avx1024", "sse", ""])
def test_an_unknown_instruction_set_is_refused_when_the_library_is_registered(name):
    known = re.escape(", ".join(native.available_isas()))
    with pytest.raises(Exception, match=f"onnx_roialign.isa must be one of {known}, got '{name}'$"):
        onnx_roialign.session(model(), isa_options(name))


def test_every_instruction_set_answers_in_a_session_that_asks_for_it():
    want = run(quiet_session(model(), "reference"), FEEDS)
    for name in native.available_isas():
        Y = run(onnx_roialign.session(model(), isa_options(name)), FEEDS)
        np.testing.assert_allclose(Y, want, rtol=0, atol=tolerances.FLOAT32 * np.abs(FEEDS["X"]).max())


@pytest.mark.parametrize("name", ["", "it's", 'a"b', 'it\'s "b"', "a\nb\t\r\x1b\x7f\\", "two  spaces", "größe " * 40])
def test_a_nodes_name_is_shown_in_the_same_words_at_every_door(name):
    """Where a session meets the node's attributes, and where a run meets its inputs."""
    for attributes, feeds in (({"mode": "median"}, FEEDS), ({}, FEEDS | {"batch_indices": np.int64([5, 0, 0])})):
        given = model(16, **attributes)
        given.graph.node[0].name = name
        with pytest.raises(RoiAlignError) as refused:
            onnx_roialign.reference_evaluator(given).run(None, feeds)
        assert str(refused.value).endswith(f"(node {name!r})")
        with pytest.raises(Exception, match=re.escape(str(refused.value))):
            run(bare_session(given, 16), feeds)


def test_registered_options_keep_their_instruction_set():
    options = isa_options("baseline")
    onnx_roialign.register(options, model())
    options.add_session_config_entry("onnx_roialign.isa", native.available_isas()[0])
    with pytest.raises(Exception, match=r"onnx_roialign.isa must not change on options that are registered"):
        onnx_roialign.register(options, model())


IN_A_PROCESS = """
import os
from onnx_roialign import native
def answer():
    try:
        return native.active_isa()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
print(answer())
os.environ["ONNX_ROIALIGN_ISA"] = "mmx"
print(answer())
"""


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("baseline", "baseline"),
        ("", native.available_isas()[0]),
        (
            "avx1024",
            f"NativeLibraryError: ONNX_ROIALIGN_ISA must be one of {', '.join(native.available_isas())}, got 'avx1024'",
        ),
    ],
)
def test_the_environment_is_read_once_in_a_process(name, answer):
    environment = {**os.environ, "ONNX_ROIALIGN_ISA": name}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [answer, answer]


# ---- threads ----


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_the_number_of_threads_does_not_change_a_bit(mode):
    rng = np.random.default_rng(5)
    corners = rng.uniform(0, 60, (90, 2, 2)).astype(np.float32)
    rois = np.concatenate([corners.min(1), corners.max(1)], 1)
    feeds = {
        "X": rng.standard_normal((2, 33, 40, 48), dtype=np.float32),
        "rois": rois,
        "batch_indices": np.arange(90) % 2,
    }
    answers = []
    for threads in (1, 2, 3, 8):
        options = quiet_options()
        options.intra_op_num_threads = threads
        answers.append(run(onnx_roialign.session(model(mode=mode, sampling_ratio=0), options), feeds))
    assert len({answer.tobytes() for answer in answers}) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_one_session_answers_eight_threads_at_once(engine):
    session, want = quiet_session(model(), engine), expected(16)
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: run(session), range(64)):
            assert_close(got, want)


@pytest.mark.parametrize("engine", ENGINES)
def test_fifty_threads_with_batch_indices_out_of_range_each_get_their_own_error(engine):
    session = quiet_session(model(), engine)

    def refused(index):
        with pytest.raises(Exception, match=rf"got {index} at row 3 \(node 'pool'\)"):
            run(session, FEEDS | {"batch_indices": np.array([0, 1, 1, index])})

    with ThreadPoolExecutor(50) as pool:
        list(pool.map(refused, range(2, 152)))
    assert_close(run(session), expected(16))
