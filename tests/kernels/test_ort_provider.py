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
import gc, resource, sys
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
def resident():
    with open("/proc/self/statm") as file: return int(file.read().split()[1]) * resource.getpagesize()
"""


@needs_provider
@pytest.mark.long
def test_many_sessions_do_not_hold_memory():
    (grown,) = in_a_process("""
proto = model(16).SerializeToString()
def work(): run(onnx_roialign.session(proto, quiet_options(), door="provider"))
for _ in range(200): work()
before = resident()
for _ in range(1500): work()
print(resident() - before)
""")
    assert int(grown) < 2 << 20


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
@pytest.mark.parametrize("alive", [False, True])
def test_a_process_ends_without_unregistering_it(alive):
    program = 'made = quiet_session(model(16), "provider")\nprint(right(made))\n' + ("" if alive else "del made\n")
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
by_name = quiet_session(model(16), "provider")
print(len(both), *map(right, [first, *map(session, both), by_name]))
""",
        copy,
    )
    assert printed == ["2", "True", "True", "True", "True"]


@needs_provider
def test_its_version_and_vendor_are_told():
    quiet_session(model(16), "provider")
    (device,) = [device for device in onnxruntime.get_ep_devices() if device.ep_name == NAME]
    assert device.ep_vendor == "onnx_roialign"
    assert device.ep_metadata["version"] == onnx_roialign.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", onnx_roialign.__version__)
    np.testing.assert_array_equal(run(quiet_session(model(16), "provider")), run(quiet_session(model(16), "custom_op")))
