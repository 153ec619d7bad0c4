"""The benchmark: what it counts, that it checks before it times, what it prints and writes. Nothing here is timed."""

from __future__ import annotations

import itertools
import json
import sys
import time

import exports
import naive
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread
from required_peers import REQUIRED
from typer.testing import CliRunner

from onnx_roialign.bench import floor, peers, scratch, sweep
from onnx_roialign.bench import race as bench
from onnx_roialign.bench.peers import Engine, Prepared
from onnx_roialign.bench.workloads import DTYPES, WORKLOADS, converted, is_half_pixel, random_workload
from onnx_roialign.cli import bench as bench_command
from onnx_roialign.cli.main import app
from onnx_roialign.definition import reference
from onnx_roialign.engines import native
from onnx_roialign.pictures import style

ISA = native.available_isas()[0]
BYTES_PER_SECOND = 2e10


@pytest.fixture(autouse=True)
def quick_copy(monkeypatch):
    """The floor's 512 MB copies take half a second; 1 MB is as good where no number is looked at."""
    monkeypatch.setattr(bench_command, "copy_bandwidth", lambda threads: floor.copy_bandwidth(threads, size=1 << 20))


def invoke(*arguments):
    return CliRunner().invoke(app, ["bench", *map(str, arguments)])


def small(**changes):
    return random_workload("small", **{"shape": (2, 3, 9, 12), "num_rois": 5, "size": (2, 3), "seed": 4, **changes})


def fake_engine(name="fake", *, isa=None, answer=reference.roi_align, ran=None, own_threads=False):
    """An engine that answers `answer(X, rois, batch_indices, attributes)`, and appends (name, threads) to `ran`."""

    def prepare(workload, threads):
        outputs = []

        def run():
            if ran is not None:
                ran.append((name, threads))
            outputs[:] = [answer(call.X, call.rois, call.batch_indices, call.attributes) for call in workload.calls]

        return Prepared(run, lambda: outputs)

    return Engine(name, isa, "corners", prepare, own_threads)


def fake_times(monkeypatch, *medians):
    """Every engine is given its milliseconds, by its place, instead of being timed."""

    def times_in_turns(runs, *, repeat, **_):
        return {(i, n): bench.Times(medians[i], medians[i], medians[i], repeat) for i, n in runs}

    monkeypatch.setattr(bench, "times_in_turns", times_in_turns)


def race(workload, engines, **arguments):
    return bench.race(
        workload, engines, **{"threads": 1, "repeat": 2, "bandwidth": lambda _: BYTES_PER_SECOND, **arguments}
    )


# Workloads and the floor


def test_the_workloads_are_the_seeded_ones():
    box, mask, c4 = (WORKLOADS[name]().calls for name in ("fpn_box_7x7_s2", "fpn_mask_14x14_s2", "c4_14x14_adaptive"))
    assert [len(call.rois) for call in box] == [542, 173, 195, 90]
    assert [len(call.rois) for call in mask] == [52, 18, 24, 6]
    assert box[0].rois.sum(dtype=np.float64) == pytest.approx(1145053.80965, abs=1e-4)
    assert box[0].X.sum(dtype=np.float64) == pytest.approx(-294.11927, abs=1e-4)
    assert c4[0].X.sum(dtype=np.float64) == pytest.approx(710.26829, abs=1e-4)
    assert (is_half_pixel(c4[0]), is_half_pixel(box[0])) == (True, False)


def touched_by_brute_force(call):
    touched = set()
    attributes = call.attributes
    for image, roi in zip(call.batch_indices, call.rois, strict=True):
        axes = []
        for start, end, bins, length in (
            (roi[1], roi[3], attributes.output_height, call.X.shape[2]),
            (roi[0], roi[2], attributes.output_width, call.X.shape[3]),
        ):
            positions, _ = naive.axis_positions(
                start, end, bins, attributes.sampling_ratio, attributes.spatial_scale, attributes.semantics
            )
            taps = [naive.taps(position, length, attributes.semantics) for position in itertools.chain(*positions)]
            axes.append({pixel for tap in taps if tap is not None for pixel, _ in tap})
        touched |= {(int(image), row, column) for row, column in itertools.product(*axes)}
    return len(touched)


@pytest.mark.parametrize("sampling_ratio", [0, 1, 2])
def test_the_floor_counts_each_touched_cell_once(sampling_ratio):
    call = small(sampling_ratio=sampling_ratio, shape=(2, 3, 30, 40), num_rois=9).calls[0]
    call.rois[0] = (-30, -20, 40, 50)  # partly outside
    call.rois[1] = (400, 400, 500, 500)  # outside
    cells = floor.touched_cells(call)
    assert cells == touched_by_brute_force(call)
    assert 0 < cells < 2 * 30 * 40


