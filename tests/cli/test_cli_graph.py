"""Tests repair, convert-opset, identify and explain on the command line: exit codes, text, JSON."""

from __future__ import annotations

import json
import re

import exports
import graph_models
import numpy as np
import onnx
import pytest
from command_line import invoke
from tolerances import EXPORTS

from onnx_roialign.sessions.trial import try_engine

TORCHVISION = exports.MODELS / "torchvision_roi_align"
WRONG = TORCHVISION / "torchscript_opset11_aligned_s2.onnx"
RIGHT = TORCHVISION / "torchscript_opset16_aligned_s2.onnx"
PADDLE = exports.MODELS / "paddle_roi_align" / "paddle2onnx_opset11_aligned_s2.onnx"
DETECTOR = exports.MODELS / "detectors" / "mask_rcnn_tiny_torchscript_opset16.onnx"
ALIGNED = ("--source", "torchvision:aligned=True")
HEAD = ("schema_version", "tool_version", "command")
SIZE = ("opset", "nodes", "roi_aligns")
EXPLAIN = ("explain", "--roi", "-60,-30,30,40", "--feature", "20x30", "--scale", 0.25)


def invoke_json(*arguments):
    result = invoke(*arguments, "--json")
    assert result.stderr == ""
    return result.exit_code, json.loads(result.stdout)


def squeezed(text):
    return re.sub(r"[\s│]+", " ", text)


# repair


def test_repair_writes_a_model_with_the_frameworks_results(tmp_path):
    result = invoke("repair", PADDLE, "--source", "paddle:aligned=True", "-o", tmp_path / "mended.onnx")
    assert result.exit_code == 0, result.stdout + result.stderr
    assert "Repaired" in result.stdout
    assert "Remaining: nothing" in result.stdout
    assert f"Written: {tmp_path / 'mended.onnx'}" in result.stdout
    export = exports.load("paddle_roi_align/paddle2onnx_opset11_aligned_s2.onnx")
    trial = try_engine(tmp_path / "mended.onnx", export.feeds(), "native")
    (answer,) = trial.outputs.values()
    np.testing.assert_allclose(answer, export.expected[0], atol=EXPORTS)


def test_repairs_json_lists_repaired_and_remaining_findings(tmp_path):
    code, answer = invoke_json("repair", WRONG, *ALIGNED, "-o", tmp_path / "m.onnx")
    assert code == 0
    assert set(answer) == {*HEAD, *SIZE, "model", "source", "output", "written", "mended", "findings", "ok"}
    assert [answer[key] for key in SIZE] == [11, len(onnx.load(WRONG).graph.node), 1]
    assert answer["written"] == {"opset": 16, "nodes": len(onnx.load(tmp_path / "m.onnx").graph.node), "roi_aligns": 1}
    assert [finding["code"] for finding in answer["mended"]] == ["half-pixel-lost"]
    assert (answer["findings"], answer["ok"], answer["output"]) == ([], True, str(tmp_path / "m.onnx"))
    assert invoke_json("validate", tmp_path / "m.onnx", *ALIGNED)[0] == 0


def test_repair_of_a_right_model_prints_that_there_is_nothing_to_repair(tmp_path):
    result = invoke("repair", RIGHT, *ALIGNED, "-o", tmp_path / "m.onnx")
    assert result.exit_code == 0
    assert "Repaired: nothing to repair" in result.stdout
    assert (tmp_path / "m.onnx").is_file()


def test_repair_passes_its_options_on(tmp_path):
    result = invoke("repair", WRONG, *ALIGNED, "--no-raise-opset", "--no-private-op", "-o", tmp_path / "m.onnx")
    assert result.exit_code == 1
    assert result.stderr.startswith("onnx-roialign: ")
    assert not (tmp_path / "m.onnx").exists()
    assert invoke("repair", WRONG, *ALIGNED, "--no-raise-opset", "-o", tmp_path / "m.onnx").exit_code == 0
    assert [entry.version for entry in onnx.load(tmp_path / "m.onnx").opset_import if not entry.domain] == [11]


