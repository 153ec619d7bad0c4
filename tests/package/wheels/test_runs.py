"""The wheels run: each library on its platform, emulated where this machine is another, in C programs and in Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
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
    """A platform as this machine runs it: zig's name, the program before a command, where that comes from, and ISAs."""

    target: str
    emulator: tuple[str, ...]
    package: str
    isas: tuple[str, ...]

    def build(self, source: Path, folder: Path, *flags: object) -> Path:
        """Returns a program, built for the platform and linked to its C library."""
        program = folder / (source.stem + (".exe" if "windows" in self.target else ""))
        zig = (sys.executable, "-m", "ziglang", "c++" if source.suffix == ".cpp" else "cc", "-target", self.target)
        run(*zig, "-O1", "-I", ROOT / "kernels" / "c", source, *flags, "-o", program)
        return program

    def require_emulator(self) -> None:
        if self.emulator and shutil.which(self.emulator[0]) is None:
            pytest.skip(f"{self.emulator[0]} not found (Debian: apt-get install {self.package})")

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        self.require_emulator()
        environment = {**os.environ, "WINEDEBUG": "-all", "WINEPREFIX": str(RUNTIMES / "wine")}
        return run(*self.emulator, *command, env=environment)


X86_64 = ("avx512", "avx2", "baseline")
CROSS = Path("/usr/aarch64-linux-gnu")  # Debian's C and C++ libraries for aarch64
SYSROOT = ROOT / "build" / "wheels" / "aarch64"
QEMU = ("qemu-aarch64", "-L", str(SYSROOT))
MUSL = ("/lib/ld-musl-x86_64.so.1",)
MACHINES = {
    "manylinux_2_17_x86_64": Machine("x86_64-linux-gnu", (), "", X86_64),
    "manylinux_2_17_aarch64": Machine(
        "aarch64-linux-gnu.2.28", QEMU, "qemu-user libc6-arm64-cross libstdc++6-arm64-cross", ("neon", "baseline")
    ),
    "musllinux_1_2_x86_64": Machine("x86_64-linux-musl", MUSL, "musl", X86_64),
    "win_amd64": Machine("x86_64-windows-gnu", ("wine",), "wine64", X86_64),
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


@pytest.fixture(scope="module")
def calls():
    return kernel_calls.all_calls()


@pytest.mark.parametrize("tag", MACHINES)
def test_every_instruction_set_returns_the_references_results(tag, calls, wheels, tmp_path):
    machine = MACHINES[tag]
    dynamic = ("-dynamic",) if "musl" in tag else ()
    program = machine.build(PROGRAMS / "kernel_check.cpp", tmp_path, *dynamic)
    (tmp_path / "calls").write_bytes(b"".join(call.pack() for call in calls))
    for isa in available(machine, program, wheels.library(tag), tmp_path):
        done = machine.run(program, wheels.library(tag), tmp_path / "calls", tmp_path / isa, isa, 1)
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
        run("npm", "pack", "onnxruntime-node", cwd=RUNTIMES)
    (package,) = RUNTIMES.glob("*.tgz")
    with tarfile.open(package) as archive:
        archive.extractall(RUNTIMES, [archive.getmember(f"package/bin/napi-v6/{member}")], filter="data")
    return RUNTIMES / "package" / "bin" / "napi-v6" / member


def runtime_of_pypi(platform: str) -> Path:
    """The library in the wheel of the installed onnxruntime's version for another platform."""
    folder = RUNTIMES / platform
    version = f"onnxruntime=={onnxruntime.__version__}"
    run(
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--platform",
        platform,
        "-d",
        folder,
        version,
    )
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


SESSIONS = {tag: machine for tag, machine in MACHINES.items() if "musl" not in tag}  # ONNX Runtime has none for musl


@pytest.fixture(scope="module", params=SESSIONS)
def session(request, wheels, tmp_path_factory):
    """Runs a model on a platform: (model, opset, arrays, isa) -> outputs."""
    tag, folder = request.param, tmp_path_factory.mktemp("session")
    machine = MACHINES[tag]
    machine.require_emulator()
    program, runtime = machine.build(HERE / "session.c", folder), runtime_of(tag)

    def outputs(model, opset, arrays, isa):
        for name, data in (("model", model), ("inputs", pack(arrays))):
            (folder / name).write_bytes(data)
        places = (folder / "model", folder / "inputs", folder / "outputs")
        machine.run(program, runtime, wheels.library(tag), opset, isa, *places)
        return unpack((folder / "outputs").read_bytes())

    return machine, outputs


def assert_vectors_pass(outputs, isas):
    cases = [case for case in onnx_vectors.cases() if case.id.endswith("@16")]
    assert len(cases) == 3
    for case in cases:
        arrays = [case.inputs[value.name] for value in case.model.graph.input]
        for isa in isas:
            (got,) = outputs(case.model.SerializeToString(), 16, arrays, isa)
            assert judge_outputs(case, {case.model.graph.output[0].name: got}).status is Status.PASS


def test_the_vectors_of_onnx(session):
    machine, outputs = session
    assert_vectors_pass(outputs, machine.isas[-2:])


def test_a_detector(session):
    machine, outputs = session
    model = (ROOT / "models" / "detectors" / "mask_rcnn_tiny_torchscript_opset16.onnx").read_bytes()
    with np.load(ROOT / "models" / "detectors" / "mask_rcnn_tiny.npz") as arrays:
        data = dict(arrays)
    names = [output.name for output in onnx.load_from_string(model).graph.output]
    widest, baseline = (outputs(model, 16, [data["image"]], isa) for isa in (machine.isas[-2], machine.isas[-1]))
    for name, one, other in zip(names, widest, baseline, strict=True):
        np.testing.assert_allclose(one, data[name], atol=tolerances.EXPORTS, rtol=0)
        np.testing.assert_allclose(one, other, atol=tolerances.EXPORTS, rtol=0)


def test_a_session_with_the_environments_instruction_set_ends_without_a_crash(session, monkeypatch):
    # The library keeps that name; a destructor of it would run after ONNX Runtime has unloaded the library.
    monkeypatch.setenv("ONNX_ROIALIGN_ISA", "baseline")
    assert_vectors_pass(session[1], [""])


def test_the_tests_of_sessions_pass_in_a_fresh_environment_without_a_compiler(wheels, tmp_path):
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    pip = (tmp_path / "venv" / "bin" / "pip", "install", "--quiet", "--only-binary", ":all:")
    run(*pip, f"onnx_roialign[runtime,reference,graph] @ file://{wheels.wheels['manylinux_2_17_x86_64']}")
    run(*pip, "pytest", "pytest-timeout", "hypothesis")
    environment = {"PATH": str(tmp_path / "venv" / "bin"), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    assert shutil.which("cc", path=environment["PATH"]) is None
    options = ("-q", "-p", "no:cacheprovider", "-m", "not long", ROOT / "tests" / "sessions")
    done = run(tmp_path / "venv" / "bin" / "pytest", *options, cwd=tmp_path, env=environment)
    assert " passed" in done.stdout
    assert "error" not in done.stdout.splitlines()[-1]
