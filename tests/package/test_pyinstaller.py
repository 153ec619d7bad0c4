"""Tests that an app frozen by PyInstaller finds the compiled library and runs a model on it."""

import subprocess
import sys

import pytest

import models

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

APP = """
import sys
import numpy as np
import onnx_roialign

session = onnx_roialign.session(sys.argv[1])
shapes = [tuple(i.shape) for i in session.get_inputs()]
X, rois = np.ones((1, 1, 8, 8), np.float32), np.array([[0, 0, 4, 4]], np.float32)
(Y,) = session.run(None, dict(zip((i.name for i in session.get_inputs()), (X, rois, np.zeros(1, np.int64)))))
assert onnx_roialign.library_path().startswith(sys._MEIPASS), onnx_roialign.library_path()
print(onnx_roialign.roi_align(X, rois, np.zeros(1, np.int64)).item(), Y.max())
"""


def test_a_frozen_app_runs_a_model_on_the_compiled_library(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    model = tmp_path / "model.onnx"
    model.write_bytes(models.model(16).SerializeToString())
    # Not from the checkout, whose package has no library in it.
    command = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--onedir", "--log-level=ERROR", "app.py"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-4000:]
    done = subprocess.run([tmp_path / "dist" / "app" / "app", model], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1.0 1.0\n"), done.stderr[-4000:]
