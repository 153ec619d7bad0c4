"""Tests that every --json, and every refusal with it, is what its JSON Schema describes, and nothing else."""

from __future__ import annotations

import copy
import json

import command_line
import exports
import jsonschema
import onnx
import pooler_exports
import pytest
from command_line import invoke
from conformance_runs import PLANTED, run_planted, three_cases
from json_documents import SCHEMAS, check

import onnx_roialign
from onnx_roialign.cli import bench as bench_command
from onnx_roialign.cli import output
from onnx_roialign.conformance import layout
from onnx_roialign.conformance.reports import document as documents
from onnx_roialign.demo import mask_rcnn

MODELS = exports.MODELS / "torchvision_roi_align"
MODEL = MODELS / "torchscript_opset11_aligned_s2.onnx"

# Runs of every command that has --json, with each kind of document that it can have; {} is a folder. What takes long is
# checked where it runs anyway: ELSEWHERE, and the kind "pooler" of bench in tests/bench/test_bench_pooler.py.
ELSEWHERE = ("demo", "fuzz")  # tests/demo/test_demo.py, tests/conformance/test_search.py
RUNS = """
run {model} --repeat 1
run {model} --inputs {io} --engine native --repeat 1 --tolerance 0.1
run {new} --repeat 1
info
bench --against onnxruntime --isa baseline --repeat 1 --workload one_value --threads 1,2
bench --isa baseline --repeat 1 --sweep
bench --isa baseline --repeat 1 --model {model}
validate {model} --source torchvision:aligned=True
validate {new} {}/none.onnx {model}
validate {new} --format json
repair {model} --source torchvision:aligned=True -o {}/m.onnx
convert-opset {model} --target 16 -o {}/m.onnx
make-explicit {model} -o {}/m.onnx
optimize {pooler} -o {}/m.onnx
optimize {model} -o {}/m.onnx
unfuse {model} -o {}/m.onnx
deploy {model} --triton {}/triton
identify {model} --engine native
identify {new} --engine builtin
identify onnx_roialign:roi_align
explain --roi 8,8,8,8 --feature 20x30 --scale 0.25 --versus paddle -o {}/a.png
conform --backend {planted}:Right --cases {}/cases
conform --backend {planted}:NotANumber --cases {}/cases
conform compare {}/a.json {}/b.json
conform report {}/a.json
""".strip().splitlines()
COMMANDS = sorted({parameter.command for parameter in command_line.parameters() if "--json" in parameter.names})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("json")
    layout.export_cases("--export", made / "cases", three_cases())
    documents.write(documents.document(three_cases(), [run_planted("Right")]), made / "a.json")
    text = (made / "a.json").read_text().replace("1.2.3", "1.2.4")
    (made / "b.json").write_text(text.replace('"pass"', '"fail"', 1))
    onnx.save(pooler_exports.load("mmdeploy_3levels_ts11"), made / "pooler.onnx")
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """What measures, on less: the documents are the same."""
    monkeypatch.setattr(bench_command, "copy_bandwidth", lambda threads: 1e10)
    monkeypatch.setattr(bench_command, "all_cases", lambda: SWEPT)


SWEPT = bench_command.all_cases()[:1]


def words_of(text, folder):
    places = {"model": MODEL, "new": MODELS / "torchscript_opset22_aligned_s2.onnx", "io": MODELS / "io.npz"}
    return [word.format(folder, **places, pooler=folder / "pooler.onnx", planted=PLANTED) for word in text.split()]


def command_of(text):
    """The longest command that a line begins with: conform compare, not conform."""
    return max((command for command in COMMANDS if f"{text} ".startswith(f"{command} ")), key=len)


def test_the_runs_are_of_every_command_with_json():
    assert sorted({*ELSEWHERE, *map(command_of, RUNS)}) == COMMANDS
    assert len(COMMANDS) >= 16


