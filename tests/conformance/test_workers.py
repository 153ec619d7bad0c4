"""Tests the worker programs: Python with numpy and onnx alone, Node.js, and C++ on Debian's ONNX Runtime."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv

import numpy as np
import onnx
import pytest
from command_line import invoke
from conformance_runs import PLANTED, three_cases
from onnx import numpy_helper
from paths import ROOT

from onnx_roialign.conformance.cases import all_cases
from onnx_roialign.conformance.layout import read_outputs, write_question
from onnx_roialign.conformance.process import Launch, Limits, LostError, Worker

WORKERS = ROOT / "conformance" / "workers"
PYTHON_WORKER = (sys.executable, str(WORKERS / "python_worker.py"))

# ONNX Runtime's own kernel passes these, of which each says something of a worker: inputs without elements, outputs
# without elements, float64, several outputs, NaN and infinity.
CHOSEN = (
    "onnx/*@16",
    "images/no-rois-*@16",
    "types/float64-*@16",
    "graphs/*@16",
    "contested/*",
    "robust/batch-index-*",
)


@pytest.fixture(scope="module")
def cases():
    return all_cases()


def conform(*arguments):
    chosen = [word for pattern in CHOSEN for word in ("--case", pattern)]
    return invoke("conform", *chosen, "--json", *arguments)


def passes_as_builtin(result, name):
    """The statuses of a worker are those of ONNX Runtime's kernel in Python, which other tests check."""
    assert result.exit_code in (0, 1), result.output
    (run,) = json.loads(result.stdout)["runs"]
    assert run["backend"] == name
    expected = json.loads(conform("--backend", "builtin").stdout)["runs"][0]["results"]
    statuses = {entry["case"]: (entry["status"], entry["side"]) for entry in run["results"]}
    assert statuses == {entry["case"]: (entry["status"], entry["side"]) for entry in expected}
    passed = sum(status == "pass" for status, _ in statuses.values())
    assert passed > 20
    return run


def test_the_worker_for_python_speaks_the_protocol(tmp_path):
    case = three_cases()[1]
    write_question(tmp_path / "case", case)
    requests = [{"do": "start"}, {"do": "run", "folder": str(tmp_path / "case")}, {"do": "stop"}]
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    command = (*PYTHON_WORKER, f"{PLANTED}:Prints")
    done = subprocess.run(command, input=lines, capture_output=True, text=True, errors="replace", timeout=60)
    who, ran = map(json.loads, done.stdout.splitlines())
    assert (who["name"], who["version"]) == ("right", "1.2.3")
    assert ran == {"status": "ok", "text": ""}
    assert done.stderr.startswith("garbage\n")
    assert done.returncode == 0
    tensor = onnx.load_tensor(tmp_path / "case" / "test_data_set_0" / "output_0.pb")
    assert tensor.name == case.model.graph.output[0].name
    np.testing.assert_allclose(numpy_helper.to_array(tensor), case.outcomes[0].outputs[tensor.name], atol=1e-6)


ECHO = '''
class Backend:
    """Returns its inputs: what a worker reads is what it writes."""

    name = "echo"

    @staticmethod
    def run_model(model, inputs, device):
        return list(inputs)
'''


def test_arrays_of_every_type_travel_through_a_worker_as_they_are(tmp_path, cases):
    (tmp_path / "echo.py").write_text(ECHO)
    launch = Launch("echo", (*PYTHON_WORKER, f"{tmp_path / 'echo.py'}:Backend"))
    chosen = {}
    for case in cases:  # of each type and shape without elements the first, and those with NaN and infinity
        for array in case.inputs.values():
            finite = bool(np.isfinite(array.astype(np.float64)).all())
            chosen.setdefault((str(array.dtype), array.size == 0, finite), case)
    assert {kind for kind, *_ in chosen} >= {"float16", "bfloat16", "float32", "float64", "int64"}
    assert {(empty, finite) for _, empty, finite in chosen} == {(True, True), (False, True), (False, False)}
    with Worker(launch, Limits()) as worker:
        for index, case in enumerate(chosen.values()):
            folder = tmp_path / str(index)
            write_question(folder, case)
            assert worker.run(folder).status == "ok"
            names = [value.name for value in case.model.graph.input if value.name in case.inputs]
            got = read_outputs(folder / "test_data_set_0", names)
            for array, sent in zip(got.values(), (case.inputs[name] for name in names), strict=True):
                assert (array.dtype, array.shape, array.tobytes()) == (sent.dtype, sent.shape, sent.tobytes())


