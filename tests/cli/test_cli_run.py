"""Tests the command run: its table, its comparison with a tolerance, its exit codes, and times in turns."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import exports
import numpy as np
import onnx
import pytest
from command_line import invoke

from models import make_model, roi_align_node
from onnx_roialign.arrays import FRAMEWORKS, FRAMEWORKS_16_BIT, allowed_difference
from onnx_roialign.onnx_model.inputs import generated_inputs
from onnx_roialign.sessions import apart
from onnx_roialign.sessions.installed import has_builtin_kernel, loads_opset

MODEL = exports.MODELS / "torchvision_roi_align" / "torchscript_opset16_aligned_s2.onnx"
MODEL_22 = exports.MODELS / "torchvision_roi_align" / "torchscript_opset22_aligned_s2.onnx"
INPUTS = exports.MODELS / "torchvision_roi_align" / "io.npz"


@pytest.fixture(scope="module")
def export():
    return exports.load("torchvision_roi_align/torchscript_opset16_aligned_s2.onnx")


def native(*arguments):
    return invoke("run", MODEL, "--engine", "native", "--repeat", 1, *arguments)


def test_run_prints_a_row_per_engine_with_time_and_difference():
    result = invoke("run", MODEL, "--inputs", INPUTS, "--repeat", 2)
    assert result.exit_code == 0, result.stderr
    for engine in ("native", "builtin", "reference"):
        assert re.search(rf"{engine} +│ yes +│ +\d+\.\d\d │ +\d+\.\d\d-\d+\.\d\d │ 9 \S+", result.stdout), result.stdout
    assert "largest difference from native" in result.stdout
    assert "rois float32 (4, 5)" in result.stdout


def test_run_generates_inputs_and_prints_it():
    result = invoke("run", MODEL, "--repeat", 1)
    assert result.exit_code == 0, result.stderr
    assert "random, seeded: x float32 (2, 4, 16, 20), rois float32 (8, 5)" in result.stdout


def test_run_prints_in_one_line_why_an_engine_does_not_load():
    result = invoke("run", MODEL_22, "--repeat", 1)
    assert result.exit_code == (0 if loads_opset(22) else 1)
    assert ("does not load: [ONNXRuntimeError]" in result.stdout) != has_builtin_kernel(22)


@pytest.mark.skipif(has_builtin_kernel(22), reason="this onnxruntime has a kernel for RoiAlign(22)")
def test_run_exits_1_where_no_engine_can_run():
    assert invoke("run", MODEL_22, "--engine", "builtin", "--repeat", 1).exit_code == 1


def test_run_accepts_one_engine_or_several():
    result = invoke("run", MODEL, "--engine", "reference", "--engine", "native", "--repeat", 1)
    assert "reference │ yes" in result.stdout
    assert "native    │ yes" in result.stdout
    assert "builtin" not in result.stdout
    assert "largest difference from reference" in result.stdout


def test_run_compares_with_the_files_outputs_if_there_are_any(tmp_path, export):
    np.savez(tmp_path / "io.npz", **export.feeds(), **{"9": export.expected[0] + np.float32(0.25)})
    result = native("--inputs", tmp_path / "io.npz")
    assert result.exit_code == 1
    assert "largest difference from the file's outputs" in result.stdout
    found = re.search(r"│ 9 (\S+) \(allowed: (\S+)\)", result.stdout)
    assert float(found[1]) == pytest.approx(0.25, abs=1e-3)
    assert float(found[2]) == pytest.approx(allowed_difference(export.expected[0]), rel=0.1)


def test_run_prints_both_shapes_where_they_differ(tmp_path, export):
    np.savez(tmp_path / "io.npz", **export.feeds(), **{"9": export.expected[0][:1]})
    result = native("--inputs", tmp_path / "io.npz")
    assert result.exit_code == 1
    assert "9 has shape (4, 4, 3, 4), not (1, 4, 3, 4)" in result.stdout


def test_run_prints_the_engines_message_if_the_run_fails(tmp_path):
    node = roi_align_node(spatial_scale=0.25, output_height=2, sampling_ratio=0)
    model = make_model([node], 16, shapes=(("N", 3, "H", "W"), ("K", 4), ["K"]))
    onnx.save(model, tmp_path / "m.onnx")
    feeds = generated_inputs(model)
    feeds["batch_indices"] = feeds["batch_indices"] + 7
    np.savez(tmp_path / "io.npz", **feeds)
    result = invoke("run", tmp_path / "m.onnx", "--inputs", tmp_path / "io.npz", "--engine", "native", "--repeat", 1)
    assert result.exit_code == 1
    assert "batch_indices must be in [0, 2), got 7 at row 0" in re.sub(r"[\s│]+", " ", result.stdout)


def test_an_engine_that_is_named_must_run():
    if has_builtin_kernel(22):
        pytest.skip("this onnxruntime has a kernel for RoiAlign(22)")
    both = invoke("run", MODEL_22, "--engine", "native", "--engine", "builtin", "--repeat", 1)
    assert both.exit_code == 1


@pytest.mark.parametrize(("tolerance", "code"), [("0.3", 0), ("0.2", 1), (None, 1)])
def test_the_exit_code_is_1_beyond_the_tolerance(tolerance, code, tmp_path, export):
    np.savez(tmp_path / "io.npz", **export.feeds(), **{"9": export.expected[0] + np.float32(0.25)})
    assert np.abs(export.expected[0]).max() < 1, "so that the unit of the tolerance is 1"
    more = () if tolerance is None else ("--tolerance", tolerance)
    assert native("--inputs", tmp_path / "io.npz", *more).exit_code == code


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, FRAMEWORKS), (np.float16, FRAMEWORKS_16_BIT)])
def test_the_tolerance_is_in_units_of_the_largest_finite_number(dtype, tolerance):
    assert allowed_difference(np.array([-300, np.inf, np.nan], dtype)) == 300 * tolerance
    assert allowed_difference(np.array([0.5], dtype)) == tolerance
    assert allowed_difference(np.array([-300], dtype), 0.5) == 150


def test_engines_are_compared_with_the_first_that_runs(monkeypatch):
    real = apart.try_engine

    monkeypatch.setattr(
        "onnx_roialign.cli.run.try_engines_apart",
        lambda model, feeds, engines, **more: [
            replaced(real(model, feeds, engine), number) for number, engine in enumerate(engines)
        ],
    )
    result = invoke("run", MODEL, "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["ok"], answer["against"]) == (1, False, "native")
    assert [engine["outputs"][0]["passes"] for engine in answer["engines"]] == [True, False, False]


def replaced(trial, number):
    return replace(trial, outputs={name: array + np.float32(number) for name, array in trial.outputs.items()})


def test_arrays_that_are_not_compared_are_named(tmp_path, export):
    result = native("--inputs", INPUTS)
    assert "Neither inputs nor outputs of the model: legacy_s2, legacy_s0, aligned_s2, aligned_s0" in result.stdout
    model = onnx.load(MODEL)
    model.graph.output.append(model.graph.output[0])
    model.graph.output[1].name = "more"
    model.graph.node.append(onnx.helper.make_node("Identity", [model.graph.output[0].name], ["more"]))
    onnx.save(model, tmp_path / "m.onnx")
    np.savez(tmp_path / "io.npz", **export.feeds(), more=export.expected[0])
    result = invoke("run", tmp_path / "m.onnx", "--inputs", tmp_path / "io.npz", "--engine", "native", "--repeat", 1)
    assert result.exit_code == 0
    assert "Not compared, because the file lacks them: 9" in result.stdout


def test_runs_json_has_all_numbers(export, tmp_path):
    np.savez(tmp_path / "io.npz", **export.feeds(), **{"9": export.expected[0][:1]})
    result = native("--inputs", tmp_path / "io.npz", "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, result.stderr, answer["ok"]) == (1, "", False)
    assert (answer["model"], answer["opset"], answer["roi_aligns"]) == (str(MODEL), 16, 1)
    assert answer["inputs"]["rois"] == {"dtype": "float32", "shape": [4, 5]}
    (engine,) = answer["engines"]
    assert engine["q1_ms"] <= engine["median_ms"] <= engine["q3_ms"]
    assert engine["samples"] == 1
    (output,) = engine["outputs"]
    assert (output["name"], output["shape"], output["expected_shape"]) == ("9", [4, 4, 3, 4], [1, 4, 3, 4])
    assert (output["difference"], output["passes"]) == ("inf", False)


def test_engines_run_in_turns(monkeypatch):
    """A round has one turn of each engine, in an order that changes, and is followed by the next round."""
    seen = []
    real = apart._result
    monkeypatch.setattr(
        apart, "_result", lambda child, engine, message: seen.append(engine) or real(child, engine, message)
    )
    trials = apart.try_engines_apart(MODEL, export_feeds(), ("native", "builtin"), repeat=6)
    assert [trial.engine for trial in trials] == ["native", "builtin"]
    assert [len(trial.milliseconds) for trial in trials] == [6, 6]
    rounds = [tuple(seen[i : i + 2]) for i in range(0, len(seen), 2)]
    assert len(rounds) == 8  # the first run, six turns, the results
    assert all(sorted(order) == ["builtin", "native"] for order in rounds)
    assert len(set(rounds[1:7])) == 2


def export_feeds():
    return exports.load("torchvision_roi_align/torchscript_opset16_aligned_s2.onnx").feeds()


@pytest.mark.parametrize("tolerance", ["nan", "inf", "-1", "-inf"])
def test_a_tolerance_is_finite_and_not_negative(tolerance):
    result = invoke("run", MODEL, "--tolerance", tolerance)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--tolerance must be finite and >= 0, got " in result.stderr
