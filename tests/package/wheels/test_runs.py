"""The wheels run: each library on its platform, emulated where this machine is another, in C programs and in Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import kernel_calls
import numpy as np
import onnx
import onnxruntime
import pytest
import tolerances
from paths import PROGRAMS, ROOT

from onnx_roialign.conformance.cases import onnx_vectors
from onnx_roialign.conformance.comparing import judge_outputs
from onnx_roialign.conformance.result import Status

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

RUNTIMES = ROOT / "build" / "wheels" / "runtimes"
HERE = Path(__file__).parent


def run(*command, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=3000, **options)
    assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done


@dataclass(frozen=True)
class Machine:
    """A platform as this machine runs it: the wheel's tag, zig's name, the program before a command, and ISAs.

    `needs` has what must be installed: a program or a file, and the command that installs it.
    """

    tag: str
    target: str
    isas: tuple[str, ...]
    emulator: tuple[str, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)

    def build(self, source: Path, folder: Path) -> Path:
        """Returns a program, built for the platform and linked to its C library."""
        program = folder / (source.stem + (".exe" if "windows" in self.target else ""))
        zig = (sys.executable, "-m", "ziglang", "c++" if source.suffix == ".cpp" else "cc", "-target", self.target)
        dynamic = ("-dynamic",) if "musl" in self.target else ()
        run(*zig, "-O1", "-I", ROOT / "kernels" / "c", source, *dynamic, "-o", program)
        return program

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "WINEDEBUG": "-all", "WINEPREFIX": str(RUNTIMES / "wine")}
        return run(*self.emulator, *command, env=environment)


def require(tool: str, command: str) -> None:
    """Skips the test without a program or a file; fails it in CI."""
    if shutil.which(tool) or Path(tool).exists():
        return
    text = f"{tool} not found ({command})"
    if "CI" in os.environ:
        pytest.fail(text)
    pytest.skip(text)


X86_64, AARCH64 = ("avx512", "avx2", "baseline"), ("neon", "baseline")
CROSS = Path("/usr/aarch64-linux-gnu")  # Debian's C and C++ libraries for aarch64
SYSROOT = ROOT / "build" / "wheels" / "aarch64"
BULLSEYE = ROOT / "build" / "wheels" / "bullseye"
BULLSEYE_LIBRARIES = BULLSEYE / "usr" / "lib" / "x86_64-linux-gnu"
BULLSEYE_LOADER = (BULLSEYE_LIBRARIES / "ld-2.31.so", "--library-path", BULLSEYE_LIBRARIES)
QEMU = {"qemu-aarch64": "Debian: apt-get install qemu-user"}
ARM64_MUSL = "Debian: dpkg --add-architecture arm64, apt-get update, apt-get install musl:arm64"
MACHINES = {
    "x86-64": Machine("manylinux_2_17_x86_64", "x86_64-linux-gnu.2.17", X86_64),
    "x86-64, glibc 2.31": Machine(
        "manylinux_2_17_x86_64",
        "x86_64-linux-gnu.2.17",
        X86_64,
        tuple(map(str, BULLSEYE_LOADER)),
        {"debootstrap": "Debian: apt-get install debootstrap"},
    ),
    "aarch64": Machine(
        "manylinux_2_17_aarch64",
        "aarch64-linux-gnu.2.28",
        AARCH64,
        ("qemu-aarch64", "-L", str(SYSROOT)),
        {**QEMU, f"{CROSS}/lib/libstdc++.so.6": "Debian: apt-get install libc6-arm64-cross libstdc++6-arm64-cross"},
    ),
    "x86-64, musl": Machine(
        "musllinux_1_2_x86_64",
        "x86_64-linux-musl",
        X86_64,
        ("/lib/ld-musl-x86_64.so.1",),
        {"/lib/ld-musl-x86_64.so.1": "Debian: apt-get install musl"},
    ),
    "aarch64, musl": Machine(
        "musllinux_1_2_aarch64",
        "aarch64-linux-musl",
        AARCH64,
        ("qemu-aarch64", "/lib/ld-musl-aarch64.so.1"),
        {**QEMU, "/lib/ld-musl-aarch64.so.1": ARM64_MUSL},
    ),
    "windows": Machine(
        "win_amd64", "x86_64-windows-gnu", X86_64, ("wine",), {"wine": "Debian: apt-get install wine64"}
    ),
}


# ONNX Runtime looks at the CPU while it is loaded, and crashes at what an x86-64 host says.
CPU = "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd08\n\n"


@pytest.fixture(scope="module", autouse=True)
def sysroot():
    """What QEMU shows to a program of aarch64 in place of this machine's files."""
    (SYSROOT / "proc").mkdir(parents=True, exist_ok=True)
    (SYSROOT / "proc" / "cpuinfo").write_text(CPU)
    if not (SYSROOT / "lib").is_symlink():
        (SYSROOT / "lib").symlink_to(CROSS / "lib")


