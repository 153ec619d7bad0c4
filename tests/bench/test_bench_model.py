"""Tests bench --model: each node is in one region, fused nodes are gone, and the free model gets the parts' outputs."""

from __future__ import annotations

import json
import math

import exports
import onnx
import pytest
from command_line import invoke
from installed_versions import newest_opset
from quiet import run_all
from tolerances import EXPORTS

from onnx_roialign.bench import regions
from onnx_roialign.bench.memory import session_bytes
from onnx_roialign.bench.profiler import ProfiledNode, median_run

DETECTOR = exports.MODELS / "detectors" / "mask_rcnn_tiny_torchscript_opset16.onnx"
SESSIONS = ["builtin", "native", "optimized", "free"]
SHARE_KEYS = {
    *("threads", "session", "engine", "refusal", "median_ms", "q1_ms", "q3_ms", "samples", "run_ms"),
    *("operator_ms", "operator_nodes", "region_ms", "region_nodes", "peak_bytes", "difference"),
}


def bench(model, folder, *more):
    result = invoke("bench", "--model", model, "--repeat", 1, "-o", folder / "model.json", *more)
    return result, json.loads((folder / "model.json").read_text())


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    return bench(DETECTOR, tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def shares(ran):
    return {share["session"]: share for share in ran[1]["shares"]}


def test_the_json_has_the_documented_keys_and_no_others(ran):
    result, document = ran
    assert result.exit_code == 0, result.output
    assert document.keys() == {
        *("schema_version", "tool_version", "command", "schema", "kind", "opset", "nodes", "roi_aligns"),
        *("machine", "settings", "missing", "shares", "gains", "fused", "ok"),
    }
    assert (document["schema"], document["kind"]) == (2, "model")
    assert [share["session"] for share in document["shares"]] == SESSIONS
    for share in document["shares"]:
        assert share.keys() == SHARE_KEYS
        assert 0 < share["q1_ms"] <= share["median_ms"] <= share["q3_ms"]
    assert [part["op"] for part in document["fused"]] == ["MultiScaleRoiAlign", "MultiScaleRoiAlign", "PasteMasks"]


def test_regions_and_operators_add_up_to_the_profiled_run(shares):
    for share in shares.values():
        total = sum(share["region_ms"].values())
        assert total == pytest.approx(sum(share["operator_ms"].values()))
        assert 0 < total <= share["run_ms"]
        assert all(time >= -1e-3 for time in share["operator_ms"].values())  # the profiler's clock has whole us
        assert sum(share["region_nodes"].values()) == sum(share["operator_nodes"].values())
        assert list(share["region_ms"]) == list(share["region_nodes"]) == list(regions.REGIONS)


def test_removed_nodes_no_longer_run(shares):
    before, after, free = (shares[name]["region_nodes"] for name in ("native", "optimized", "free"))
    assert (before[regions.ROI_ALIGN], after[regions.ROI_ALIGN], free[regions.ROI_ALIGN]) == (8, 2, 0)
    assert before[regions.POOLER] > 200 > 10 > after[regions.POOLER]
    assert free[regions.POOLER] == 0
    assert before[regions.PASTING] > 1000  # the body's nodes, once for each mask
    assert (after[regions.PASTING], free[regions.PASTING]) == (1, 0)
    assert before[regions.HEADS] == after[regions.HEADS] == free[regions.HEADS] == 8
    assert before[regions.REST] >= after[regions.REST]  # the names that only removed nodes read may be gone
    assert before[regions.CONVOLUTIONS] == after[regions.CONVOLUTIONS] > 40
    assert shares["native"]["operator_nodes"]["Loop"] == 1
    assert "Loop" not in shares["optimized"]["operator_nodes"]
    assert shares["builtin"]["region_nodes"] == before


def test_outputs_memory_and_gains_are_reported(ran, shares):
    for name, share in shares.items():
        if name == "native":
            assert share["difference"] is None
        elif name == "free":
            assert share["difference"].keys() == {"boxes", "labels", "scores"}
        else:
            assert share["difference"].keys() == {"boxes", "labels", "scores", "masks"}
            assert max(share["difference"].values()) < EXPORTS
            assert share["difference"]["labels"] == 0
        assert (share["peak_bytes"] is None) if name == "free" else share["peak_bytes"] > 30 << 20
    gain = ran[1]["gains"][0]
    medians = {name: share["median_ms"] for name, share in shares.items()}
    assert gain["possible_ms"] == pytest.approx(medians["native"] - medians["free"])
    if gain["gained_part"] is not None:
        assert gain["gained_part"] * gain["possible_ms"] == pytest.approx(medians["native"] - medians["optimized"])


def test_the_text_has_every_part(ran):
    for text in (
        *(
            "optimized: native after optimize",
            "peak memory",
            "mask pasting",
            "the whole run",
            "PasteMasks: masks: fused",
        ),
        *("Without pooling and pasting, the speed would be", "Left in optimized: ", "for which a memory copy needs"),
    ):
        assert text in ran[0].stdout


def test_the_free_model_returns_the_same_for_the_fused_parts_outputs():
    export = exports.load("detectors/mask_rcnn_tiny_torchscript_opset16.onnx")
    versions = regions.split(onnx.load_from_string(export.model))
    assert versions.new_inputs == (
        "/roi_heads/box_roi_pool/ScatterElements_3_output_0",
        "/roi_heads/mask_roi_pool/ScatterElements_3_output_0",
    )
    assert {value.name for value in versions.free.graph.output} == {"boxes", "labels", "scores"}
    assert not any(node.domain.startswith("onnx_roialign") for node in versions.free.graph.node)
    recorded = onnx.ModelProto()
    recorded.CopyFrom(versions.after)
    recorded.graph.output.extend(onnx.ValueInfoProto(name=name) for name in versions.new_inputs)
    *expected, _, first, second = run_all(recorded, export.feeds())
    feeds = export.feeds() | dict(zip(versions.new_inputs, (first, second), strict=True))
    for got, want in zip(run_all(versions.free, feeds), expected, strict=True):
        assert (got == want).all()


def test_an_engine_that_does_not_load_has_a_reason(tmp_path):
    if newest_opset() < 22:
        pytest.skip("the installed onnxruntime has no opset 22")
    result, document = bench(exports.MODELS / "detectors" / "mask_rcnn_tiny_torchscript_opset22.onnx", tmp_path)
    assert result.exit_code == 0
    assert "builtin: does not load: " in result.stdout
    share = document["shares"][0]
    assert share["refusal"].startswith("does not load: ")
    assert all(share[key] is None for key in SHARE_KEYS - {"threads", "session", "engine", "refusal"})
    assert document["shares"][2]["region_nodes"][regions.ROI_ALIGN] == 2


def test_a_model_with_nothing_to_fuse_has_two_sessions(tmp_path):
    result, document = bench(exports.MODELS / "torchvision_roi_align" / "torchscript_opset16_aligned_s2.onnx", tmp_path)
    assert result.exit_code == 0
    assert "optimize: nothing to fuse" in result.stdout
    assert [share["session"] for share in document["shares"]] == SESSIONS[:2]
    assert all(share["operator_nodes"]["RoiAlign"] == 1 for share in document["shares"])
    assert document["gains"] == [{"threads": 1, "possible_ms": None, "gained_part": None}]


def test_a_model_of_a_pooler_alone_has_no_free_session(tmp_path):
    export = exports.load("torchvision_multiscale/fpn4_7x7_s2_torchscript_opset16.onnx")
    (tmp_path / "pooler.onnx").write_bytes(export.model)
    result, document = bench(tmp_path / "pooler.onnx", tmp_path)
    assert result.exit_code == 0, result.output
    assert [share["session"] for share in document["shares"]] == SESSIONS[:3]
    assert "The model has no outputs without the fused parts" in result.stdout


def test_weights_in_another_file_are_found(tmp_path):
    model = onnx.load(DETECTOR)
    onnx.save_model(model, tmp_path / "model.onnx", save_as_external_data=True, location="weights", size_threshold=1024)
    _, document = bench(tmp_path / "model.onnx", tmp_path)
    assert [share["refusal"] for share in document["shares"]] == [None] * 4
    assert all(share["peak_bytes"] for share in document["shares"][:3])


def test_the_memory_of_a_session_that_fails_is_unknown(tmp_path):
    (tmp_path / "none").write_bytes(b"")
    assert session_bytes(DETECTOR, tmp_path / "none", "native", 1, "") is None


def event(name, operator, begin, length, **arguments):
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "ts": begin,
        "dur": length,
        "args": {"op_name": operator, **arguments},
    }