def test_moved_bytes_are_touched_features_of_every_channel_and_the_output():
    workload = converted(small(sampling_ratio=1), "float16", "avg")
    call = workload.calls[0]
    assert floor.moved_bytes(workload) == 2 * (3 * floor.touched_cells(call) + 5 * 3 * 2 * 3)


def test_the_floor_is_those_bytes_at_the_speed_of_a_copy():
    finished = race(small(sampling_ratio=1), [fake_engine()])
    assert finished.floor_ms == pytest.approx(1e3 * finished.moved_bytes / BYTES_PER_SECOND)
    assert floor.copy_bandwidth(2, size=1 << 20) > 0


# The race


def test_every_round_runs_everyone_once_in_changing_order():
    ran, rounds = [], []
    runs = {i: lambda i=i: (time.sleep(0.0012), ran.append(i)) for i in range(4)}
    times = bench.times_in_turns(runs, repeat=6, after_round=lambda: rounds.append(len(ran)))
    first = rounds[0] - 4
    turns = [tuple(ran[begin : begin + 4]) for begin in range(first, len(ran), 4)]
    assert len(rounds) == len(turns) == 6
    assert all(sorted(turn) == [0, 1, 2, 3] for turn in turns)
    assert len(set(turns)) > 1
    assert all(one.samples == 6 and one.q1 <= one.median <= one.q3 for one in times.values())


def test_settling_waits_for_threads_that_still_run(monkeypatch):
    clock = itertools.accumulate([0.0, 2e-3, 0.0, 2e-3, 0.0, 1e-5, 0.0])  # busy, busy, asleep
    naps = []
    monkeypatch.setattr(bench.time, "process_time", lambda: next(clock))
    monkeypatch.setattr(bench.time, "sleep", naps.append)
    bench.settle()
    assert len(naps) == 3


def test_a_race_stops_when_its_time_is_over_but_not_before_3_samples():
    times = bench.times_in_turns({0: lambda: time.sleep(0.0012)}, repeat=1000, seconds=0.0)
    assert times[0].samples == 3


def test_a_wrong_engine_is_reported_and_not_timed():
    def answer(*arguments):
        wrong = reference.roi_align(*arguments)
        wrong[-1, -1, -1, -1] += 0.01
        return wrong

    ran = []
    finished = race(small(sampling_ratio=2), [fake_engine("wrong", answer=answer, ran=ran), fake_engine("right")])
    wrong, right = finished.results
    assert ran == [("wrong", 1)]
    assert wrong.times is None
    assert wrong.refusal.startswith("wrong: off by")
    assert wrong.difference > 1e-4
    assert (right.refusal, right.difference, right.times.samples) == (None, 0.0, 2)


def test_an_engine_that_leaves_its_output_unwritten_is_wrong():
    unwritten = race(small(sampling_ratio=1), [fake_engine(answer=lambda X, *_: np.full((5, 3, 2, 3), np.nan))])
    assert "wrong: off by inf" in unwritten.results[0].refusal


def test_an_engine_that_raises_is_reported_and_the_others_run():
    def answer(*_):
        raise RuntimeError("no such\nkernel")

    failed, right = race(small(sampling_ratio=1), [fake_engine(answer=answer), fake_engine()]).results
    assert (failed.refusal, failed.times) == ("does not run: no such kernel", None)
    assert right.times is not None


def test_the_ratio_is_that_of_the_medians_and_none_where_a_side_has_no_time(monkeypatch):
    fake_times(monkeypatch, 2.0, 5.0)
    finished = race(small(sampling_ratio=1), [fake_engine("ours", isa=ISA), fake_engine("onnxruntime")])
    assert finished.faster(finished.results[0], "onnxruntime") == 2.5
    assert finished.faster(finished.results[0], "paddle") is None


def test_more_threads_are_timed_in_turns_with_one_where_an_engine_can_have_both():
    ran = []
    engines = [fake_engine(name, ran=ran, own_threads=name == "own") for name in ("own", "global")]
    own, other = race(small(sampling_ratio=1), engines, threads=3, repeat=4).results
    assert set(ran) == {("own", 3), ("own", 1), ("global", 3)}
    assert own.times.samples == own.alone.samples == 4
    assert own.speed_up == own.alone.median / own.times.median
    assert (other.times.samples, other.alone, other.speed_up) == (4, None, None)


def test_on_one_thread_nothing_is_timed_twice():
    (result,) = race(small(sampling_ratio=1), [fake_engine(own_threads=True)]).results
    assert (result.alone, result.speed_up) == (None, None)


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_our_kernel_and_onnxruntime_are_right_on_every_type(dtype, mode):
    engines, _ = peers.find_engines(("onnxruntime",), native.available_isas(), mode)
    finished = race(converted(small(sampling_ratio=2), dtype, mode), engines, repeat=1)
    assert [result.refusal for result in finished.results] == [None] * len(engines)
    names = {result.engine.name for result in finished.results}
    direct = {"direct corners", "direct samples"} if mode == "max" else set()
    assert names == {"ours", "onnxruntime", *direct}