def machine_of(name: str) -> Machine:
    """Skips the test where this machine cannot run such programs."""
    machine = MACHINES[name]
    for tool, command in machine.needs.items():
        require(tool, command)
    if str(BULLSEYE) in "".join(machine.emulator) and not (BULLSEYE / "complete").exists():
        if os.geteuid() != 0:
            pytest.skip("debootstrap installs Debian's packages as root alone")
        shutil.rmtree(BULLSEYE, ignore_errors=True)
        run("debootstrap", "--variant=minbase", "bullseye", BULLSEYE, "http://deb.debian.org/debian")
        (BULLSEYE / "complete").touch()
    return machine


@pytest.fixture(scope="module")
def calls():
    return kernel_calls.all_calls()


@pytest.mark.parametrize("name", MACHINES)
def test_every_instruction_set_returns_the_references_results(name, calls, wheels, tmp_path):
    machine = machine_of(name)
    library = wheels.library(machine.tag)
    program = machine.build(PROGRAMS / "kernel_check.cpp", tmp_path)
    (tmp_path / "calls").write_bytes(b"".join(call.pack() for call in calls))
    for isa in available(machine, program, library, tmp_path):
        done = machine.run(program, library, tmp_path / "calls", tmp_path / isa, isa, 1)
        assert done.stdout.splitlines() == [f"{len(calls)} calls on {isa}"]
        worst = kernel_calls.worst_differences(calls, kernel_calls.read_answers(calls, tmp_path / isa))
        assert {name: value for name, value in worst.items() if not value <= kernel_calls.BARS[name]} == {}


def available(machine, program, library, folder) -> tuple[str, ...]:
    """The instruction sets that this machine's CPU has."""
    (folder / "none").touch()
    widest = machine.run(program, library, folder / "none", folder / "answers", "", 1).stdout.split()[-1]
    return machine.isas[machine.isas.index(widest) :]


def pack(arrays) -> bytes:
    """Tensors as session.c reads them."""
    parts = []
    for array in arrays:
        head = (onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.ndim, *array.shape)
        parts += [np.array(head, np.int64).tobytes(), array.tobytes()]
    return b"".join(parts)


def unpack(data: bytes) -> list[np.ndarray]:
    arrays, at = [], 0
    while at < len(data):
        number, rank = np.frombuffer(data, np.int64, 2, at)
        shape = np.frombuffer(data, np.int64, rank, at + 16)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(int(number))
        arrays.append(np.frombuffer(data, dtype, int(shape.prod()), at + 16 + 8 * rank).reshape(shape))
        at += 16 + 8 * rank + arrays[-1].nbytes
    return arrays


def runtime_of_npm(member: str) -> Path:
    """A file of the newest onnxruntime-node, which has ONNX Runtime's library for every platform."""
    RUNTIMES.mkdir(parents=True, exist_ok=True)
    if not list(RUNTIMES.glob("*.tgz")):
        require("npm", "Debian: apt-get install npm")
        run("npm", "pack", "onnxruntime-node", cwd=RUNTIMES)
    (package,) = RUNTIMES.glob("*.tgz")
    with tarfile.open(package) as archive:
        archive.extractall(RUNTIMES, [archive.getmember(f"package/bin/napi-v6/{member}")], filter="data")
    return RUNTIMES / "package" / "bin" / "napi-v6" / member


def runtime_of_pypi(platform: str) -> Path:
    """The library in the wheel of the installed onnxruntime's version for another platform."""
    folder = RUNTIMES / platform
    version = f"onnxruntime=={onnxruntime.__version__}"
    options = ("--no-deps", "--only-binary", ":all:", "--platform", platform, "-d", folder)
    run(sys.executable, "-m", "pip", "download", *options, version)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = (name for name in archive.namelist() if "/libonnxruntime.so" in name)
        return Path(archive.extract(member, folder))


