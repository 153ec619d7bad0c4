"""Tests `pip install .` without a compiler, with code that does not compile, and of the Python parts alone."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from paths import ROOT

SOURCES = (
    "CMakeLists.txt",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "conformance",
    "kernels",
    "models",
    "onnx_roialign",
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture
def checkout(tmp_path):
    """Copies what a build reads to a new folder: it uses no build of the checkout, and leaves none in it."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("*.so", "*.pyc"))
        else:
            shutil.copy(ROOT / name, folder / name)
    return folder


def build_wheel(checkout, **environment):
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", "wheels", "./checkout"]
    return subprocess.run(
        command, cwd=checkout.parent, env={**os.environ, **environment}, capture_output=True, text=True
    )


def wheels(checkout):
    return list(checkout.parent.glob("wheels/*.whl"))


def path_without_compilers(tmp_path):
    """A folder of the tools that a build needs, except a compiler."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("cmake", "ninja"):
        (folder / name).symlink_to(shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}"))
    return str(folder)


def test_without_a_compiler_one_line_has_the_way_out(checkout, tmp_path):
    done = build_wheel(checkout, PATH=path_without_compilers(tmp_path), CXX="", CC="")
    assert done.returncode != 0
    text = " ".join((done.stdout + done.stderr).split())
    assert (
        "onnx_roialign needs a C++17 compiler, got none: install GCC or Clang, or the pure Python parts alone" in text
    )
    assert wheels(checkout) == []


def test_code_that_does_not_compile_is_an_error(checkout):
    with (checkout / "kernels" / "plan" / "geometry.h").open("a") as header:
        header.write('#error "this does not compile"\n')
    done = build_wheel(checkout)
    assert done.returncode != 0
    assert 'error "this does not compile"' in done.stdout + done.stderr
    assert wheels(checkout) == []


def test_the_python_parts_alone_report_in_one_line_that_there_is_no_kernel(checkout, tmp_path):
    done = build_wheel(checkout, ONNX_ROIALIGN_PURE="1", PATH=path_without_compilers(tmp_path), CXX="", CC="")
    assert done.returncode == 0, done.stderr[-4000:]
    (wheel,) = wheels(checkout)
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    assert not list(installed.rglob("*.so"))

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(installed), "COLUMNS": "500"}
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
        )

    pooled = "import numpy as np, onnx_roialign as o\nX, rois = np.ones((1, 1, 4, 4)), np.array([[0.0, 0, 2, 2]])\n"
    done = run("-c", pooled + "print(o.__file__, o.roi_align(X, rois, np.zeros(1, int), engine='reference').item())")
    assert (done.stdout, done.stderr) == (f"{installed}/onnx_roialign/__init__.py 1.0\n", "")
    done = run("-c", pooled + "o.roi_align(X, rois, np.zeros(1, int))")
    missing = done.stderr.splitlines()[-1]
    assert missing.startswith("onnx_roialign.errors.NativeLibraryError: the compiled library is missing")
    health = run("-m", "onnx_roialign", "info")
    assert health.returncode == 1
    assert "missing" in health.stdout + health.stderr
    for arguments in (("-m", "onnx_roialign.conformance"), ("-m", "onnx_roialign", "demo")):
        done = run(*arguments)
        assert done.returncode != 0
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "the compiled library is missing" in done.stderr
