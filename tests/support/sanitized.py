"""The library built under sanitizers: for test_sanitizers.py and test_fuzz.py."""

from __future__ import annotations

import subprocess
from pathlib import Path

from paths import ROOT

ADDRESS = "address,undefined,float-cast-overflow"
THREAD = "thread"
FUZZER = "fuzzer-no-link," + ADDRESS


def build_library(folder: Path, sanitizers: str, compiler: str = "g++") -> Path:
    """Path of the library; sanitizers as -fsanitize takes them."""
    configure = ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", f"-DCMAKE_CXX_COMPILER={compiler}"]
    run([*configure, f"-DONNX_ROIALIGN_SANITIZE={sanitizers}"])
    run(["cmake", "--build", folder])
    return folder / "kernels" / "libonnx_roialign.so"


def build_program(program: Path, source: Path, library: Path, sanitizers: str, compiler: str, *options: str) -> None:
    """A program with the library; the sanitizers' runtime comes with the program."""
    flags = [f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", "-g1", "-O1", "-I", ROOT / "kernels" / "c"]
    run([compiler, *options, *flags, source, library, f"-Wl,-rpath,{library.parent}", "-pthread", "-o", program])


def run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