def runtime_of(tag: str) -> Path:
    if tag == "win_amd64":
        return runtime_of_npm("win32/x64/onnxruntime.dll")
    if tag == "manylinux_2_17_aarch64":
        return runtime_of_pypi("manylinux_2_28_aarch64")
    (library,) = Path(onnxruntime.__file__).with_name("capi").glob("libonnxruntime.so*")
    return library


# ONNX Runtime has no build for musl.
SESSIONS = [name for name in MACHINES if "musl" not in name]


@pytest.fixture(scope="module", params=SESSIONS)
def session(request, wheels, tmp_path_factory):
    """Runs a model on a platform: (door, model, arrays, isa) -> outputs."""
    machine, folder = machine_of(request.param), tmp_path_factory.mktemp("session")
    program, runtime = machine.build(HERE / "session.c", folder), runtime_of(machine.tag)

    def outputs(door, model, arrays, isa):
        for name, data in (("model", model), ("inputs", pack(arrays))):
            (folder / name).write_bytes(data)
        places = (folder / "model", folder / "inputs", folder / "outputs")
        machine.run(program, runtime, wheels.library(machine.tag), door, OPSET, isa, *places)
        return unpack((folder / "outputs").read_bytes())

    return machine, outputs


OPSET = 22  # ONNX Runtime has no kernel of its own for this RoiAlign: whatever runs it is ours
DOORS = ("provider", "custom_op")


def assert_vectors_pass(outputs, door, isas):
    cases = [case for case in onnx_vectors.cases() if case.id.endswith(f"@{OPSET}")]
    assert len(cases) == 3
    for case in cases:
        arrays = [case.inputs[value.name] for value in case.model.graph.input]
        for isa in isas:
            (got,) = outputs(door, case.model.SerializeToString(), arrays, isa)
            assert judge_outputs(case, {case.model.graph.output[0].name: got}).status is Status.PASS


@pytest.mark.parametrize("door", DOORS)
def test_the_vectors_of_onnx(door, session):
    machine, outputs = session
    assert_vectors_pass(outputs, door, machine.isas[-2:])


@pytest.mark.parametrize("door", DOORS)
def test_a_detector(door, session):
    machine, outputs = session
    model = (ROOT / "models" / "detectors" / f"mask_rcnn_tiny_torchscript_opset{OPSET}.onnx").read_bytes()
    with np.load(ROOT / "models" / "detectors" / "mask_rcnn_tiny.npz") as arrays:
        data = dict(arrays)
    names = [output.name for output in onnx.load_from_string(model).graph.output]
    widest, baseline = (outputs(door, model, [data["image"]], isa) for isa in machine.isas[-2:])
    for name, one, other in zip(names, widest, baseline, strict=True):
        np.testing.assert_allclose(one, data[name], atol=tolerances.EXPORTS, rtol=0)
        np.testing.assert_allclose(one, other, atol=tolerances.EXPORTS, rtol=0)


@pytest.mark.parametrize("door", DOORS)
def test_a_session_with_the_environments_instruction_set_ends_without_a_crash(door, session, monkeypatch):
    # The library keeps that name; a destructor of it would run after ONNX Runtime has unloaded the library.
    monkeypatch.setenv("ONNX_ROIALIGN_ISA", "baseline")
    assert_vectors_pass(session[1], door, [""])


def test_the_tests_of_sessions_pass_in_a_fresh_environment_without_a_compiler(wheels, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    programs = tmp_path / "venv" / "bin"
    wheel = wheels.wheels["manylinux_2_17_x86_64"]
    run(programs / "pip", "install", "--quiet", "--only-binary", ":all:", f"onnx_roialign[all,test] @ file://{wheel}")
    # What the tests need of the checkout, without the package, so that they import the wheel's.
    for name in ("tests", "models"):
        shutil.copytree(ROOT / name, tmp_path / "checkout" / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "checkout")
    environment = {"PATH": str(programs), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    assert not any(
        shutil.which(compiler, path=environment["PATH"]) for compiler in ("cc", "gcc", "c++", "clang", "zig")
    )
    options = ("-q", "-p", "no:cacheprovider", "-m", "not long", "tests/sessions")
    done = run(programs / "pytest", *options, cwd=tmp_path / "checkout", env=environment)
    assert " passed" in done.stdout
    assert "error" not in done.stdout.splitlines()[-1]
