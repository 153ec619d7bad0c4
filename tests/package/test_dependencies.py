"""What must be installed: numpy, onnx and any build of onnxruntime. The rest comes by extras, when it is needed."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Iterable

import onnx
import pytest

import models
import onnx_roialign
from models import cast_model
from onnx_roialign import extras
from onnx_roialign.sessions import installed, options

OPTIONAL = ("matplotlib", "onnx.reference", "onnx_ir", "onnxruntime_extensions", "rich", "typer")


def run_without(packages: Iterable[str], code: str) -> subprocess.CompletedProcess[str]:
    """Runs the code where these packages cannot be imported, as if they were not installed."""
    start = f"import sys; sys.modules.update(dict.fromkeys({tuple(packages)!r}))\n"
    return subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, timeout=120)


def requirements(extra: str) -> dict[str, str]:
    """Package -> version of what an extra ("" for none) asks for, those of extras in it too."""
    found: dict[str, str] = {}
    for line in importlib.metadata.requires("onnx_roialign") or ():
        what, _, marker = line.partition(";")
        condition = re.search(r"extra == ['\"](.+)['\"]", marker)
        if (condition[1] if condition else "") != extra:
            continue
        if inner := re.match(r"onnx[-_]roialign\[(.+)\]", what):
            for name in inner[1].split(","):
                found |= requirements(name)
        else:
            name, version = re.match(r"([\w-]+)[ (]*([^)]*)", what).groups()
            found[name.replace("-", "_")] = version.strip()
    return found


def test_only_numpy_and_onnx_are_installed_with_the_package():
    assert sorted(requirements("")) == ["numpy", "onnx"]


def test_the_extra_all_contains_every_other_extra():
    everything = requirements("all")
    for name in ("runtime", "reference", "graph", "cli", "plot", "conform"):
        brought = requirements(name)
        assert brought
        assert brought.items() <= everything.items()


@pytest.mark.parametrize("package", sorted(extras._INSTALLED_BY))
def test_the_extra_in_a_message_installs_the_package(package):
    named = re.search(r"onnx_roialign\[(\w+)\]", extras._INSTALLED_BY[package])
    assert package in requirements(named[1] if named else "runtime")


def test_the_oldest_onnxruntime_is_the_declared_one():
    assert requirements("runtime")["onnxruntime"] == ">=" + ".".join(map(str, options._OLDEST))


def test_importing_the_package_imports_nothing_that_is_slow_or_optional():
    late = (*OPTIONAL, "onnx", "onnxruntime")
    code = f"import onnx_roialign; print([name for name in {late} if name in sys.modules])"
    done = run_without((), code)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_definition_imports_numpy_alone():
    code = """
import importlib, pkgutil, sys
import numpy.random
before = set(sys.modules)
import onnx_roialign.definition as definition
modules = [found.name for found in pkgutil.walk_packages(definition.__path__, "onnx_roialign.definition.")]
for name in modules:
    importlib.import_module(name)
packages = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
print("onnx_roialign.definition.semantics" in modules, sorted(packages - {"numpy"}))
"""
    done = run_without((), code)
    assert (done.stdout, done.stderr) == ("True ['onnx_roialign']\n", "")


def test_a_native_session_and_the_arrays_need_nothing_optional():
    code = f"""
import numpy as np, onnx, onnx_roialign
from onnx_roialign.frameworks import torchvision
X, rois = np.ones((1, 1, 8, 8), np.float32), np.array([[0, 0, 4, 4]], np.float32)
for engine in ("native", "reference"):
    print(onnx_roialign.roi_align(X, rois, np.zeros(1, np.int64), engine=engine).shape)
