"""The wheels and the sdist, built once by .ci/wheels.py for all tests of a run: a minute or more for each wheel."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import subprocess
import sys
import zipfile

import pytest
from built_wheels import URL, Wheels
from paths import ROOT


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    if importlib.util.find_spec("ziglang") is None and "CI" not in os.environ:
        pytest.skip("building wheels needs zig: pip install '.[wheels]'")
    folder = ROOT / "build" / "wheels" / "tested"
    folder.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, ROOT / ".ci" / "wheels.py", "--dist", folder]
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = folder.parent / "tested_run"  # xdist's name of the run whose other worker has built the wheels
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
        if run is None or not mark.exists() or mark.read_text() != run:
            mark.unlink(missing_ok=True)
            done = subprocess.run(command, env={**os.environ, "ONNX_ROIALIGN_URL": URL}, capture_output=True, text=True)
            assert done.returncode == 0, f"{done.stdout[-4000:]}{done.stderr[-4000:]}"
            mark.write_text(run or "")
        built = {wheel.stem.rpartition("-")[2].rpartition(".")[2]: wheel for wheel in folder.glob("*.whl")}
        unpacked = {tag: tmp_path_factory.mktemp(tag) for tag in built}
        for tag, wheel in built.items():
            zipfile.ZipFile(wheel).extractall(unpacked[tag])
        (sdist,) = folder.glob("*.tar.gz")
    return Wheels(sdist, built, unpacked)
