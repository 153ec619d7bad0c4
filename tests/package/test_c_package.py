"""Programs in C find the installed library by its CMake package, by pkg-config, and by the folder of its header."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from paths import PROGRAMS, ROOT

import onnx_roialign
from onnx_roialign import NativeLibraryError
from onnx_roialign.engines import installation

CMAKE_LISTS = """
cmake_minimum_required(VERSION 3.18)
project(program LANGUAGES C)
find_package(onnx_roialign {version} CONFIG REQUIRED)
add_executable(c_call {source})
target_link_libraries(c_call PRIVATE onnx_roialign::onnx_roialign m)
message(STATUS "found ${{onnx_roialign_VERSION}}")
"""


def run(*command, **environment) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=200, env={**os.environ, **environment})


def runs(*command, **environment) -> str:
    done = run(*command, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def configured(folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(CMAKE_LISTS.format(version=version, source=PROGRAMS / "c_call.c"))
    build = folder / "build"
    return run("cmake", "-S", folder, "-B", build, "-G", "Ninja", f"-Donnx_roialign_DIR={onnx_roialign.cmake_dir()}")


def test_cmake_finds_the_package(tmp_path):
    done = configured(tmp_path / "program", "0.1")
    assert f"found {onnx_roialign.__version__}" in done.stdout, done.stderr
    runs("cmake", "--build", tmp_path / "program" / "build")
    runs(tmp_path / "program" / "build" / "c_call", onnx_roialign.__version__)


def test_cmake_refuses_another_minor_version(tmp_path):
    major, minor, *_ = onnx_roialign.__version__.split(".")
    done = configured(tmp_path / "program", f"{major}.{int(minor) + 1}")
    assert done.returncode != 0
    assert f"onnx_roialignConfig.cmake, version: {onnx_roialign.__version__}" in done.stderr


def test_pkg_config_finds_the_package(tmp_path):
    if shutil.which("pkg-config") is None and "CI" not in os.environ:
        pytest.skip("pkg-config not found (Debian: apt-get install pkg-config)")
    found = {"PKG_CONFIG_PATH": onnx_roialign.pkgconfig_dir()}
    assert runs("pkg-config", "--modversion", "onnx_roialign", **found) == f"{onnx_roialign.__version__}\n"
    flags = runs("pkg-config", "--cflags", "--libs", "onnx_roialign", **found).split()
    folder = Path(onnx_roialign.library_path()).parent
    runs("cc", PROGRAMS / "c_call.c", *flags, f"-Wl,-rpath,{folder}", "-lm", "-o", tmp_path / "c_call")
    runs(tmp_path / "c_call", onnx_roialign.__version__)


def test_the_headers_folder_has_the_header_of_the_checkout():
    installed = Path(onnx_roialign.include_dir(), "onnx_roialign.h")
    assert installed.read_bytes() == (ROOT / "kernels" / "c" / "onnx_roialign.h").read_bytes()


@pytest.mark.parametrize(
    ("function", "missing"),
    [
        ("include_dir", "the C header is missing, no include/onnx_roialign.h"),
        ("cmake_dir", "the CMake package is missing, no cmake/onnx_roialignConfig.cmake"),
        ("pkgconfig_dir", "the pkg-config file is missing, no pkgconfig/onnx_roialign.pc"),
    ],
)
def test_a_pure_installation_says_what_is_missing(function, missing, monkeypatch, tmp_path):
    monkeypatch.setattr(installation.importlib.resources, "files", lambda _: tmp_path)
    monkeypatch.setattr(installation, "_installed", lambda _: "")
    with pytest.raises(NativeLibraryError, match=missing):
        getattr(onnx_roialign, function)()
