"""Tests models that are correct by construction: validate reports nothing false, and our session runs them."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
from graph_models import constant
from onnx import helper
from quiet import run_all
from right_models import FEEDS, RightModel

from models import make_model, roi_align_node
from onnx_roialign.graph import make_explicit, validate
from onnx_roialign.graph.reading.sites import sites
from onnx_roialign.onnx_model.soundness import sound

COUNT = 60


@pytest.mark.parametrize("seed", range(COUNT))
def test_a_right_model_has_no_error_and_runs(seed):
    import onnx_ir

    right = RightModel(seed)
    found = {finding.code: finding for finding in validate(right.proto)}
    assert set(found) <= right.warnings, [str(finding) for finding in found.values()]
    assert (right.warnings - {"coarse-coordinates"}) <= set(found) | {"no-builtin-kernel"}
    assert len(list(sites(onnx_ir.from_proto(sound(right.proto))))) == right.pools
    for answer in run_all(right.proto, FEEDS):
        assert np.isfinite(answer).all()


@pytest.mark.parametrize("seed", range(0, COUNT, 4))
def test_a_right_model_means_the_same_when_it_is_made_explicit(seed):
    right = RightModel(seed).proto
    for before, after in zip(run_all(right, FEEDS), run_all(make_explicit(right), FEEDS), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_models_are_of_every_kind():
    models = [RightModel(seed) for seed in range(COUNT)]
    assert {model.opset for model in models} == set(range(10, 23))
    types = {node.op_type for model in models for node in model.proto.graph.node}
    assert {"If", "Loop", "Scan", "RoiAlign", "AnyRoiAlign", "Pool0"} <= types
    assert {warning for model in models for warning in model.warnings} >= {"max-mode", "coarse-coordinates"}


def calls_of_python(function, *arguments):
    """Counts the calls of Python functions: a measure of time that no other process disturbs."""
    count = 0

    def counting(_frame, event, _argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(counting)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return count


def chain(op_type, length, start):
    """A RoiAlign one of whose inputs passes through so many nodes."""
    nodes, names = [], {"X": "X", "rois": "rois", "batch_indices": "batch_indices"}
    for i in range(length):
        inputs = [names[start]]
        if op_type in ("Mul", "Concat"):
            inputs *= 2
        elif op_type == "Add":
            nodes.append(constant(f"c{i}", [0.0]))
            inputs.append(f"c{i}")
        axis = {"axis": 0} if op_type == "Concat" else {}
        nodes.append(helper.make_node(op_type, inputs, [f"v{i}"], **axis))
        names[start] = f"v{i}"
    return make_model([*nodes, roi_align_node(*names.values(), "Y")], 16)


def many_sites(count):
    """RoiAligns on one map, each on boxes that pass through all nodes before it."""
    nodes, boxes = [], "rois"
    for i in range(count):
        nodes.append(helper.make_node("Identity", [boxes], [f"r{i}"]))
        boxes = f"r{i}"
        nodes.append(roi_align_node("X", boxes, "batch_indices", f"Y{i}" if i else "Y", name=f"pool{i}"))
    return make_model(nodes, 16)


SHAPES = {
    **{
        f"{op}-{start}": partial(chain, op, start=start)
        for op, start in [
            ("Identity", "rois"),
            ("Add", "rois"),
            ("Concat", "rois"),
            ("Identity", "batch_indices"),
            ("Mul", "batch_indices"),
            ("Concat", "batch_indices"),
            ("Relu", "X"),
        ]
    },
    "many sites": many_sites,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_time_of_validate_is_proportional_to_the_graph(shape):
    validate(SHAPES[shape](10))  # imports, caches
    short, long = (calls_of_python(validate, SHAPES[shape](length)) for length in (250, 1000))
    assert long < 4.5 * short
    assert validate(SHAPES[shape](5000)) is not None  # nor is it deeper than Python's stack
