"""The script that times other values of a constant finds it, changes only the value, and times the builds in turns."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys

import pytest
from paths import ROOT

from onnx_roialign.engines import native

TOOLS = ROOT / "kernels" / "tools"


@pytest.fixture(scope="module")
def try_constant():
    spec = importlib.util.spec_from_file_location("try_constant", TOOLS / "try_constant.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "file", "value"),
    [
        ("kSmallCall", "pool/groups.h", "4096"),
        ("kFewOfCall", "pool/few.h", "64"),
        ("kFewOfRoi", "pool/few.h", "8"),  # the second of its line
        ("kChannelBlockBytes", "pool/groups.cpp", "int64_t{1} << 18"),
        ("kManyChannels", "pool/roi_align.cpp", "16"),  # tools/ has a constant of this name too
        ("kPointsPlane", "plan/costs.h", "2.5"),
        ("kMany", "pool/points.inl", "16"),
    ],
)
def test_it_finds_a_constant_and_changes_only_its_value(try_constant, name, file, value):
    path, definition = try_constant.find(name, ROOT / "kernels")
    assert (path, definition[1]) == (ROOT / "kernels" / file, value)
    before = path.read_text(encoding="utf-8").splitlines()
    after = try_constant.with_value(path.read_text(encoding="utf-8"), definition, "12345").splitlines()
    ((old, new),) = ((one, other) for one, other in zip(before, after, strict=True) if one != other)
    assert new == old.replace(f"{name} = {value}", f"{name} = 12345")


@pytest.mark.parametrize(
    ("name", "places"), [("kNothing", "no file"), ("kMaxSamplingRatio", "checks.cpp, pool/qlinear.cpp")]
)
def test_a_constant_must_have_one_place(try_constant, name, places):
    message = f"try_constant.py: a constant must be defined in one place, got {name} in {places}"
    with pytest.raises(SystemExit, match=re.escape(message)):
        try_constant.find(name, ROOT / "kernels")


def test_a_report_compares_each_value_with_the_one_now(try_constant):
    rows = [{"call": "1 value", "ns": [2000, 1000, 5000]}]
    heading, line = try_constant.report("kSmallCall", "4096", ["1024", "8192"], rows)
    assert heading.split() == ["kSmallCall", "=", "4096", "1024", "8192"]
    assert line.split() == ["1", "value", "0.0020", "ms", "0.50x", "2.50x"]


def test_every_call_is_timed_in_every_build(tmp_path):
    program = tmp_path / "time_calls"
    flags = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-I", ROOT / "kernels")
    subprocess.run(["c++", *flags, TOOLS / "time_calls.cpp", "-o", program, "-ldl"], check=True)
    library = native.library_path()
    done = subprocess.run([program, "1", library, library], check=True, capture_output=True, text=True, timeout=100)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    source = (TOOLS / "time_calls.cpp").read_text(encoding="utf-8")
    assert [row["call"] for row in rows] == re.findall(r'^    \{"(.+)", \d', source, re.M)
    assert all(len(row["ns"]) == 2 and min(row["ns"]) > 0 for row in rows)
    refused = subprocess.run([program, "1", sys.executable], capture_output=True, text=True)
    assert refused.returncode == 1
    assert sys.executable in refused.stderr
