"""The library as an execution provider beside other libraries, and its life: registered, unregistered, left alone."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from calls import FEEDS, expected
from closeness import assert_close
from old_runtime import OldRuntime
from onnx import TensorProto, helper
from paths import PROGRAMS, ROOT, SUPPORT
from quiet import DOORS, quiet_options, quiet_session, run

import onnx_roialign
from models import SHAPE, make_model, model, private_node, roi_align_node
from onnx_roialign import RoiAlignError
from onnx_roialign.sessions import own_provider

NAME = onnx_roialign.ep_name()

needs_provider = pytest.mark.skipif("provider" not in DOORS, reason="this onnxruntime takes no provider from outside")


def test_a_runtime_without_the_functions_that_a_provider_needs_is_refused_by_name():
    runtime = OldRuntime("1.23.2", lambda number: number <= 23)
    library = ctypes.CDLL(onnx_roialign.library_path())
    library.CreateEpFactories.restype = ctypes.c_void_p
    factories, count = (ctypes.c_void_p * 4)(), ctypes.c_size_t(7)
    arguments = (b"onnx_roialign", ctypes.byref(runtime), None, factories, ctypes.c_size_t(4), ctypes.byref(count))
    assert library.CreateEpFactories(*arguments) == 1
    assert count.value == 0
    assert runtime.told == [(9, "onnx_roialign as an execution provider needs ONNX Runtime 1.24 or newer, got 1.23.2")]


# ---- beside others ----


@pytest.fixture(scope="module")
def other_library(tmp_path_factory):
    """Path of a library that owns the domain "", where its op is Twice."""
    path = tmp_path_factory.mktemp("other") / "libother.so"
    command = [
        "g++",
        "-std=c++17",
        "-shared",
        "-fPIC",
        "-I",
        ROOT / "kernels",
        PROGRAMS / "other_library.cpp",
        "-o",
        path,
    ]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return str(path)


def twice_model():
    nodes = [helper.make_node("Twice", ["X"], ["X2"], name="twice"), roi_align_node("X2", "rois", "batch_indices", "Y")]
    return make_model(nodes, 16)


@needs_provider
def test_another_library_may_own_the_domain_of_onnx(other_library):
    options = quiet_options()
    options.register_custom_ops_library(other_library)
    session = onnx_roialign.session(twice_model(), options, door="provider")
    assert_close(run(session), 2 * expected(16))
    text = (
        r"sess_options must load a model, got options that load none \(.*omain already .*\); .*, use door='provider'$"
    )
    with pytest.raises(RoiAlignError, match=text):
        onnx_roialign.session(twice_model(), options, door="custom_op")


def both_doors():
    """A model of ONNX's RoiAlign and of the private one."""
    nodes = [roi_align_node(), private_node("X", "rois", "batch_indices", "Z", name="private", **SHAPE)]
    outputs = [("Y", TensorProto.FLOAT), ("Z", TensorProto.FLOAT)]
    return make_model(nodes, 16, outputs=outputs, domains=("onnx_roialign",))


@needs_provider
@pytest.mark.parametrize("first", ["provider", "custom_op"])
def test_both_doors_live_together_in_either_order(first):
    options = quiet_options(onnx_roialign__opset="16", session__record_ep_graph_assignment_info="1")

    def add_provider():
        devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == NAME]
        options.add_provider_for_devices(devices[:1], {})

    def add_custom_op():
        options.register_custom_ops_library(onnx_roialign.library_path())

    quiet_session(model(16), "provider")  # registers the library
    for add in (add_provider, add_custom_op) if first == "provider" else (add_custom_op, add_provider):
        add()
    session = onnxruntime.InferenceSession(both_doors().SerializeToString(), options)
    for got in session.run(None, FEEDS):
        assert_close(got, expected(16))


# ---- its life ----


