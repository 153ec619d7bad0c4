"""Tests optimize and unfuse on the command line: what they write and print, and their exit codes."""

from __future__ import annotations

import json

import onnx
import pooler_exports
import pytest
from command_line import invoke

from onnx_roialign.graph import fuse, unfuse
from onnx_roialign.sessions.options import version


@pytest.fixture
def pooler(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(pooler_exports.load("mmdeploy_3levels_ts11"), path)
    return path


@pytest.fixture
def single(tmp_path):
    path = tmp_path / "single.onnx"
    onnx.save(pooler_exports.form("d2_L1_ts20"), path)
    return path


def test_optimize_prints_the_fused_parts_and_writes_the_model(pooler, tmp_path):
    result = invoke("optimize", pooler, "-o", tmp_path / "out.onnx")
    assert result.exit_code == 0
    said = result.stdout.splitlines()
    if version() < (1, 24):  # onnx.reference crashes on the omitted input levels
        assert said[0] == "MultiScaleRoiAlign: pooled: fused, 91 nodes fewer: levels are an input"
    else:
        assert said[0].startswith("MultiScaleRoiAlign: pooled: fused, 118 ")
        assert said[0].endswith("nodes fewer: level = floor(0 + log2(sqrt(area) / 40 + 1e-06)), 0 to 2")
    assert said[1:] == [f"Written: {tmp_path / 'out.onnx'}"]
    assert onnx.load(tmp_path / "out.onnx") == fuse(pooler).model


def test_optimize_with_a_source_prints_that_results_differ_on_purpose(pooler, tmp_path):
    result = invoke("optimize", pooler, "-o", tmp_path / "out.onnx", "--source", "mmcv", "--json")
    answer = json.loads(result.stdout)
    assert {"model", "opset", "nodes", "roi_aligns", "source", "output", "written", "parts", "ok"} < set(answer)
    (part,) = answer["parts"]
    assert set(part) == {"op", "output", "fused", "nodes", "text", "corrected"}
    assert (answer["source"], part["fused"], part["corrected"]) == ("mmcv", True, True)
    assert "it returns the source's results, which differ from the model's" in part["text"]
    assert onnx.load(tmp_path / "out.onnx") == fuse(pooler, "mmcv").model


@pytest.mark.parametrize(
    ("source", "state"),
    [
        ((), "the model is unchanged"),
        (("--source", "torchvision"), "its RoiAligns are repaired for torchvision"),
    ],
)
def test_optimize_prints_that_there_is_nothing_to_fuse(single, tmp_path, source, state):
    result = invoke("optimize", single, "-o", tmp_path / "out.onnx", *source)
    assert result.exit_code == 0
    said = f"Nothing to fuse: no pooler and no mask pasting was found; {state}."
    assert " ".join(result.stdout.split()).startswith(said)
    assert (onnx.load(tmp_path / "out.onnx") == onnx.load(single)) == (not source)


def test_optimize_prints_why_it_did_not_fuse_a_part(tmp_path):
    onnx.save(pooler_exports.load("not_ratios_ts13"), tmp_path / "model.onnx")
    result = invoke("optimize", tmp_path / "model.onnx", "-o", tmp_path / "out.onnx")
    assert result.exit_code == 0
    assert "not fused: its levels differ in more than their scale" in result.stdout
    assert onnx.load(tmp_path / "out.onnx") == onnx.load(tmp_path / "model.onnx")


def test_optimize_cannot_skip_the_proof(pooler, tmp_path):
    result = invoke("optimize", pooler, "-o", tmp_path / "out.onnx", "--no-proof")
    assert result.exit_code == 2
    assert "--no-proof must not be given: a part is only fused after a test that results are equal" in result.stderr
    assert not (tmp_path / "out.onnx").exists()
    assert "--no-proof" not in invoke("optimize", "--help").stdout


def test_optimize_writes_a_model_with_external_data_beside_it_only(pooler, tmp_path):
    model = onnx.load(pooler)
    model.graph.initializer.append(onnx.numpy_helper.from_array(onnx.numpy_helper.np.zeros((64, 64)), "weights"))
    onnx.save(model, pooler, save_as_external_data=True, location="data", size_threshold=1024)
    (tmp_path / "other").mkdir()
    result = invoke("optimize", pooler, "-o", tmp_path / "other" / "out.onnx")
    assert result.exit_code == 2
    assert "--output must be in the folder of MODEL, which has external data there" in result.stderr
    assert invoke("optimize", pooler, "-o", tmp_path / "out.onnx").exit_code == 0
    assert onnx.load(tmp_path / "out.onnx").graph.initializer[-1].dims == [64, 64]  # onnx reads the data


def test_unfuse_writes_onnxs_operators_and_prints_if_there_is_nothing_to_do(pooler, single, tmp_path):
    assert invoke("optimize", pooler, "-o", tmp_path / "fused.onnx").exit_code == 0
    result = invoke("unfuse", tmp_path / "fused.onnx", "-o", tmp_path / "out.onnx")
    assert (result.exit_code, result.stdout) == (0, f"Written: {tmp_path / 'out.onnx'}\n")
    assert onnx.load(tmp_path / "out.onnx") == unfuse(tmp_path / "fused.onnx")
    said = invoke("unfuse", single, "-o", tmp_path / "out.onnx").stdout
    assert said == f"There was nothing to expand; the model is unchanged. Written: {tmp_path / 'out.onnx'}\n"
    answer = json.loads(invoke("unfuse", single, "-o", tmp_path / "out.onnx", "--json").stdout)
    assert (answer["model"], answer["output"]) == (str(single), str(tmp_path / "out.onnx"))
    assert (answer["changed"], answer["ok"]) == (False, True)
    assert answer["written"] == {key: answer[key] for key in ("opset", "nodes", "roi_aligns")}