# convert-opset


def test_convert_opset_writes_the_model_at_the_target(tmp_path):
    code, answer = invoke_json("convert-opset", RIGHT, "--target", 22, "-o", tmp_path / "m.onnx")
    assert code == 0
    assert set(answer) == {*HEAD, *SIZE, "model", "target", "output", "written", "ok"}
    assert (answer["target"], answer["opset"], answer["written"]["opset"], answer["ok"]) == (22, 16, 22, True)
    assert onnx.load(tmp_path / "m.onnx").opset_import[0].version == 22
    text = invoke("convert-opset", RIGHT, "--target", 22, "-o", tmp_path / "m.onnx").stdout
    assert text == f"Written at opset 22: {tmp_path / 'm.onnx'}\n"


def test_convert_opset_prints_the_change_of_results_without_private_op(tmp_path):
    refused = invoke("convert-opset", RIGHT, "--target", 11, "-o", tmp_path / "m.onnx")
    assert refused.exit_code == 1
    assert "its results would change by up to" in refused.stderr
    assert not (tmp_path / "m.onnx").exists()
    assert invoke("convert-opset", RIGHT, "--target", 11, "--private-op", "-o", tmp_path / "m.onnx").exit_code == 0
    assert "onnx_roialign" in {node.domain for node in onnx.load(tmp_path / "m.onnx").graph.node}


def test_a_model_with_data_beside_it_is_written_beside_it_or_not_at_all(tmp_path):
    model = onnx.load(RIGHT)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1000, np.float32), "big"))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0, location="m.data")
    (tmp_path / "below").mkdir()
    arguments = ("convert-opset", tmp_path / "m.onnx", "--target", 22, "-o")
    result = invoke(*arguments, tmp_path / "below" / "m.onnx")
    assert result.exit_code == 2
    assert "--output must be in the folder of MODEL, which has external data there, got" in result.stderr
    assert invoke(*arguments, tmp_path / "m22.onnx").exit_code == 0


# identify


def test_identify_names_the_presets_and_prints_the_evidence():
    result = invoke("identify", RIGHT)
    assert result.exit_code == 0
    first, second, *_ = result.stdout.splitlines()
    assert first.startswith("Semantics: offset=0.5, min_size=None")
    assert second.startswith("Presets: onnx_half_pixel, torchvision_aligned, detectron2")
    assert "only 'ceil' fits" in squeezed(result.stdout)
    assert "seen: 3.75 2.625 4.125 1.688" in squeezed(result.stdout)


def test_identify_prints_in_which_fields_an_engine_differs_from_the_node():
    result = invoke("identify", WRONG, "--engine", "onnx.reference")
    assert result.exit_code == 1
    assert "Wrong: the node's opset and attributes mean offset=0.0, min_size=1.0" in result.stdout
    assert invoke("identify", WRONG, "--engine", "native").exit_code == 0


def test_identifys_json_has_the_documented_keys():
    code, answer = invoke_json("identify", WRONG, "--engine", "onnx.reference")
    assert code == 1
    head = {*HEAD, *SIZE, "subject", "engine", "meant", "differs", "ok"}
    assert set(answer) == head | {"fits", "semantics", "names", "hidden", "evidence"}
    assert (answer["differs"], answer["ok"], answer["fits"]) == (["offset", "min_size"], False, True)
    assert answer["meant"]["min_size"] == 1.0
    assert answer["semantics"]["offset"] == 0.5


def test_identify_exits_1_where_the_runtime_refuses_the_node():
    code, answer = invoke_json("identify", TORCHVISION / "torchscript_opset22_aligned_s2.onnx")
    assert (code, answer["fits"], answer["semantics"], answer["engine"]) == (1, False, None, "builtin")


def test_identify_accepts_the_name_of_a_node():
    nodes = [node.name for node in onnx.load(DETECTOR).graph.node if node.op_type == "RoiAlign"]
    code, answer = invoke_json("identify", DETECTOR, "--node", nodes[-1], "--engine", "native")
    assert (code, answer["ok"]) == (0, True)