def test_a_loop_counts_without_its_body(tmp_path):
    """Three runs: the first warms up; of the others, the shorter one is taken, with 10 us between its nodes."""
    runs = [{"name": "model_run", "ts": begin, "dur": length} for begin, length in ((0, 999), (1000, 100), (2000, 500))]
    nodes = [
        event("first", "Add", 10, 900),
        event("a", "Conv", 1000, 20, output_size="64"),
        event("loop", "Loop", 1020, 60),
        event("inner", "If", 1025, 30),
        event("deep", "Mul", 1030, 20),
        event("inner", "If", 1060, 10),
        event("last", "Add", 1080, 10),
        event("late", "Add", 2100, 300),
    ]
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps([*runs, *nodes[::-1]]))
    run = median_run(profile)
    assert run.ms == 0.1
    assert run.nodes == (
        ProfiledNode("a", "Conv", 0.02, 64, ()),
        ProfiledNode("loop", "Loop", 0.02, 0, ()),
        ProfiledNode("inner", "If", 0.01, 0, ("loop",)),
        ProfiledNode("deep", "Mul", 0.02, 0, ("loop", "inner")),
        ProfiledNode("inner", "If", 0.01, 0, ("loop",)),
        ProfiledNode("last", "Add", 0.01, 0, ()),
    )
    assert math.isclose(sum(node.ms for node in run.nodes), 0.09)


def test_a_node_that_onnxruntime_renamed_keeps_its_region():
    found = regions.Regions({"[[4]]": regions.HEADS, "[[5]]": regions.PASTING}, {"/x/Relu_output_0": "[[4]]"})

    def region(name, operator, *within):
        return found.of(ProfiledNode(name, operator, 1.0, 0, within))

    assert region("/x/Relu_output_0_nchwc", "Conv") == regions.HEADS
    assert region("fused [[4]]", "FusedGemm") == regions.HEADS
    assert region("[[4]]/MatMulAddFusion", "Relu") == regions.REST
    assert region("[[9]]", "Conv") == region("ReorderInput_token_2", "ReorderInput") == regions.CONVOLUTIONS
    assert region("token_7", "Concat", "[[5]]") == region("[[9]]", "Conv", "[[5]]", "[[4]]") == regions.PASTING
    assert region("[[9]]", "ConvolutionalThing") == regions.REST
