"""Programs in C and C++ run the demo's detector through the library's doors, with the bits of a Python session."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from installed_versions import newest_opset
from paths import ROOT
from quiet import DOORS, quiet_session

import onnx_roialign

MODEL = ROOT / "models" / "shapes" / "mask_rcnn_torchscript_opset22.onnx"
HOSTS = Path(__file__).parent
HEIGHT, WIDTH = 160, 192
OUTPUTS = (np.float32, np.int64, np.float32, np.float32)

pytestmark = pytest.mark.skipif(newest_opset() < 22, reason="this onnxruntime does not load the detector's opset")


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, f"{done.stdout[-2000:]}{done.stderr[-2000:]}"


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(8).random((3, HEIGHT, WIDTH), dtype=np.float32)


def detections(path):
    """The outputs in a host's file."""
    data, found, at = path.read_bytes(), [], 0
    for dtype in OUTPUTS:
        rank = int(np.frombuffer(data, np.int64, 1, at)[0])
        shape = np.frombuffer(data, np.int64, rank, at + 8)
        array = np.frombuffer(data, dtype, int(shape.prod()), at + 8 + 8 * rank).reshape(shape)
        found.append(array)
        at += 8 + 8 * rank + array.nbytes
    assert at == len(data)
    return found


def assert_as_python(host, image, folder, door):
    """Runs a host; what comes before the library among its arguments is its own."""
    image.tofile(folder / "image")
    run(*host, onnx_roialign.library_path(), MODEL, door, HEIGHT, WIDTH, folder / "image", folder / "output")
    want = quiet_session(MODEL, door).run(None, {"image": image})
    for got, expected in zip(detections(folder / "output"), want, strict=True):
        assert (got.shape, got.tobytes()) == (expected.shape, expected.tobytes())


@pytest.mark.parametrize("door", DOORS)
def test_c(door, image, tmp_path):
    (runtime,) = Path(onnxruntime.__file__).with_name("capi").glob("libonnxruntime.so*")
    program = tmp_path / "detector"
    strict = ["-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1"]
    run("cc", *strict, HOSTS / "detector.c", "-ldl", "-o", program)
    assert_as_python([program, runtime], image, tmp_path, door)


def header():
    """The folder of the official header of Debian's libonnxruntime-dev."""
    return next(
        (path for path in (Path("/usr/include/onnxruntime"), Path("/usr/local/include/onnxruntime")) if path.is_dir()),
        None,
    )


@pytest.mark.skipif(header() is None, reason="no onnxruntime_cxx_api.h (Debian 13: libonnxruntime-dev)")
def test_cpp(image, tmp_path):
    program = tmp_path / "detector"
    run("g++", "-std=c++17", "-Wall", "-Wextra", "-I", header(), HOSTS / "detector.cpp", "-lonnxruntime", "-o", program)
    image.tofile(tmp_path / "image")
    run(
        program,
        onnx_roialign.library_path(),
        MODEL,
        "custom_op",
        HEIGHT,
        WIDTH,
        tmp_path / "image",
        tmp_path / "output",
    )
    want = quiet_session(MODEL, "custom_op").run(None, {"image": image})
    for got, expected in zip(detections(tmp_path / "output"), want, strict=True):
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)  # another ONNX Runtime