@pytest.mark.parametrize("text", RUNS)
def test_the_document_is_what_its_schema_describes(text, folder):
    command = command_of(text)
    result = invoke(*words_of(text, folder), *(() if "--format" in text else ("--json",)))
    assert result.exit_code in (0, 1, 3), result.output
    document = json.loads(result.stdout)
    check(command, document)
    assert (document["schema_version"], document["tool_version"]) == (output.SCHEMA_VERSION, onnx_roialign.__version__)
    assert document["command"] == command
    assert document["ok"] == (result.exit_code == 0)


def test_the_demo_prints_its_record_alone(monkeypatch, tmp_path):
    """tests/demo/test_demo.py checks the record of a run, which takes long."""

    def run_demo(folder, console):
        console.print("a table")
        return {"picture": str(folder / "a.png"), "runs": [], "ok": True}

    monkeypatch.setattr(mask_rcnn, "run_demo", run_demo)
    document = json.loads(invoke("demo", "--output", tmp_path, "--json").stdout)
    check("demo", document)
    assert document["picture"] == str(tmp_path / "a.png")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_refusal_is_a_document_too(command, folder):
    result = invoke(*command.split(), "--json", "--no-such-option")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    document = json.loads(result.stdout)
    check("error", document)
    assert document["command"] == command
    assert f"onnx-roialign: {document['error']['message']}\n" == result.stderr
    assert document["error"]["exit_code"] == 2


@pytest.mark.parametrize(
    ("text", "code", "error"),
    [
        ("run none.onnx --json", 3, {"code": "file", "subject": "model", "node": None}),
        ("run {model} --json --repeat 0", 2, {"code": "range", "subject": "--repeat", "node": None}),
        ("repair none.onnx --source paddle -o {}/x.onnx --json", 3, {"code": "file", "subject": "model", "node": None}),
        (
            "convert-opset {new} --target 11 -o {}/x.onnx --json",
            1,
            {"code": "unsupported", "subject": "opset", "node": "/RoiAlign"},
        ),
        ("validate none.onnx --source caffe --format json", 2, {"code": "choice", "subject": "source", "node": None}),
        ("validate none.onnx --source caffe --format=json", 2, {"code": "choice", "subject": "source", "node": None}),
        ("conform compare none.json none.json --json", 2, {"code": "form", "subject": "none.json", "node": None}),
        ("nonsense --json", 2, {"code": None, "subject": None, "node": None}),
    ],
)
def test_a_refusal_names_the_rule_and_the_exit_code(text, code, error, folder):
    result = invoke(*words_of(text, folder))
    document = json.loads(result.stdout)
    check("error", document)
    assert result.exit_code == document["error"]["exit_code"] == code
    assert {key: document["error"][key] for key in error} == error


def test_without_json_a_refusal_writes_nothing_to_stdout():
    assert invoke("run", "none.onnx").stdout == ""
    assert invoke("validate", "none.onnx", "--format", "junit").stdout.startswith("<?xml")


def test_a_package_that_is_missing_is_a_document_too(monkeypatch):
    def missing():
        raise onnx_roialign.NativeLibraryError("the compiled library is missing: reinstall")

    monkeypatch.setattr("onnx_roialign.cli.info.library_path", missing)
    demo = json.loads(invoke("demo", "--json").stdout)
    check("error", demo)
    assert demo["error"]["exit_code"] == 4
    info = invoke("info", "--json")
    check("info", json.loads(info.stdout))
    assert (info.exit_code, json.loads(info.stdout)["problem"]) == (1, "the compiled library is missing: reinstall")


def test_the_schemas_refuse_what_they_do_not_describe(folder):
    document = json.loads(invoke("validate", MODEL, "--json").stdout)
    check("validate", document)
    for changed in ({"more": 1}, {"ok": "yes"}, {"schema_version": 2}, {"command": "run"}, {"models": [{}]}):
        with pytest.raises(jsonschema.ValidationError):
            check("validate", {**document, **changed})
    less = copy.copy(document)
    del less["findings"]
    with pytest.raises(jsonschema.ValidationError):
        check("validate", less)


def test_every_schema_is_of_a_command():
    names = {path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.json")}
    assert names == {command.replace(" ", "-") for command in COMMANDS} | {"common", "error"}