FUNCTIONS = """
from dataclasses import replace
from onnx_roialign import PRESETS
from onnx_roialign.definition.reference import roi_align

def mindspore(X, rois, batch_indices, attributes):
    return roi_align(X, rois, batch_indices, replace(attributes, semantics=PRESETS["mindspore_1"]))

def odd(X, rois, batch_indices, attributes):
    return 2 * roi_align(X, rois, batch_indices, attributes)

number = 3
"""


def test_identify_accepts_a_function_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "roi_functions.py").write_text(FUNCTIONS)
    code, answer = invoke_json("identify", "roi_functions:mindspore")
    assert (code, answer["names"], answer["engine"], answer["meant"]) == (0, ["mindspore_1"], None, None)
    result = invoke("identify", "roi_functions:odd")
    assert result.exit_code == 1
    assert "No Semantics explains this RoiAlign." in result.stdout
    for arguments, message in (
        (("roi_functions:number",), "MODULE:FUNCTION must be callable, got 'roi_functions:number'"),
        (("roi_functions:none",), "MODULE:FUNCTION must be importable, got 'roi_functions:none' (AttributeError"),
        (("roi_functions:odd", "--engine", "native"), "--engine and --node must be given with a model"),
    ):
        refused = invoke("identify", *arguments)
        assert refused.exit_code == 2
        assert message in refused.stderr


# explain


def test_explain_writes_the_picture_and_prints_the_numbers(tmp_path):
    result = invoke(*EXPLAIN, "-o", tmp_path / "a.png")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    text = squeezed(result.stdout)
    assert "start -15.5, -8 -15, -7.5" in text
    assert "grid: samples per bin 4, 3 4, 3" in text
    assert "samples 588 588" in text
    assert "dropped 458 445" in text
    assert "meaning: offset 0.5 0.0" in text
    assert "meaning: min_size None 1.0" in text
    assert "max_start" not in text
    assert "Largest difference of the results in mode avg on a map of noise in [0, 1): 0.1896" in text


def test_explain_prints_the_initial_value_of_maxima(tmp_path):
    maxima = (*EXPLAIN, "--semantics", "openvino", "--versus", "mmcv:aligned=False", "--mode", "max", "-o")
    text = squeezed(invoke(*maxima, tmp_path / "a.png").stdout)
    assert "meaning: max_start 0.0 -10000.0" in text
    assert re.search(r"Largest difference of the results in mode max on a map of noise in \[-1, 0\): 0\.\d", text)
    code, answer = invoke_json(*maxima, tmp_path / "a.png")
    assert (code, answer["mode"]) == (0, "max")
    assert (answer["first"]["semantics"]["max_start"], answer["second"]["semantics"]["max_start"]) == (0, -10000)
    refused = invoke(*EXPLAIN, "--mode", "median", "-o", tmp_path / "a.png")
    assert (refused.exit_code, "mode must be 'avg' or 'max', got 'median'" in refused.stderr) == (2, True)


def test_explains_json_has_the_documented_keys(tmp_path):
    options = ("--semantics", "paddle", "--versus", "mindspore:roi_end_mode=1", "--bins", "2x3")
    code, answer = invoke_json(*EXPLAIN, *options, "--sampling-ratio", 2, "-o", tmp_path / "a.png")
    assert code == 0
    keys = {"box", "feature", "output", "sampling_ratio", "mode", "scale", "first", "second", "difference", "picture"}
    assert set(answer) == {*HEAD, *keys, "ok"}
    plan = {"name", "semantics", "start", "size", "bin", "grid", "samples", "dropped"}
    assert set(answer["first"]) == set(answer["second"]) == plan
    assert (answer["output"], answer["feature"], answer["first"]["grid"]) == ([2, 3], [20, 30], [2, 2])
    assert answer["second"]["semantics"]["end_shift"] == 1
    assert answer["first"]["name"] == "paddle"