@pytest.mark.long
@pytest.mark.timeout(900)
def test_an_environment_with_numpy_and_onnx_alone_is_enough(tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "numpy", "onnx"], check=True, timeout=600)
    listed = subprocess.run([python, "-c", "import onnx_roialign"], capture_output=True, text=True, cwd=tmp_path)
    assert "ModuleNotFoundError" in listed.stderr
    backend = tmp_path / "mine.py"
    shutil.copy(PLANTED, backend)
    result = invoke("conform", "--python", python, "--backend", f"{backend}:Right", "--case", "onnx/*@16")
    assert result.exit_code == 0, result.output
    result = invoke("conform", "--python", python, "--backend", "onnx-reference", "--case", "onnx/*")
    assert result.exit_code == 0, result.output
    result = invoke("conform", "--python", python, "--backend", "reference", "--case", "onnx/*")
    assert result.exit_code == 2
    assert "got 'reference' (ModuleNotFoundError: No module named 'onnx" in result.stderr


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js is not installed")
def test_onnxruntime_in_node_and_as_webassembly_computes_what_it_does_in_python(tmp_path):
    shutil.copy(WORKERS / "package.json", tmp_path)
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=600)
    for name in ("onnxruntime-node", "onnxruntime-web"):
        run = passes_as_builtin(conform("--worker", f"node {WORKERS / 'node.mjs'} {name} {tmp_path}"), name)
        assert run["version"]
    result = invoke("conform", "--worker", f"node {WORKERS / 'node.mjs'} onnxruntime-deno")
    assert result.exit_code == 2
    assert "the package must be one of onnxruntime-node, onnxruntime-web, got onnxruntime-deno" in result.stderr


# A module of WebAssembly that traps, as onnxruntime-web does where its C++ reads out of bounds.
TRAPS = """
exports.env = { wasm: {} };
exports.Tensor = class {};
const code = "AGFzbQEAAAABBAFgAAADAgEABwUBAWYAAAoFAQMAAAs=";  // (func (export "f") unreachable)
const { f } = new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(code, "base64"))).exports;
exports.InferenceSession = { create: async () => ({ run: async () => f(), release: async () => {} }) };
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_a_trap_of_webassembly_is_a_crash(tmp_path):
    package = tmp_path / "node_modules" / "onnxruntime-web"
    package.mkdir(parents=True)
    (package / "package.json").write_text('{"version": "1.2", "main": "index.js"}')
    (package / "index.js").write_text(TRAPS)
    launch = Launch("web", ("node", str(WORKERS / "node.mjs"), "onnxruntime-web", str(tmp_path)), {}, None, ())
    with Worker(launch, Limits()) as worker:
        assert worker.start().version == "1.2"
        write_question(tmp_path / "case", three_cases()[1])
        with pytest.raises(LostError, match="exit code 70 without a reply: trap: unreachable"):
            worker.run(tmp_path / "case")


def has_headers():
    source = "#include <onnxruntime_cxx_api.h>\n"
    command = ["g++", "-std=c++17", "-fsyntax-only", "-x", "c++", "-"]
    try:
        return subprocess.run(command, input=source, capture_output=True, text=True, timeout=120).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_worker_in_c_plus_plus_computes_what_python_does(tmp_path):
    if not has_headers():
        pytest.skip("ONNX Runtime's headers are not installed: Debian 13 has them in libonnxruntime-dev")
    program = tmp_path / "worker"
    command = ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", WORKERS / "worker.cpp"]
    subprocess.run([*command, "-lonnxruntime", "-o", program], check=True, timeout=300)
    run = passes_as_builtin(conform("--worker", str(program)), "onnxruntime-c++")
    assert run["version"]