def test_every_peer_is_right_or_is_missing_or_says_what_it_lacks():
    engines, missing = peers.find_engines(peers.PEERS, (), "avg")
    assert {engine.name for engine in engines} | set(missing) == set(peers.PEERS)
    assert {name: missing[name] for name in REQUIRED if name in missing} == {}
    for result in race(WORKLOADS["small_call"](), engines, repeat=1).results:
        assert result.refusal is None, (result.engine.name, result.refusal)


def test_a_session_is_made_with_the_instruction_set_that_was_asked_for():
    engines, _ = peers.find_engines((), ("mmx",), "avg")
    refusal = race(small(sampling_ratio=1), engines).results[0].refusal
    assert refusal.startswith("does not run: ")
    assert "onnx_roialign.isa must be one of " in refusal
    assert refusal.endswith("got 'mmx'")


def test_the_scratch_memory_of_a_run_is_its_peak():
    def run():
        np.ones(64 << 20, np.uint8)

    assert 60 << 20 < scratch.peak_bytes(run) < 70 << 20
    assert 0 <= scratch.scratch_bytes("small_call", "float32", "avg", ISA, 1) < 32 << 20


# The sweep


@pytest.mark.parametrize("axes", [sweep.AXES, sweep.MANY_AXES], ids=("all", "many"))
def test_each_subset_covers_every_pair_of_values_within_the_bounds(axes):
    wanted = {
        ((i, a), (j, b))
        for (i, first), (j, second) in itertools.combinations(enumerate(axes), 2)
        for a, b in itertools.product(first, second)
    }
    for seed in (0, 1):
        cases = sweep.covering_cases(seed, axes)
        assert set().union(*map(sweep.pairs, cases)) == wanted
        assert len(cases) < 80
        assert all(case.cost()[0] <= 1.3e9 for case in cases)
    assert sweep.covering_cases(0, axes) == sweep.covering_cases(0, axes) != sweep.covering_cases(1, axes)


def test_the_sweep_has_the_small_corners_and_no_case_twice():
    cases = sweep.all_cases()
    assert set(sweep.corner_cases()) | set(sweep.covering_cases(0, sweep.MANY_AXES)) < set(cases)
    assert len(set(cases)) == len({case.name for case in cases}) == len(cases)


def test_a_case_makes_the_shapes_of_its_name():
    call = sweep.Case(3, (14, 20), (7, 3), 10, 0, 4).workload().calls[0]
    assert (call.X.shape, call.output_shape, call.attributes.sampling_ratio) == ((4, 3, 14, 20), (10, 3, 7, 3), 0)
    assert sweep.Case(3, (14, 20), (7, 3), 10, 0, 4).name == "N4_C3_14x20_K10_to7x3_sadaptive"


@pytest.mark.parametrize(("ours", "rival", "exit_code"), [(1.0, 1.0, 0), (1.01, 1.0, 1)])
def test_the_sweep_exits_1_where_ours_is_slower_after_a_second_look(ours, rival, exit_code, monkeypatch, tmp_path):
    engines = fake_engine("ours", isa=ISA), fake_engine("onnxruntime")
    fake_times(monkeypatch, ours, rival, 1.25 * rival)
    monkeypatch.setattr(bench_command, "find_engines", lambda *_: (engines, {}))
    monkeypatch.setattr(bench_command, "all_cases", lambda: sweep.corner_cases()[:2])
    result = invoke("--sweep", "--repeat", 2, "--json", tmp_path / "sweep.json")
    document = json.loads((tmp_path / "sweep.json").read_text())
    assert result.exit_code == exit_code, result.output
    assert f"Worst ratio to onnxruntime: {rival / ours:.2f} over 2 measurements" in result.stdout
    assert f"Ratios below 1: {2 * exit_code}; of these, with our lower quartile above" in result.stdout
    assert result.stdout.split("upper quartile: ")[1].startswith(f"{2 * exit_code}.")
    assert "A second session of onnxruntime against the first, in the same turns: 0.80 to 0.80, 2 of 2" in result.stdout
    assert document["worst"]["ratio"] == pytest.approx(rival / ours)
    assert {one["samples"] for race in document["races"] for one in race["results"]} == {32 if exit_code else 2}


def test_the_sweep_exits_1_where_ours_is_wrong(monkeypatch):
    wrong = fake_engine("ours", isa=ISA, answer=lambda *arguments: reference.roi_align(*arguments) + 1)
    monkeypatch.setattr(bench_command, "find_engines", lambda *_: ((wrong, fake_engine("onnxruntime")), {}))
    monkeypatch.setattr(bench_command, "all_cases", lambda: sweep.corner_cases()[:1])
    result = invoke("--sweep", "--repeat", 1)
    assert result.exit_code == 1
    assert f"Not timed: ours, {ISA} wrong: off by" in result.stdout


