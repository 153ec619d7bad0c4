"""Tests bench --pooler: one call, a call per level and ONNX's own operators return the same and are timed in turns."""

from __future__ import annotations

import json

import json_documents
import pytest
from command_line import invoke
from races import ISA, fake_times, race

from onnx_roialign.bench import pooler
from onnx_roialign.bench.workloads import WORKLOADS
from onnx_roialign.definition.pyramid import LevelRule

NAMES = ["ours", "single levels", "unfused, onnxruntime", "unfused, our RoiAlign"]


def test_pooler_prints_and_writes_each_contestant(tmp_path):
    arguments = ("--pooler", "--workload", "fpn_mask_14x14_s2", "--isa", ISA, "--repeat", 1)
    result = invoke("bench", *arguments, "-o", tmp_path / "pooler.json")
    assert result.exit_code == 0, result.output
    assert "ours: one MultiScaleRoiAlign of all RoIs" in result.stdout
    document = json.loads((tmp_path / "pooler.json").read_text())
    json_documents.check("bench", document)
    assert (document["schema"], document["kind"], document["missing"]) == (2, "pooler", {})
    (measured,) = document["races"]
    assert [entry["engine"] for entry in measured["results"]] == NAMES
    assert [entry["isa"] for entry in measured["results"]] == [ISA, None, None, None]
    for entry in measured["results"]:
        assert entry["refusal"] is None
        assert entry["median_ms"] > 0


@pytest.mark.parametrize("name", pooler.POOLERS)
def test_a_wrong_level_is_detected(name, monkeypatch):
    fake_times(monkeypatch, 1.0, 1.0, 1.0, 1.0)
    monkeypatch.setattr(pooler, "_RULE", LevelRule(canonical_scale=220.0))
    found = race(WORKLOADS[name](), pooler.pooler_contestants(ISA))
    refusals = [result.refusal for result in found.results]
    assert refusals[1] is None
    assert all(refusal.startswith("wrong: off by") for refusal in (refusals[0], *refusals[2:]))