def in_a_process(program, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", HEAD + program, *map(str, arguments)], capture_output=True, text=True, cwd=SUPPORT
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()


HEAD = """
import ctypes, gc, sys
import numpy as np, onnxruntime, onnx_roialign
from calls import FEEDS, expected
from models import model
from quiet import quiet_options, quiet_session, run
name, path = onnx_roialign.ep_name(), onnx_roialign.library_path()
def devices():
    return [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
def session(device):
    options = quiet_options(session__record_ep_graph_assignment_info="1")
    options.add_provider_for_devices([device], {})
    made = onnxruntime.InferenceSession(model(16).SerializeToString(), options)
    assert [part.ep_name for part in made.get_provider_graph_assignment_info()] == [name]
    return made
def right(made):
    return np.array_equal(run(made), run(quiet_session(model(16), "custom_op")))
class Heap(ctypes.Structure):  # glibc's struct mallinfo2
    _fields_ = [(name, ctypes.c_size_t) for name in "a b c d mapped e f in_use g h".split()]
def in_use():
    gc.collect()
    information = ctypes.CDLL(None).mallinfo2
    information.restype = Heap
    return information().in_use + information().mapped
"""

# By case: how many sessions, and one of them. The provider keeps the library loaded, with what the custom op registers.
MANY = {
    "provider": (1500, 'run(onnx_roialign.session(proto, quiet_options(), door="provider"))'),
    "custom op": (1500, 'run(onnx_roialign.session(proto, quiet_options(), door="custom_op"))'),
    "register": (1500, "onnx_roialign.register(quiet_options(), proto)"),
    "fused poolers": (200, 'run(onnx_roialign.session(pooler, door="provider", providers=fuse), pooled)'),
    "refused": (500, 'refused(lambda: onnx_roialign.session(proto, door="provider", providers=wrong))'),
}


@needs_provider
@pytest.mark.long
@pytest.mark.parametrize("case", MANY)
def test_many_sessions_do_not_hold_memory(case):
    count, work = MANY[case]
    (grown,) = in_a_process(f"""
import pooler_exports
proto, pooler = model(16).SerializeToString(), pooler_exports.form("tv_L3_ts13")
pooled, pooler = pooler_exports.drawn(pooler, 5), pooler.SerializeToString()
fuse, wrong = ([(name, given), "CPUExecutionProvider"] for given in ({{"fuse": "1"}}, {{"isa": "mmx"}}))
def refused(call):
    try: call()
    except Exception as error: assert "isa must be one of" in str(error)
    else: raise AssertionError("it was not refused")
onnxruntime.set_default_logger_severity(4)
keeps_the_library = quiet_session(model(16), "provider")
def work(): {work}
heights = [0]
for _ in range(5):
    for _ in range({count // 5}): work()
    heights.append(in_use())
print(min(after - before for before, after in zip(heights, heights[1:])))
""")
    # A table grows once, and a leak each time: the custom op once held 2000 bytes of a session; 70 are not ours.
    assert int(grown) < 400 * count // 5


@needs_provider
def test_it_is_registered_and_unregistered_again_and_again():
    printed = in_a_process("""
rights = 0
for i in range(100):
    onnxruntime.register_execution_provider_library("ours", path)
    (device,) = devices()
    made = session(device)
    rights += right(made)
    del device, made
    gc.collect()
    onnxruntime.unregister_execution_provider_library("ours")
    assert not devices()
made = quiet_session(model(16), "provider")  # registers it itself
print(rights, right(made))
""")
    assert printed == ["100", "True"]


@needs_provider
@pytest.mark.parametrize(
    "program",
    [
        'made = quiet_session(model(16), "provider"); print(right(made))',
        'made = quiet_session(model(16), "provider"); print(right(made)); del made',
        "onnxruntime.register_execution_provider_library('ours', path); print(True)",
        "options = quiet_options(); onnx_roialign.register(options, model(16), door='provider'); print(True)",
        'made = [quiet_session(model(16), door) for door in ("custom_op", "provider")]; print(right(made[1]))',
    ],
    ids=["a session is alive", "no session is alive", "never used", "options are alive", "both doors"],
)
def test_a_process_ends_without_unregistering_it(program):
    assert in_a_process(program) == ["True"]


@needs_provider
def test_two_copies_of_the_library_are_two_providers(tmp_path):
    copy = tmp_path / "copy.so"
    shutil.copy(onnx_roialign.library_path(), copy)
    printed = in_a_process(
        """
onnxruntime.register_execution_provider_library("copy", sys.argv[1])
first = session(devices()[0])
onnxruntime.register_execution_provider_library("ours", path)
both = devices()
print(len(both), *map(right, [first, *map(session, both), quiet_session(model(16), "provider")]))
for device in both:  # the one copy as the provider, the other one as a library of custom ops, and the same one as both
    options = quiet_options(onnx_roialign__opset="16")
    options.register_custom_ops_library(sys.argv[1])
    options.add_provider_for_devices([device], {})
    print(right(onnxruntime.InferenceSession(model(16).SerializeToString(), options)))
""",
        copy,
    )
    assert printed == ["2", *["True"] * 6]


@pytest.mark.skipif(
    not own_provider.takes_names(), reason="this onnxruntime does not tell whose library a device is of"
)
@pytest.mark.parametrize("options", ["None", "quiet_options()"])
def test_a_session_runs_on_the_library_of_the_package_beside_another_copy(options, tmp_path):
    copy = tmp_path / "copy.so"
    shutil.copy(onnx_roialign.library_path(), copy)
    printed = in_a_process(
        f"""
onnxruntime.register_execution_provider_library("copy", sys.argv[1])
onnxruntime.register_execution_provider_library("ours", path)
made = onnx_roialign.session(model(16), {options}, door="provider")
onnxruntime.unregister_execution_provider_library("copy")  # a session of it would crash
print(len(devices()), right(made))
""",
        copy,
    )
    assert printed == ["1", "True"]


@needs_provider
def test_its_version_and_vendor_are_told():
    quiet_session(model(16), "provider")
    (device,) = [device for device in onnxruntime.get_ep_devices() if device.ep_name == NAME]
    assert device.ep_vendor == "onnx_roialign"
    assert device.ep_metadata["version"] == onnx_roialign.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", onnx_roialign.__version__)
    np.testing.assert_array_equal(run(quiet_session(model(16), "provider")), run(quiet_session(model(16), "custom_op")))
