"""Tests validate on the command line: several models, stdin, what is ignored, what fails, and each format."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ET

import exports
import graph_models
import jsonschema
import numpy as np
import onnx
import pytest
from command_line import invoke

from models import make_model, model, roi_align_node
from onnx_roialign.cli.formats import FORMATS, text
from onnx_roialign.graph import fuse
from onnx_roialign.graph.findings.finding import CODES

TORCHVISION = exports.MODELS / "torchvision_roi_align"
WRONG = TORCHVISION / "torchscript_opset11_aligned_s2.onnx"
RIGHT = TORCHVISION / "torchscript_opset16_aligned_s2.onnx"
NEW = TORCHVISION / "torchscript_opset22_aligned_s2.onnx"
DETECTOR = exports.MODELS / "detectors" / "mask_rcnn_tiny_torchscript_opset16.onnx"
ALIGNED = ("--source", "torchvision:aligned=True")
UGLY = "a node, 100%: x\n\r::error::\x07 y"


def validate(*arguments, **options):
    return invoke("validate", *arguments, **options)


def as_json(*arguments):
    result = validate(*arguments, "--json")
    return result.exit_code, json.loads(result.stdout)


@pytest.fixture
def eight(tmp_path):
    """A model of eight equal RoiAligns with mode max, of which one has no name."""
    nodes = [
        roi_align_node("X", "rois", "batch_indices", f"Y{i}", name=f"pool{i}" if i else "", mode="max")
        for i in range(8)
    ]
    made = make_model(nodes, 16, outputs=[(f"Y{i}", onnx.TensorProto.FLOAT) for i in range(8)])
    onnx.save(made, tmp_path / "eight.onnx")
    return tmp_path / "eight.onnx"


@pytest.fixture
def empty(tmp_path):
    onnx.save(graph_models.without_roi_align(), tmp_path / "empty.onnx")
    return tmp_path / "empty.onnx"


@pytest.fixture
def broken(tmp_path):
    made = model(16)
    made.graph.node[0].input[0] = "nothing"
    (tmp_path / "broken.onnx").write_bytes(made.SerializeToString())
    return tmp_path / "broken.onnx"


@pytest.fixture
def ugly(tmp_path):
    made = model(11)
    made.graph.node[0].name = UGLY
    onnx.save(made, tmp_path / "100%, a:b.onnx")
    return tmp_path / "100%, a:b.onnx"


# Text


def test_a_finding_is_one_line_with_path_node_code_and_text():
    result = validate(WRONG, *ALIGNED)
    assert (result.exit_code, result.stderr) == (1, "")
    line, counted = result.stdout.splitlines()
    assert line == (
        f"{WRONG}: /RoiAlign: half-pixel-lost: error: RoiAlign of opset 11 means output_half_pixel, but "
        "torchvision:aligned=True needs half_pixel. Every sample is read half a pixel of the feature map too far down "
        "and right. `onnx-roialign repair` fixes it."
    )
    assert counted == "1 RoiAlign in 1 model checked: 1 error"


@pytest.mark.parametrize("columns", ["20", "80"])
def test_a_line_is_not_wrapped(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert len(validate(WRONG, *ALIGNED).stdout.splitlines()) == 2


def test_a_right_model_exits_0_and_says_what_was_looked_at():
    result = validate(RIGHT, *ALIGNED)
    assert (result.exit_code, result.stdout) == (0, "1 RoiAlign in 1 model checked: nothing is wrong\n")
    said = "9 RoiAligns in 2 models checked: nothing is wrong that can be found without --source\n"
    assert validate(RIGHT, DETECTOR).stdout == said


def test_equal_findings_are_one_line_with_their_number(eight):
    result = validate(eight)
    first, counted = result.stdout.splitlines()
    assert first.startswith(f"{eight}: Y0 and 7 more: max-mode: warning: ")
    assert counted == "8 RoiAligns in 1 model checked: 8 warnings"


def test_a_wide_terminal_gets_a_table(eight, monkeypatch):
    monkeypatch.setattr(text, "is_wide", lambda console: True)
    said = validate(eight, WRONG).stdout
    assert re.search(r"│ warning +│ max-mode +│ Y0 and 7 more +│ mode is max", said)
    assert said.startswith(f"{eight} ")
    assert said.splitlines()[-1] == "9 RoiAligns in 2 models checked: 8 warnings"
    monkeypatch.undo()
    assert "│" not in validate(eight).stdout


def test_a_name_with_control_characters_stays_in_its_line(ugly):
    result = validate(ugly, *ALIGNED)
    line, _ = result.stdout.splitlines()
    assert line.startswith(rf"{ugly}: a node, 100%: x\n\r::error::\x07 y: half-pixel-lost: error: ")


def test_a_model_without_roi_aligns_is_not_green(empty):
    result = validate(empty)
    assert result.exit_code == 1
    line, counted = result.stdout.splitlines()
    assert line.startswith(
        f"{empty}: (model): no-roi-align: warning: model must have a RoiAlign, got none. No RoiAlign "
    )
    assert counted == "0 RoiAligns in 1 model checked: 1 warning"
    accepted = validate(empty, "--ignore", "no-roi-align")
    assert (accepted.exit_code, accepted.stdout) == (0, "0 RoiAligns in 1 model checked: 1 ignored\n")


def test_poolers_are_roi_aligns_and_mask_pasting_is_none(tmp_path):
    onnx.save(fuse(DETECTOR).model, tmp_path / "fused.onnx")
    operators = [node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node]
    assert (operators.count("MultiScaleRoiAlign"), operators.count("PasteMasks")) == (2, 1)
    assert validate(tmp_path / "fused.onnx").stdout.startswith("2 RoiAligns in 1 model checked: nothing is wrong")


def test_a_model_whose_defect_stops_the_check_fails_whatever_is_ignored(broken):
    result = validate(broken)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "0 RoiAligns in 1 model checked: 1 error"
    ignored = validate(broken, "--ignore", "broken-model")
    assert (ignored.exit_code, ignored.stdout) == (1, "0 RoiAligns in 1 model checked: 1 ignored\n")


# Several models, and standard input


def test_a_model_that_cannot_be_read_does_not_stop_the_others(tmp_path):
    (tmp_path / "text.onnx").write_text("no model")
    result = validate(tmp_path / "none.onnx", WRONG, tmp_path / "text.onnx", tmp_path, RIGHT, *ALIGNED)
    assert result.exit_code == 3
    assert result.stdout.splitlines()[-1] == "2 RoiAligns in 2 models checked: 1 error, 3 models not read"
    errors = result.stderr.splitlines()
    assert len(errors) == 3
    assert errors[0].startswith(f"onnx-roialign: {tmp_path / 'none.onnx'}: model must be a file, got ")
    assert errors[2].endswith("which is a folder")


def test_standard_input_is_a_model():
    result = validate("-", RIGHT, *ALIGNED, input=WRONG.read_bytes())
    assert result.exit_code == 1
    assert result.stdout.startswith("-: /RoiAlign: half-pixel-lost: error: ")
    assert result.stdout.splitlines()[-1] == "2 RoiAligns in 2 models checked: 1 error"
    assert validate("-", input=b"no model").exit_code == 3
    assert "must be an ONNX model, got 0 bytes" in validate("-", input=b"").stderr


@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        ("<&-", "model must be on standard input, got one that is closed"),
        ("0>/dev/null", "model must be on standard input, got one that cannot be read (Bad file descriptor)"),
        ("</dev/null", "model must be an ONNX model, got 0 bytes without a graph"),
    ],
)
def test_a_standard_input_without_a_model_gets_one_line(redirection, message):
    command = f"{shlex.quote(sys.executable)} -m onnx_roialign validate - {redirection}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", f"onnx-roialign: {message}\n")


def test_a_standard_input_that_never_ends_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr("onnx_roialign.cli.validate.PROTOBUF_LIMIT", 1 << 20)
    result = validate("-", input=bytes(3 << 20))
    assert result.exit_code == 3
    assert "model must be less than 2 GB on standard input, got more; pass its path" in result.stderr


def test_the_model_runs_on_a_files_inputs_and_outputs(tmp_path):
    export = exports.load("torchvision_roi_align/torchscript_opset11_aligned_s2.onnx")
    (output,) = (value.name for value in onnx.load(WRONG).graph.output)
    np.savez(tmp_path / "io.npz", **export.feeds(), **{output: export.expected[0]})
    code, answer = as_json(WRONG, "--inputs", tmp_path / "io.npz")
    assert code == 1
    assert "wrong-output" in {finding["code"] for finding in answer["findings"]}
    np.savez(tmp_path / "in.npz", **export.feeds())
    assert as_json(RIGHT, "--inputs", tmp_path / "in.npz", *ALIGNED)[0] == 0


# What fails


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 1),
        (("--fail-on", "error"), 0),
        (("--fail-on", "warning"), 1),
        (("--ignore", "max-mode"), 0),
        (("--ignore", "max-mode", "--ignore", "border"), 0),
        (("--ignore", "border"), 1),
    ],
)
def test_severities_and_ignored_codes_decide_the_exit_code(arguments, code, eight):
    assert validate(eight, *arguments).exit_code == code
    assert validate(WRONG, *ALIGNED, *arguments).exit_code == 1


def test_what_is_ignored_is_counted(eight):
    code, answer = as_json(eight, "--ignore", "max-mode")
    assert (code, answer["findings"], answer["models"][0]["ignored"], answer["ok"]) == (0, [], 8, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((RIGHT, "--source", "caffe"), "source must be one of torchvision, "),
        ((RIGHT, "--inputs", "none.npz"), "--inputs must be a file, got 'none.npz'"),
        ((RIGHT, WRONG, "--inputs", "none.npz"), "--inputs must be given with one MODEL, got 2"),
        ((RIGHT, "--ignore", "half-pixel"), f"--ignore must be one of {', '.join(CODES)}, got 'half-pixel'"),
        ((RIGHT, "--fail-on", "info"), "--fail-on must be error or warning, got 'info'"),
        ((RIGHT, "--format", "xml"), f"--format must be one of {', '.join(FORMATS)}, got 'xml'"),
        ((RIGHT, "--format", "sarif", "--json"), "--format must be json together with --json, got 'sarif'"),
        (("-", "-"), "MODEL must be - at most once, got it more than once"),
        ((), "MODEL"),
    ],
)
def test_a_wrong_argument_gets_one_line_and_exit_code_2(arguments, message):
    result = validate(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert "{" in result.stdout if "--json" in arguments else result.stdout == ""


def test_a_name_stands_once_in_the_list_of_sources():
    names = re.search(r"must be one of (.*), got", validate(RIGHT, "--source", "caffe").stderr)[1].split(", ")
    assert len(names) == len(set(names)) > 20


# Formats


def test_json_names_the_model_of_each_finding(eight):
    code, answer = as_json(WRONG, eight, RIGHT, *ALIGNED)
    assert (code, answer["ok"], answer["model"], answer["source"]) == (1, False, None, ALIGNED[1])
    assert [finding["model"] for finding in answer["findings"]] == [str(WRONG), *[str(eight)] * 8]
    assert [(one["model"], one["opset"], one["roi_aligns"], one["checked"], one["ok"]) for one in answer["models"]] == [
        (str(WRONG), 11, 1, 1, False),
        (str(eight), 16, 8, 8, False),
        (str(RIGHT), 16, 1, 1, True),
    ]
    assert as_json(RIGHT)[1]["model"] == str(RIGHT)
    assert invoke("validate", RIGHT, "--format", "json").stdout == invoke("validate", RIGHT, "--json").stdout


def test_json_has_the_error_of_a_model_that_cannot_be_read(tmp_path):
    code, answer = as_json(tmp_path / "none.onnx", RIGHT)
    assert (code, answer["ok"]) == (3, False)
    assert answer["error"] == answer["models"][0]["error"]
    assert (answer["error"]["code"], answer["error"]["exit_code"]) == ("file", 3)
    assert answer["models"][1]["ok"] is True


def test_junit_has_a_test_case_for_each_roi_align(eight, empty, broken, tmp_path):
    result = validate(eight, empty, broken, RIGHT, tmp_path / "none.onnx", "--format", "junit")
    assert result.exit_code == 3
    suites = list(ET.fromstring(result.stdout.encode()))
    assert [suite.get("name") for suite in suites] == [
        *map(str, (eight, empty, broken, RIGHT, tmp_path / "none.onnx")),
    ]
    counts = [tuple(int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")) for suite in suites]
    assert counts == [(8, 8, 0, 0), (1, 1, 0, 0), (2, 1, 0, 1), (1, 0, 0, 0), (1, 0, 1, 0)]
    for suite, count in zip(suites, counts, strict=True):
        assert len(suite.findall("testcase")) == count[0]
        for kind, number in zip(("failure", "error", "skipped"), count[1:], strict=True):
            assert len(suite.findall(f"testcase/{kind}")) == number
    assert [case.get("name") for case in suites[0].findall("testcase")] == ["Y0", *(f"pool{i}" for i in range(1, 8))]
    assert suites[0].find("testcase/failure").get("type") == "max-mode"


def test_junit_shows_what_does_not_fail_and_does_not_show_as_green_what_was_not_checked(eight, empty):
    suite = next(iter(ET.fromstring(validate(eight, "--fail-on", "error", "--format", "junit").stdout.encode())))
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "0")
    assert suite.find("testcase/system-out").text.startswith("warning max-mode: mode is max")
    for arguments in (("--ignore", "no-roi-align"), ("--fail-on", "error")):
        result = validate(empty, *arguments, "--format", "junit")
        suite = next(iter(ET.fromstring(result.stdout.encode())))
        assert (result.exit_code, suite.get("tests"), suite.get("skipped")) == (0, "1", "1")


def test_junit_holds_what_xml_cannot(ugly):
    (suite,) = ET.fromstring(validate(ugly, *ALIGNED, "--format", "junit").stdout.encode())
    (case,) = suite.findall("testcase")
    assert case.get("name") == UGLY.replace("\x07", "�")


def unescaped(text):
    return text.replace("%3A", ":").replace("%2C", ",").replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")


def test_github_gets_an_annotation_for_each_finding(ugly, eight, tmp_path):
    result = validate(ugly, eight, tmp_path / "no\nne.onnx", *ALIGNED, "--format", "github")
    assert result.exit_code == 3
    *commands, counted = result.stdout.splitlines()
    assert counted == "9 RoiAligns in 2 models checked: 1 error, 8 warnings, 1 model not read"
    parsed = [re.fullmatch(r"::(\w+) file=([^:,]*),title=([^:,]*)::(.*)", line).groups() for line in commands]
    names = [(name, unescaped(file), unescaped(title)) for name, file, title, _ in parsed]
    assert names[0] == ("error", str(ugly), "half-pixel-lost")
    assert ("warning", str(eight), "max-mode") in names
    assert names[-1] == ("error", str(tmp_path / "no\nne.onnx"), "not read")
    assert unescaped(parsed[0][3]).startswith(r"a node, 100%: x\n\r::error::\x07 y: RoiAlign of opset 11 means")
    assert "100%25: x" in parsed[0][3]


def test_sarif_has_a_rule_for_each_code_and_a_result_for_each_finding(eight, empty, broken, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(WRONG, "wrong, 1.onnx")
    result = validate("wrong, 1.onnx", eight, empty, broken, "none.onnx", *ALIGNED, "--format", "sarif")
    log = json.loads(result.stdout)
    assert (result.exit_code, log["version"]) == (3, "2.1.0")
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert {"half-pixel-lost", "max-mode", "no-roi-align", "broken-model"} <= set(rules)
    for found in run["results"]:
        assert rules[found["ruleIndex"]] == found["ruleId"]
    by_code = {found["ruleId"]: found for found in run["results"]}
    lost = by_code["half-pixel-lost"]
    assert lost["level"] == "error"
    (place,) = lost["locations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "wrong%2C%201.onnx"
    assert place["logicalLocations"] == [{"name": "/RoiAlign"}]
    assert by_code["max-mode"]["occurrenceCount"] == len(by_code["max-mode"]["locations"][0]["logicalLocations"]) == 8
    assert by_code["max-mode"]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == eight.as_uri()
    hashes = [found["partialFingerprints"]["primaryLocationLineHash"] for found in run["results"]]
    assert len(set(hashes)) == len(hashes) == len(run["results"]) == 4
    (invocation,) = run["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 3)
    (notification,) = invocation["toolExecutionNotifications"]
    assert "'none.onnx', which does not exist" in notification["message"]["text"]
    checked = [artifact["properties"]["roiAlignsChecked"] for artifact in run["artifacts"]]
    assert checked == [1, 8, 0, 0, 0]


@pytest.mark.long
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm, from which the schema comes, is not installed")
def test_sarif_is_what_the_standards_schema_describes(eight, empty, broken, ugly, tmp_path):
    """The schema of OASIS is in a package of Microsoft, and too large for this repository."""
    command = ["npm", "pack", "--silent", "@microsoft/jest-sarif@1.0.0-beta.0"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as package:
        schema = json.load(package.extractfile("package/lib/schemas/sarif-2.1.0-rtm.5.json"))
    check = jsonschema.validators.validator_for(schema)(schema).validate
    for models in ((RIGHT,), (WRONG, eight, empty, broken, ugly, tmp_path / "none.onnx", tmp_path)):
        log = json.loads(validate(*models, *ALIGNED, "--format", "sarif").stdout)
        check(log)
    log["runs"][0]["results"][0]["level"] = "worst"
    with pytest.raises(jsonschema.ValidationError):
        check(log)
