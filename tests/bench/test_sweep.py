"""Tests the sweep: its cases cover every part, and its exit code reports a slower or wrong library."""

from __future__ import annotations

import itertools
import json

import pytest
from command_line import invoke
from races import ISA, fake_contestant, fake_times

from onnx_roialign.bench import sweep
from onnx_roialign.cli import bench as bench_command
from onnx_roialign.definition import reference


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


def test_a_case_has_the_shapes_in_its_name():
    call = sweep.Case(3, (14, 20), (7, 3), 10, 0, 4).workload().calls[0]
    assert (call.X.shape, call.output_shape, call.attributes.sampling_ratio) == ((4, 3, 14, 20), (10, 3, 7, 3), 0)
    assert sweep.Case(3, (14, 20), (7, 3), 10, 0, 4).name == "N4_C3_14x20_K10_to7x3_sadaptive"


@pytest.mark.parametrize(("ours", "rival", "exit_code"), [(1.0, 1.0, 0), (1.01, 1.0, 1)])
def test_the_sweep_exits_1_if_ours_is_slower_again_with_more_samples(ours, rival, exit_code, monkeypatch, tmp_path):
    contestants = fake_contestant("ours", isa=ISA), fake_contestant("onnxruntime")
    fake_times(monkeypatch, ours, rival, 1.25 * rival)
    monkeypatch.setattr(bench_command, "find_contestants", lambda *_: (contestants, {}))
    monkeypatch.setattr(bench_command, "all_cases", lambda: sweep.corner_cases()[:2])
    result = invoke("bench", "--sweep", "--repeat", 2, "-o", tmp_path / "sweep.json")
    document = json.loads((tmp_path / "sweep.json").read_text())
    assert result.exit_code == exit_code, result.output
    assert f"Worst ratio to onnxruntime: {rival / ours:.2f} over 2 measurements" in result.stdout
    assert f"Ratios below 1: {2 * exit_code}; of these, with our lower quartile above" in result.stdout
    assert result.stdout.split("upper quartile: ")[1].startswith(f"{2 * exit_code}.")
    assert "A second session of onnxruntime against the first, in the same turns: 0.80 to 0.80, 2 of 2" in result.stdout
    assert document["worst"]["ratio"] == pytest.approx(rival / ours)
    assert {entry["samples"] for race in document["races"] for entry in race["results"]} == {32 if exit_code else 2}


def test_the_sweep_exits_1_if_ours_is_wrong(monkeypatch):
    wrong = fake_contestant("ours", isa=ISA, answer=lambda *arguments: reference.roi_align(*arguments) + 1)
    monkeypatch.setattr(bench_command, "find_contestants", lambda *_: ((wrong, fake_contestant("onnxruntime")), {}))
    monkeypatch.setattr(bench_command, "all_cases", lambda: sweep.corner_cases()[:1])
    result = invoke("bench", "--sweep", "--repeat", 1)
    assert result.exit_code == 1
    assert f"Not timed: ours, {ISA} wrong: off by" in result.stdout
