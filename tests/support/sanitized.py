"""The library built under sanitizers, and programs and Python with it: for test_sanitizers.py and test_fuzz.py."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from paths import ROOT

ADDRESS = "address,undefined,float-cast-overflow"
THREAD = "thread"


@dataclass(frozen=True)
class Sanitized:
    """A library built under AddressSanitizer and UndefinedBehaviorSanitizer."""

    library: Path
    compiler: str
    has_fuzzer: bool

    def environment(self) -> dict[str, str]:
        """The environment with which Python loads it: the sanitizers' runtime must be loaded before the library."""
        runtimes = ("libclang_rt.asan-x86_64.so",) if self.has_fuzzer else ("libasan.so", "libubsan.so")
        return {
            **os.environ,
            "LD_PRELOAD": ":".join(self._runtime(name) for name in runtimes),
            # The interpreter keeps its memory until it ends; allocations above all memory are refused, as elsewhere.
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONMALLOC": "malloc",
        }

    def _runtime(self, name: str) -> str:
        command = [self.compiler, f"-print-file-name={name}"]
        path = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        assert Path(path).is_absolute(), f"{self.compiler} has no {name}"
        return path


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


def compiler_with_fuzzer(folder: Path) -> str | None:
    """The newest clang++ that has libFuzzer (Debian: clang-NN and libclang-rt-NN-dev)."""
    source = folder / "none.cpp"
    source.write_text('extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n')
    for compiler in _clangs():
        command = [compiler, "-fsanitize=fuzzer", source, "-o", folder / "none"]
        if subprocess.run(command, capture_output=True).returncode == 0:
            return compiler
    return None


def _clangs() -> list[str]:
    """The installed clang++, newest first."""
    folders = map(Path, os.environ["PATH"].split(os.pathsep))
    found = {
        path for folder in folders for path in folder.glob("clang++*") if re.fullmatch(r"clang\+\+(-\d+)?", path.name)
    }
    versions = {}
    for path in sorted(found):
        done = subprocess.run([path, "-dumpversion"], capture_output=True, text=True)
        if done.returncode == 0:
            versions[str(path)] = tuple(map(int, re.findall(r"\d+", done.stdout)))
    return sorted(versions, key=versions.__getitem__, reverse=True)