model = torchvision.RoIAlign(2, 1.0, 2).to_onnx(opset=16)
onnx_roialign.register(__import__("onnxruntime").SessionOptions(), model)
print(len(onnx_roialign.serving.SessionSpec(model).session().get_outputs()))
print(len(onnx_roialign.session(model).get_outputs()))
print([name for name in {OPTIONAL} if sys.modules.get(name) is not None])
"""
    done = run_without((name for name in OPTIONAL if "." not in name), code)
    assert done.stderr == ""
    assert done.stdout == "(1, 1, 1, 1)\n(1, 1, 1, 1)\n1\n1\n[]\n"


ARRAYS = "np.zeros((1, 1, 4, 4), np.uint8), 1.0, 0, [np.zeros((1, 4), np.float32)], 2"


@pytest.mark.parametrize(
    ("package", "code", "message"),
    [
        ("onnxruntime", "import onnx_roialign; onnx_roialign.session('m')", "onnx_roialign.session needs onnxruntime"),
        ("onnxruntime", "from onnx_roialign import register", "onnx_roialign.register needs onnxruntime"),
        (
            "onnxruntime",
            "import numpy as np; from onnx_roialign.frameworks import torchvision\n"
            f"torchvision.roi_align_quantized({ARRAYS})",
            "roi_align_quantized() on engine 'native' needs onnxruntime",
        ),
        (
            "onnxruntime_extensions",
            "import onnx_roialign; from onnx_roialign.frameworks import torchvision as t\n"
            "onnx_roialign.session(t.RoIAlign(2, 1.0, 2).to_onnx(opset=16), engine='reference')",
            "engine 'reference' needs onnxruntime_extensions",
        ),
        ("onnx_ir", "from onnx_roialign.graph import validate", "onnx_roialign.graph needs onnx_ir"),
        ("onnxruntime", "from onnx_roialign.serving import SessionSpec", "onnx_roialign.serving needs onnxruntime"),
        (
            "onnx_ir",
            "from onnx_roialign.frameworks import torchvision as t; from onnx_roialign.serving import deploy_triton\n"
            "deploy_triton(t.RoIAlign(2, 1.0, 2).to_onnx(opset=16), '/nowhere', name='m')",
            "onnx_roialign.graph needs onnx_ir",
        ),
    ],
)
def test_a_function_that_needs_a_package_reports_how_to_install_it(package, code, message):
    done = run_without([package], code)
    assert done.returncode == 1
    error = f"onnx_roialign.errors.MissingPackageError: {message}, which is not installed: "
    assert done.stderr.splitlines()[-1] == error + extras._INSTALLED_BY[package]


@pytest.mark.parametrize(
    ("package", "arguments", "message"),
    [
        ("typer", ["info"], "the command line needs typer"),
        ("rich", ["info"], "the command line needs rich"),
        ("onnxruntime", ["info"], "the command line needs onnxruntime"),
        ("matplotlib", ["demo", "--output", "{tmp}"], "the demo's picture needs matplotlib"),
        (
            "matplotlib",
            ["explain", "--roi", "1,1,4,4", "--feature", "8x8", "--scale", "1", "-o", "{tmp}/roi.png"],
            "the picture needs matplotlib",
        ),
        ("matplotlib", ["bench", "--plot", "{tmp}/bench.png"], "--plot needs matplotlib"),
        ("psutil", ["conform"], "the conformance suite needs psutil"),
        ("onnx_ir", ["validate", "{tmp}/model.onnx"], "onnx_roialign.graph needs onnx_ir"),
    ],
)
def test_a_command_reports_in_one_line_what_it_needs(package, arguments, message, tmp_path):
    onnx.save(models.model(16), tmp_path / "model.onnx")
    words = ["onnx-roialign", *(word.format(tmp=tmp_path) for word in arguments)]
    code = f"import runpy; sys.argv = {words!r}; runpy.run_module('onnx_roialign', run_name='__main__')"
    done = run_without([package], code)
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"onnx-roialign: {message}, which is not installed: {extras._INSTALLED_BY[package]}\n"


def test_with_json_what_is_missing_is_a_document_too():
    words = "sys.argv = ['onnx-roialign', 'info', '--json']"
    done = run_without(["typer"], f"import runpy; {words}; runpy.run_module('onnx_roialign', run_name='__main__')")
    document = json.loads(done.stdout)
    assert (done.returncode, document["error"]["exit_code"]) == (4, 4)
    assert done.stderr == f"onnx-roialign: {document['error']['message']}\n"


def test_the_conformance_suite_reports_in_one_line_what_it_needs():
    done = run_without(["rich"], "import runpy; runpy.run_module('onnx_roialign.conformance', run_name='__main__')")
    assert (done.returncode, done.stdout) == (4, "")
    missing = f"the command line needs rich, which is not installed: {extras._INSTALLED_BY['rich']}"
    assert done.stderr == f"onnx-roialign: {missing}\n"


def test_another_missing_module_raises_its_own_error():
    with pytest.raises(ModuleNotFoundError, match="No module named 'nobody_has_this'"), extras.imported_for("a test"):
        __import__("nobody_has_this")


def test_the_lazily_imported_names_exist():
    code = """
import onnx_roialign, onnx_roialign.identification.recorded
assert callable(onnx_roialign.identify) and onnx_roialign.identify.__module__ == "onnx_roialign.identification.live"
assert set(onnx_roialign.__all__) <= set(dir(onnx_roialign))
for name in onnx_roialign.__all__:
    exec(f"from onnx_roialign import {name}")
assert vars(onnx_roialign)["session"] is session
onnx_roialign.nothing
"""
    done = run_without((), code)
    assert done.stderr.splitlines()[-1] == "AttributeError: module 'onnx_roialign' has no attribute 'nothing'"


def test_the_abilities_of_onnxruntime_are_tested_on_the_installed_one():
    assert [installed.has_builtin_kernel(opset) for opset in (9, 10, 16, 1000)] == [False, True, True, False]
    assert [installed.loads_opset(opset) for opset in (9, 16, 1000)] == [True, True, False]


def test_an_unsupported_opset_is_named_with_the_newest_supported_one():
    newest = max(filter(installed.loads_opset, range(16, onnx.defs.onnx_opset_version() + 1)))
    model = cast_model(16, onnx.TensorProto.FLOAT16)
    model.opset_import[0].version = 1000
    message = (
        rf"model must be of opset {newest} at most for onnxruntime \d\S+, got opset 1000: upgrade onnxruntime, "
        rf"or convert the model \(onnx_roialign.graph.convert_opset\(model, {newest}\)\)"
    )
    with pytest.raises(onnx_roialign.RoiAlignError, match=message):
        onnx_roialign.session(model)