def test_a_difference_that_is_not_finite_is_a_string_in_json(tmp_path):
    box = ("explain", "--roi", "8,8,8,8", "--feature", "20x30", "--scale", 0.25, "--versus", "paddle")
    assert invoke_json(*box, "-o", tmp_path / "a.png")[1]["difference"] == "inf"
    assert "only one is NaN" in invoke(*box, "-o", tmp_path / "a.png").stdout


# Wrong arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("validate", RIGHT, "--source", "caffe"), "source must be one of torchvision, "),
        (("validate", RIGHT, "--inputs", "none.npz"), "--inputs must be a file, got 'none.npz'"),
        (("repair", RIGHT, "-o", "{tmp}/m.onnx"), "--source"),
        (("repair", RIGHT, *ALIGNED), "--output"),
        (("repair", RIGHT, *ALIGNED, "-o", "{tmp}/none/m.onnx"), "--output must be a file to write, got"),
        (("convert-opset", RIGHT, "--target", 9, "-o", "{tmp}/m.onnx"), "target must be an opset from 10 to "),
        (("convert-opset", RIGHT, "--target", "x", "-o", "{tmp}/m.onnx"), "--target"),
        (("identify", "no_such_module:f"), "MODULE:FUNCTION must be importable, got 'no_such_module:f'"),
        (("identify", RIGHT, "--engine", "cuda"), "--engine must be one of native, reference, builtin, evaluator, "),
        (("identify", RIGHT, "--node", "x"), "--node must be one of /RoiAlign, got 'x'"),
        (("identify", DETECTOR), "MODEL must have one RoiAlign node, got 8; choose with --node: "),
        (("identify", "{tmp}/empty.onnx"), "MODEL must have a RoiAlign node, got none in "),
        ((*EXPLAIN, "--roi", "1,2,3", "-o", "{tmp}/a.png"), "--roi must be x1,y1,x2,y2, got '1,2,3'"),
        ((*EXPLAIN, "--roi", "1,2,3,x", "-o", "{tmp}/a.png"), "--roi must be x1,y1,x2,y2, got '1,2,3,x'"),
        ((*EXPLAIN, "--roi", "nan,2,3,4", "-o", "{tmp}/a.png"), "rois must be finite, got nan at row 0, column 0 (x1)"),
        ((*EXPLAIN, "--feature", "0x5", "-o", "{tmp}/a.png"), "--feature must be HxW, each in [1, 9999], got '0x5'"),
        ((*EXPLAIN, "--bins", "7", "-o", "{tmp}/a.png"), "--bins must be HxW, each in [1, 256], got '7'"),
        (
            (*EXPLAIN, "--bins", "9999x9999", "-o", "{tmp}/a.png"),
            "--bins must be HxW, each in [1, 256], got '9999x9999'",
        ),
        ((*EXPLAIN, "--scale", "0", "-o", "{tmp}/a.png"), "spatial_scale must be finite and > 0, got 0"),
        ((*EXPLAIN, "--semantics", "caffe", "-o", "{tmp}/a.png"), "source must be one of torchvision, "),
        ((*EXPLAIN, "--output", "7x7"), "that exists, got '7x7'; the number of bins is --bins"),
        ((*EXPLAIN, "-o", "{tmp}/a.jpg"), "--output must be a .png file in a folder that exists, got "),
        ((*EXPLAIN, "-o", "{tmp}/none/a.png"), "--output must be a .png file in a folder that exists, got "),
        ((*EXPLAIN, "-o", "{tmp}/folder.png"), "--output must be a file to write, got "),
        (EXPLAIN, "--output"),
    ],
)
def test_a_wrong_argument_gets_one_line_on_stderr_and_exit_code_2(arguments, message, tmp_path):
    y = onnx.helper.make_tensor_value_info("Y", onnx.TensorProto.FLOAT, [1])
    y0 = onnx.helper.make_tensor_value_info("Y0", onnx.TensorProto.FLOAT, [1])
    empty = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["Y0"], ["Y"])], "g", [y0], [y])
    onnx.save(onnx.helper.make_model(empty), tmp_path / "empty.onnx")
    (tmp_path / "folder.png").mkdir()
    result = invoke(*(str(argument).replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert result.exit_code == 2, result.stdout
    assert result.stdout == ""
    assert result.stderr.startswith("onnx-roialign: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


# make-explicit


def test_make_explicit_writes_the_model_and_prints_whether_it_changed(tmp_path):
    path, again = tmp_path / "explicit.onnx", tmp_path / "again.onnx"
    result = invoke("make-explicit", PADDLE, "-o", path)
    assert (result.exit_code, result.stdout) == (0, f"Written: {path}\n")
    assert onnx.load(path).opset_import[0].version == 16
    second = invoke("make-explicit", path, "-o", again)
    assert "Every RoiAlign was already explicit; the model is unchanged. Written:" in second.stdout
    assert again.read_bytes() == path.read_bytes()
    code, answer = invoke_json("make-explicit", path, "-o", again)
    assert (code, set(answer)) == (0, {*HEAD, *SIZE, "model", "output", "written", "changed", "ok"})
    assert (answer["output"], answer["changed"], answer["ok"]) == (str(again), False, True)


def test_convert_opset_names_the_option_and_not_the_argument(tmp_path):
    result = invoke("convert-opset", RIGHT, "--target", 11, "-o", tmp_path / "m.onnx")
    assert result.exit_code == 1
    assert "pass --private-op to write it as onnx_roialign::AnyRoiAlign" in result.stderr


# The model that is written


COMMANDS = {
    "repair": ("repair", WRONG, *ALIGNED),
    "convert-opset": ("convert-opset", TORCHVISION / "torchscript_opset11_legacy_s2.onnx", "--target", 16),
    "make-explicit": ("make-explicit", TORCHVISION / "torchscript_opset11_legacy_s2.onnx"),
}


@pytest.mark.parametrize("ending", [".onnx", ".textproto", ".json", ".onnxtxt", ".model"])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_file_extension_determines_the_format(command, ending, tmp_path):
    plain, other = tmp_path / "plain.onnx", tmp_path / f"other{ending}"
    assert invoke(*COMMANDS[command], "-o", plain).exit_code == 0
    result = invoke(*COMMANDS[command], "-o", other)
    if ending == ".onnxtxt" and result.exit_code:  # protobuf's text format cannot hold all fields
        assert "--output must end in .onnx for this model, which onnxtxt cannot hold" in result.stderr
        assert not other.exists()
        return
    assert result.exit_code == 0
    assert onnx.load(other) == onnx.load(plain)
    assert (other.read_bytes() == plain.read_bytes()) == (ending in (".onnx", ".model"))
    assert invoke("validate", other).exit_code == invoke("validate", plain).exit_code


def test_data_that_lies_beside_a_body_keeps_the_model_in_its_folder(tmp_path):
    given = graph_models.in_if(11)
    body = given.graph.node[0].attribute[0].g
    body.initializer.append(onnx.numpy_helper.from_array(np.zeros(1000, np.float32), "weight"))
    onnx.external_data_helper.set_external_data(body.initializer[0], "weights")
    (tmp_path / "weights").write_bytes(body.initializer[0].raw_data)
    body.initializer[0].ClearField("raw_data")
    (tmp_path / "model.onnx").write_bytes(given.SerializeToString())
    (tmp_path / "elsewhere").mkdir()
    for command in (("make-explicit",), ("convert-opset", "--target", 16), ("repair", "--source", "torchvision")):
        result = invoke(*command, tmp_path / "model.onnx", "-o", tmp_path / "elsewhere" / "m.onnx")
        assert result.exit_code == 2
        assert "--output must be in the folder of MODEL, which has external data there, got" in result.stderr
        assert invoke(*command, tmp_path / "model.onnx", "-o", tmp_path / "m.onnx").exit_code == 0
