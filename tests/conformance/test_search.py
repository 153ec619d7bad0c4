"""Tests fuzz: errors are found, shrunk, explained, grouped and saved, alike for one seed and any number of workers."""

from __future__ import annotations

import json
import re
import textwrap

import json_documents
import pytest
from command_line import invoke

from onnx_roialign.conformance.backends import find_backend
from onnx_roialign.conformance.layout import read_cases
from onnx_roialign.conformance.process import Limits
from onnx_roialign.conformance.search.findings import Search, run_search

WRONG = """
from dataclasses import replace

from onnx.backend.base import Backend, BackendRep

from onnx_roialign.definition import reference
from onnx_roialign.ops.nodes import read_attributes


class Prepared(BackendRep):
    def __init__(self, model):
        self.node, self.opset = model.graph.node[0], model.opset_import[0].version

    def run(self, inputs, **_):
        X, rois, batch_indices = inputs
        attributes = read_attributes(self.node, self.opset)
        semantics = attributes.semantics
        CHANGE
        return (reference.roi_align(X, rois, batch_indices, replace(attributes, semantics=semantics)),)


class Wrong(Backend):
    @classmethod
    def prepare(cls, model, device="CPU", **_):
        return Prepared(model)
"""


@pytest.fixture
def wrong(tmp_path):
    """Returns a function that writes a backend with an error and returns its name."""

    def made(change):
        path = tmp_path / "wrong.py"
        path.write_text(WRONG.replace("CHANGE", textwrap.indent(textwrap.dedent(change), "        ").lstrip()))
        return f"{path}:Wrong"

    return made


def searched(backend, against=None, examples=40, **given):
    launches = [None if name is None else find_backend(name)[0] for name in (backend, against)]
    search = Search(launches[0], Limits(), launches[1], examples=examples, **given)
    found, rounds = run_search(search)
    assert rounds == search.rounds
    return found


def test_nothing_is_found_where_nothing_is_wrong():
    assert searched("reference", seed=1, seconds=24) == []


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ("semantics = replace(semantics, adaptive='floor')", "adaptive='floor'"),
        pytest.param("semantics = replace(semantics, end_shift=1.0)", "end_shift=1", marks=pytest.mark.long),
        pytest.param(
            "semantics = replace(semantics, max_rule='samples')", "max_rule='samples'", marks=pytest.mark.long
        ),
    ],
)
def test_a_wrong_field_is_found_by_its_name(wrong, change, cause):
    found = searched(wrong(change), seed=2, seconds=12)
    assert [finding.cause for finding in found] == [cause]
    assert found[0].case.inputs["X"].size <= 12
    assert found[0].result.status.value == "fail"


@pytest.mark.long
def test_an_error_that_is_no_field_is_found_by_its_name(wrong):
    (found,) = [
        finding
        for finding in searched(wrong("batch_indices = batch_indices * 0"), seed=3, seconds=36)
        if finding.result.got is not None and finding.case.outcomes[0].outputs is not None
    ]
    assert found.cause.startswith("the error image/")
    assert found.case.inputs["X"].shape[0] == 2
    assert found.case.inputs["batch_indices"].tolist() == [1]


def test_a_refusal_of_right_calls_is_found_with_its_text(wrong):
    found = searched(wrong("assert attributes.sampling_ratio != 3, 'three is too many'"), seed=4, seconds=12)
    assert [finding.cause for finding in found] == ["fail: AssertionError: three is too many"]


def test_the_same_is_found_for_a_seed_however_many_workers(wrong):
    name = wrong("semantics = replace(semantics, adaptive='floor' if attributes.mode == 'avg' else 'ceil', offset=0.0)")

    def described(found):
        return [
            (finding.cause, finding.count, finding.case.model.SerializeToString(deterministic=True))
            for finding in found
        ]

    alone, beside = (searched(name, examples=20, seed=5, seconds=24, jobs=jobs) for jobs in (1, 2))
    assert alone
    assert described(alone) == described(beside)


@pytest.mark.long
def test_two_runtimes_are_compared_with_each_other(wrong):
    found = searched(
        wrong("semantics = replace(semantics, offset=0.5, min_size=None)"), "reference", seed=6, seconds=12
    )
    assert found
    assert all(finding.result.text.endswith("; the other: pass") for finding in found)


def test_findings_are_saved_as_cases_that_conform_replays(wrong, tmp_path):
    name = wrong("semantics = replace(semantics, adaptive='floor')")
    result = invoke(
        "fuzz", "--backend", name, "--seconds", 12, "--seed", 7, "--jobs", 1, "-o", tmp_path / "found", "--json"
    )
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    json_documents.check("fuzz", document)
    findings = document["findings"]
    cases = read_cases(tmp_path / "found")
    assert [case.id for case in cases] == [finding["case"] for finding in findings]
    assert [finding["cause"] for finding in findings] == ["adaptive='floor'"]
    replayed = invoke("conform", "--backend", name, "--cases", tmp_path / "found", "--jobs", 1)
    assert replayed.exit_code == 1
    right = invoke("conform", "--backend", "reference", "--cases", tmp_path / "found", "--jobs", 1)
    assert right.exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--seconds", "0"), r"--seconds must be in \[1, 604800\], got 0"),
        (("--seconds", "nan"), r"--seconds must be in \[1, 604800\], got nan"),
        (("--seed", "-1"), r"--seed must be in \[0, 2.14748e\+09\], got -1"),
        (("--jobs", "1000"), r"--jobs must be in \[1, 256\], got 1000"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    result = invoke("fuzz", "--backend", "reference", *options)
    assert result.exit_code == 2
    assert re.search(message, result.stderr)


@pytest.mark.long
def test_a_ray_cluster_of_two_nodes_finds_the_same(wrong):
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="ray is not installed: pip install ray")
    import ray

    name = wrong("semantics = replace(semantics, adaptive='floor')")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        on_cluster = searched(name, seed=8, seconds=24, ray=cluster.address)
    finally:
        ray.shutdown()
        cluster.shutdown()
    alone = searched(name, seed=8, seconds=24)
    assert [finding.cause for finding in on_cluster] == [finding.cause for finding in alone] != []
    models = [
        [finding.case.model.SerializeToString(deterministic=True) for finding in found] for found in (on_cluster, alone)
    ]
    assert models[0] == models[1]