# The command


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
            *("--workload", "one_value,small_call", "--against", "onnxruntime,torchvision", "--isa", ISA),
            *("--repeat", 2, "--json", folder / "bench.json", "--plot", folder / "bench.png"),
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
    assert document.keys() == {"schema", "kind", "machine", "settings", "missing", "races"}
    assert (document["schema"], document["kind"]) == (1, "bench")
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


def test_more_threads_have_a_column_of_their_own(tmp_path):
    arguments = ("--workload", "one_value", "--against", "onnxruntime", "--isa", ISA, "--threads", 2, "--repeat", 2)
    result = invoke(*arguments, "--json", tmp_path / "bench.json")
    assert result.exit_code == 0, result.output
    assert "x 1 thread" in result.stdout
    for one in json.loads((tmp_path / "bench.json").read_text())["races"][0]["results"]:
        assert one["speed_up"] == pytest.approx(one["alone_ms"] / one["median_ms"])


def test_the_picture_shows_ours_the_peers_and_the_floor(ran):
    picture = imread(ran[1] / "bench.png")[:, :, :3]
    assert picture.shape[1] > 1000
    for colour in (style.INSTRUCTION_SETS[ISA], style.PEER, style.CHOSEN):
        close = np.all(np.abs(picture - to_rgb(colour)) < 0.02, axis=2)
        assert np.count_nonzero(close) > 100, colour


def test_bench_exits_1_where_ours_is_wrong_and_0_where_a_peer_is(monkeypatch):
    wrong = fake_engine("paddle", answer=lambda *arguments: reference.roi_align(*arguments) + 1)
    for engines, exit_code in (
        ((fake_engine("ours", isa=ISA), wrong), 0),
        ((Engine("ours", ISA, "corners", wrong.prepare),), 1),
    ):
        monkeypatch.setattr(bench_command, "find_engines", lambda *_, engines=engines: (engines, {}))
        result = invoke("--workload", "one_value", "--repeat", 1)
        assert result.exit_code == exit_code
        assert f"Not timed: {engines[-1].label} wrong: off by" in result.stdout


def test_model_prints_time_per_operator_with_and_without_our_kernel(tmp_path):
    model = exports.MODELS / "torchvision_roi_align" / "torchscript_opset16_aligned_s2.onnx"
    result = invoke("--model", model, "--repeat", 2, "--json", tmp_path / "model.json")
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "model.json").read_text())
    assert [share["engine"] for share in document["shares"]] == ["native", "builtin"]
    for share in document["shares"]:
        assert share["operator_nodes"]["RoiAlign"] == 1
        assert 0 < share["operator_ms"]["RoiAlign"] < share["run_ms"]
    for text in ("with our kernel", "without", "RoiAlign", "the whole run"):
        assert text in result.stdout


def test_model_says_why_an_engine_does_not_load():
    model = exports.MODELS / "torchvision_roi_align" / "torchscript_opset22_aligned_s2.onnx"
    result = invoke("--model", model, "--repeat", 1)
    assert result.exit_code == 0
    assert "builtin: does not load: " in result.stdout
    assert "with our kernel" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "onnxruntime,caffe"], "--against must be of onnxruntime, torchvision, openvino, mindspore, "),
        (["--against", ""], "got ''"),
        (["--threads", "1,0"], "--threads must be whole numbers of at least 1, got '0'"),
        (["--threads", "two"], "--threads must be whole numbers of at least 1, got 'two'"),
        (["--dtype", "int8"], "--dtype must be of float32, float16, bfloat16, float64, got 'int8'"),
        (["--isa", "mmx"], "got 'mmx'"),
        (["--workload", "fpn"], "--workload must be of fpn_box_7x7_s2, "),
        (["--mode", "sum"], "--mode must be of avg, max, got 'sum'"),
        (["--repeat", "0"], "--repeat must be in [1, 10000], got 0"),
        (["--sweep", "--plot", "p.png"], "--plot must not be given together with --sweep"),
        (["--sweep", "--workload", "one_value"], "--workload must not be given together with --sweep"),
        (["--model", "none.onnx", "--plot", "p.png"], "--plot must not be given together with --model"),
        (["--inputs", "io.npz"], "--inputs must be given together with --model"),
        (["--json", "/none/there.json"], "--json must be a file to write to, got '/none/there.json'"),
        (["--plot", "/none/there.png"], "--plot must be a file to write to, got '/none/there.png'"),
    ],
)
def test_a_wrong_argument_gets_one_line_on_stderr_and_exit_code_2(arguments, message):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
