"""Tests the kernels of other CPUs (NEON, cross-built and run under QEMU), and the same calls on this CPU."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import kernel_calls
import numpy as np
import pytest
from paths import PROGRAMS, ROOT

from onnx_roialign.engines import native

CROSS_COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"


@dataclass(frozen=True)
class Machine:
    """Where kernel_check runs: the command in front of it, the library, and the instruction sets, widest first."""

    command: tuple[str, ...]
    library: str
    isas: tuple[str, ...]

    def run(self, calls: Path, answers: Path, isa: str, threads: int = 1) -> subprocess.CompletedProcess[str]:
        arguments = [*self.command, self.library, str(calls), str(answers), isa, str(threads)]
        return subprocess.run(arguments, capture_output=True, text=True, timeout=300)


def run(*command) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def build_program(compiler: str, folder: Path) -> str:
    program = folder / "kernel_check"
    flags = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-I", ROOT / "kernels" / "c")
    run(compiler, *flags, PROGRAMS / "kernel_check.cpp", "-o", program, "-ldl")
    return str(program)


def this_machine(folder: Path) -> Machine:
    return Machine((build_program("c++", folder),), native.library_path(), native.available_isas())


def emulated_aarch64(folder: Path) -> Machine:
    missing = [tool for tool in (CROSS_COMPILER, EMULATOR) if shutil.which(tool) is None]
    if missing:
        pytest.skip(
            f"{' and '.join(missing)} not found: install a cross compiler for aarch64 and QEMU's user mode "
            "(Debian: apt-get install g++-aarch64-linux-gnu qemu-user)"
        )
    system = ("-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", "-DCMAKE_BUILD_TYPE=Release")
    build = folder / "build"
    run("cmake", "-S", ROOT, "-B", build, "-G", "Ninja", f"-DCMAKE_CXX_COMPILER={CROSS_COMPILER}", *system)
    run("cmake", "--build", build)
    loader = Path(run(CROSS_COMPILER, "-print-file-name=ld-linux-aarch64.so.1")).resolve()
    command = (EMULATOR, "-L", str(loader.parent.parent), build_program(CROSS_COMPILER, folder))
    return Machine(command, str(build / "kernels" / "libonnx_roialign.so"), ("neon", "baseline"))


EMULATED = [pytest.mark.long, pytest.mark.timeout(1800)]
MACHINES = [this_machine, pytest.param(emulated_aarch64, marks=EMULATED)]


@pytest.fixture(scope="module", params=MACHINES, ids=lambda make: make.__name__)
def machine(request, tmp_path_factory) -> Machine:
    make: Callable[[Path], Machine] = request.param
    return make(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="module")
def calls() -> list[kernel_calls.Call]:
    return kernel_calls.all_calls()


@pytest.fixture(scope="module")
def packed(calls, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("calls") / "calls"
    path.write_bytes(b"".join(call.pack() for call in calls))
    return path


def test_every_instruction_set_returns_the_references_results(machine, calls, packed, tmp_path):
    wrong = {}
    for isa in machine.isas:
        done = machine.run(packed, tmp_path / isa, isa)
        assert (done.returncode, done.stdout) == (0, f"{len(calls)} calls on {isa}\n"), done.stderr
        worst = kernel_calls.worst_differences(calls, kernel_calls.read_answers(calls, tmp_path / isa))
        print(isa, worst)
        assert worst.keys() == kernel_calls.BARS.keys()
        wrong |= {(isa, name): value for name, value in worst.items() if not value <= kernel_calls.BARS[name]}
    assert wrong == {}


def test_the_number_of_threads_does_not_change_a_bit(machine, calls, tmp_path):
    some = calls[::7]  # starting threads takes most of the time under QEMU
    (tmp_path / "some").write_bytes(b"".join(call.pack() for call in some))
    for threads in (1, 3):
        done = machine.run(tmp_path / "some", tmp_path / str(threads), "", threads)
        assert (done.returncode, done.stdout) == (0, f"{len(some)} calls on {machine.isas[0]}\n"), done.stderr
    assert (tmp_path / "1").read_bytes() == (tmp_path / "3").read_bytes()


def test_the_widest_instruction_set_is_the_default(machine, tmp_path):
    (tmp_path / "none").touch()
    chosen = machine.run(tmp_path / "none", tmp_path / "answers", "")
    assert chosen.stdout == f"0 calls on {machine.isas[0]}\n"


def test_an_instruction_set_that_the_library_lacks_is_refused(machine, calls, tmp_path):
    (tmp_path / "one").write_bytes(calls[0].pack())
    refused = machine.run(tmp_path / "one", tmp_path / "answers", "sse9000")
    assert refused.returncode == 1
    assert refused.stderr == f"isa must be one of {', '.join(machine.isas)}, got 'sse9000'\n"


@pytest.mark.parametrize("name", kernel_calls.BARS)
def test_the_comparison_detects_one_wrong_value(calls, name):
    dtype, _, exact = name.partition(", ")
    call = next(call for call in calls if (call.X.dtype.name, call.exact) == (dtype, bool(exact)) and call.Y.size)
    Y = call.Y.copy()
    assert call.difference(Y) == 0
    place = np.unravel_index(np.nanargmin(np.abs(Y.astype(np.float64) - 1)), Y.shape)
    for wrong in (Y[place] * Y.dtype.type(1.02), np.nan, np.inf):
        Y[place] = wrong
        assert call.difference(Y) > kernel_calls.BARS[name]


COMPUTES = """
import ctypes, numpy as np
from onnx_roialign import native
from onnx_roialign.definition.attributes import Attributes
libc, libm = ctypes.CDLL(None), ctypes.CDLL("libm.so.6")
libc.malloc.restype = ctypes.c_void_p
assert ctypes.string_at(libc.malloc(100_000), 4) == b"\\x80" * 4, "memory is not filled"
X = np.full((1, 40, 50, 90), 0.75)
for dtype in ("float32", "float64"):
    for num_rois in (1, 30):
        for output in ((7, 7), (3, 28), (14, 14)):
            for mode in ("avg", "max"):
                rois = np.tile([(3.5, 2.5, 80.25, 40.75)], (num_rois, 1)).astype(dtype)
                attributes = Attributes(*output, sampling_ratio=0, mode=mode)
                arrays = X.astype(dtype), rois, np.zeros(num_rois, np.int64)
                for isa in native.available_isas():
                    libm.feclearexcept(0x1D)  # x86's invalid, division by zero, overflow and underflow
                    native.roi_align(*arrays, attributes, threads=1, isa=isa)
                    print(libm.fetestexcept(0x1D), dtype, num_rois, output, mode, isa)
"""


FILLS_MEMORY = platform.libc_ver()[0] == "glibc" and platform.machine() == "x86_64"


@pytest.mark.skipif(not FILLS_MEMORY, reason="needs glibc's malloc and x86's exception flags")
def test_nothing_is_computed_on_uninitialised_memory():
    # Every byte that malloc returns is 0x80, so that a product of unwritten memory underflows.
    environment = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.perturb=127"}
    done = subprocess.run([sys.executable, "-c", COMPUTES], env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 24 * len(native.available_isas())
    assert [line for line in lines if not line.startswith("0 ")] == []
