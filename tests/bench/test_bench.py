"""Tests the command bench: what it prints, writes and draws, its exit codes, and its errors."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from command_line import invoke
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from races import BYTES_PER_SECOND, ISA, fake_contestant

from onnx_roialign.bench.peers import Contestant
from onnx_roialign.cli import bench as bench_command
from onnx_roialign.definition import reference
from onnx_roialign.pictures import style

HEAD_KEYS = {"schema_version", "tool_version", "command"}
RACE_KEYS = {"workload", "dtype", "mode", "threads", "moved_bytes", "copy_bandwidth", "floor_ms", "results"}
RESULT_KEYS = {
    *("engine", "isa", "refusal", "difference", "median_ms", "q1_ms", "q3_ms", "samples"),
    *("alone_ms", "speed_up", "over_floor", "faster_than", "scratch_bytes"),
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_command, "copy_bandwidth", lambda threads: BYTES_PER_SECOND)
        patch.setitem(sys.modules, "torchvision", None)  # as if it were not installed
        result = invoke(
            "bench",
            *("--workload", "one_value,small_call", "--against", "onnxruntime,torchvision", "--isa", ISA),
            *("--repeat", 2, "-o", folder / "bench.json", "--plot", folder / "bench.png"),
        )
    return result, folder


def test_bench_prints_a_row_per_engine_and_names_the_missing_peer(ran):
    result, _ = ran
    assert result.exit_code == 0, result.output
    for text in ("one_value", "small_call", f"ours, {ISA}", "onnxruntime", f"x {ISA}", "float32, mode avg, 1 thread"):
        assert text in result.stdout
    assert "Not installed: torchvision (" in result.stdout
    assert "Machine: " in result.stdout


def test_the_json_has_the_documented_keys_and_no_others(ran):
    document = json.loads((ran[1] / "bench.json").read_text())
    assert document.keys() == HEAD_KEYS | {"schema", "kind", "machine", "settings", "missing", "races", "ok"}
    assert (document["schema"], document["kind"]) == (2, "bench")
    assert document["machine"].keys() == {"cpu", "cores", "system", "python", "versions"}
    assert document["missing"].keys() == {"torchvision"}
    assert [race["workload"] for race in document["races"]] == ["one_value", "small_call"]
    for race in document["races"]:
        assert race.keys() == RACE_KEYS
        assert race["copy_bandwidth"] == BYTES_PER_SECOND
        ours, peer = race["results"]
        assert ours.keys() == peer.keys() == RESULT_KEYS
        assert (ours["engine"], ours["isa"], peer["engine"], peer["isa"]) == ("ours", ISA, "onnxruntime", None)
        assert ours["faster_than"]["onnxruntime"] == pytest.approx(peer["median_ms"] / ours["median_ms"])
        assert ours["over_floor"] == pytest.approx(ours["median_ms"] / race["floor_ms"])
        assert ours["alone_ms"] is ours["speed_up"] is None
        assert ours["scratch_bytes"] >= 0
        assert peer["scratch_bytes"] is None


def test_more_threads_have_an_additional_column(tmp_path):
    arguments = ("--workload", "one_value", "--against", "onnxruntime", "--isa", ISA, "--threads", 2, "--repeat", 2)
    result = invoke("bench", *arguments, "-o", tmp_path / "bench.json")
    assert result.exit_code == 0, result.output
    assert "x 1 thread" in result.stdout
    for entry in json.loads((tmp_path / "bench.json").read_text())["races"][0]["results"]:
        assert entry["speed_up"] == pytest.approx(entry["alone_ms"] / entry["median_ms"])


@pytest.mark.parametrize(("columns", "most"), [(40, 2), (60, 4), (120, 8)])  # columns of numbers, by their widths
def test_the_table_fits_the_terminal(columns, most, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    ours = tuple(fake_contestant("ours", isa=isa) for isa in ("avx512", "avx2", "baseline"))
    peer = fake_contestant("onnxruntime")
    monkeypatch.setattr(bench_command, "find_contestants", lambda *_: ((*ours, peer), {}))
    result = invoke("bench", "--workload", "one_value", "--repeat", 1)
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert "…" not in result.stdout
    for header in ("median", "quartiles", "/ floor", "x avx512", "x avx2", "x baseline", "off by", "scratch"):
        assert sum(f" {header} " in f"{line} " for line in lines if line.startswith(" milliseconds ")) == 1
    assert sum(line.startswith(" one_value ") for line in lines) >= 8 / most


def test_the_picture_shows_ours_the_peers_and_the_floor(ran):
    picture = imread(ran[1] / "bench.png")[:, :, :3]
    assert picture.shape[1] > 1000
    for colour in (style.INSTRUCTION_SETS[ISA], style.PEER, style.CHOSEN):
        close = np.all(np.abs(picture - to_rgb(colour)) < 0.02, axis=2)
        assert np.count_nonzero(close) > 100, colour


def test_bench_exits_1_if_ours_is_wrong_and_0_if_only_a_peer_is(monkeypatch):
    wrong = fake_contestant("paddle", answer=lambda *arguments: reference.roi_align(*arguments) + 1)
    for contestants, exit_code in (
        ((fake_contestant("ours", isa=ISA), wrong), 0),
        ((Contestant("ours", ISA, "corners", wrong.prepare),), 1),
    ):
        monkeypatch.setattr(bench_command, "find_contestants", lambda *_, contestants=contestants: (contestants, {}))
        result = invoke("bench", "--workload", "one_value", "--repeat", 1)
        assert result.exit_code == exit_code
        assert f"Not timed: {contestants[-1].label} wrong: off by" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "onnxruntime,caffe"], "--against must be of onnxruntime, torchvision, openvino, mindspore, "),
        (["--against", ""], "got ''"),
        (["--threads", "1,0"], "--threads must be whole numbers in [1, 1024], got '0'"),
        (["--threads", "1000000"], "--threads must be whole numbers in [1, 1024], got '1000000'"),
        (["--threads", "two"], "--threads must be whole numbers in [1, 1024], got 'two'"),
        (["--dtype", "int8"], "--dtype must be of float32, float16, bfloat16, float64, got 'int8'"),
        (["--isa", "mmx"], "got 'mmx'"),
        (["--workload", "fpn"], "--workload must be of fpn_box_7x7_s2, "),
        (["--mode", "sum"], "--mode must be of avg, max, got 'sum'"),
        (["--repeat", "0"], "--repeat must be in [1, 10000], got 0"),
        (["--sweep", "--plot", "p.png"], "--plot must not be given together with --sweep"),
        (["--sweep", "--workload", "one_value"], "--workload must not be given together with --sweep"),
        (["--model", "none.onnx", "--plot", "p.png"], "--plot must not be given together with --model"),
        (["--pooler", "--sweep"], "--sweep must not be given together with --pooler"),
        (["--pooler", "--against", "openvino"], "--against must not be given together with --pooler"),
        (["--pooler", "--dtype", "float16"], "--dtype must be float32 together with --pooler, got 'float16'"),
        (["--pooler", "--workload", "one_value"], "--workload must be of fpn_box_7x7_s2, fpn_box_7x7_adaptive, fpn_m"),
        (["--inputs", "io.npz"], "--inputs must be given together with --model"),
        (["-o", "/none/there.json"], "--output must be a file to write, got '/none/there.json'"),
        (["--plot", "/none/there.png"], "--plot must be a file to write, got '/none/there.png'"),
    ],
)
def test_a_wrong_argument_gets_one_line_on_stderr_and_exit_code_2(arguments, message):
    result = invoke("bench", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
