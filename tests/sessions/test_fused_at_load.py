"""The poolers (and whole exports) that the execution provider runs as one node each, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pooler_exports
import pytest
from exports import large_names, load, small_names
from fused_at_load import assert_alike, by_provider, outcome
from onnx import helper
from paths import SUPPORT
from quiet import DOORS, quiet_options

import onnx_roialign
from onnx_roialign import RoiAlignError

pytestmark = pytest.mark.skipif("provider" not in DOORS, reason="this onnxruntime takes no provider from outside")

# The forms of torchvision's exporters, a RoiAlign for each level whose rows are scattered: one pooler each. The base of
# the last is 0.5: what is no RoI's row keeps it.
FORMS = [
    "tv_L3_ts13",
    "tv_L3_ts20",
    "tv_L4_ts15_orte",
    "tv_L4_ts15_slim",
    "tv_L5_ts11",
    "tv_coarse_ts16",
    "tv_f16_ts16",
    "tv_f64_ts16",
    "tv_mob_ts16",
    "tv_other_ts13",
    "tv_scaled_ts17",
    "tv_static_ts16",
    "tvd_L4_dyn20",
    "tvd_f64_dyn18",
    "tvd_static_dyn20",
    "not_base1d_dyn18",
]
# The forms of torchvision's mask pasting, by the number of Loops.
PASTINGS = {"paste14_ts12": 1, "paste_const_ts18": 1, "paste_scaled_ts16": 1, "paste_twice_ts16": 2}
# Exports of torchvision, by the number of their poolers.
EXPORTS = {"torchvision_multiscale": 1, "detectors/faster": 1, "detectors/mask": 2}


def assert_as_unfused(proto, every_feeds, poolers, pastings=0):
    one, other = by_provider(proto, True), by_provider(proto, False)
    assert (len(onnx_roialign.fused(one)), onnx_roialign.fused(other)) == (poolers + pastings, [])
    for feeds in every_feeds:
        assert_alike(outcome(one, feeds), outcome(other, feeds), pasted=pastings > 0)


@pytest.mark.parametrize("name", [*small_names(), *large_names()])
def test_an_export_computes_what_its_nodes_do(name):
    one = load(name)
    try:
        by_provider(one.model, False)
    except RoiAlignError:
        return  # refused with door 'provider'
    poolers = next((number for start, number in EXPORTS.items() if name.startswith(start)), 0)
    assert_as_unfused(one.model, [one.feeds()], poolers, int("mask" in name))


@pytest.mark.parametrize("name", pooler_exports.form_names())
def test_a_form_computes_what_its_nodes_do(name):
    proto = pooler_exports.form(name)
    every = [pooler_exports.drawn(proto, count) for count in (40, 7, 1, 0)]
    assert_as_unfused(proto, every, int(name in FORMS), PASTINGS.get(name, 0))


def without_rank(name):
    """A form whose boxes have an unknown rank, as in detectors below opset 16; and feeds for it."""
    proto = pooler_exports.form(name)
    every_feeds = [pooler_exports.drawn(proto, count) for count in (40, 7, 1, 0)]
    boxes = proto.graph.input[-1]
    assert len(boxes.type.tensor_type.shape.dim) == 2
    boxes.type.tensor_type.ClearField("shape")
    return proto, every_feeds


@pytest.mark.parametrize("name", ["tv_L5_ts11", "tv_L3_ts13", "tv_L4_ts15_slim"])
def test_boxes_of_unknown_rank_are_pooled_by_one_node(name):
    proto, every_feeds = without_rank(name)
    flat = {key: array.ravel() if array.ndim == 2 else array for key, array in every_feeds[0].items()}
    assert_as_unfused(proto, [*every_feeds, flat], 1)


def test_level_numbers_that_may_have_several_axes_are_left_alone():
    proto, every_feeds = without_rank("tv_L5_ts11")
    made = {name: node for node in proto.graph.node for name in node.output}
    squeezes = [
        node
        for node in proto.graph.node
        if node.op_type == "Squeeze" and made[made[node.input[0]].input[0]].op_type == "Transpose"
    ]
    assert len(squeezes) == 5
    for node in squeezes:  # the axis of the RoIs: right where a level has one
        node.attribute[0].ints[0] = 0
    assert_as_unfused(proto, every_feeds, 0)


def test_poolers_of_equal_names_in_two_branches_are_two():
    branches = [pooler_exports.form("tv_L3_ts13") for _ in range(2)]
    inputs, outputs = branches[0].graph.input[:], branches[0].graph.output[:]
    for branch in branches:
        del branch.graph.input[:]
    for node in branches[1].graph.node:
        for attribute in node.attribute:
            if attribute.name == "spatial_scale":
                attribute.f /= 2
    condition = helper.make_tensor_value_info("condition", onnx.TensorProto.BOOL, ())
    names = [f"out{i}" for i in range(len(outputs))]
    node = helper.make_node("If", ["condition"], names, then_branch=branches[0].graph, else_branch=branches[1].graph)
    for output, name in zip(outputs, names, strict=True):
        output.name = name
    graph = helper.make_graph([node], "branches", [*inputs, condition], outputs)
    opsets, ir_version = branches[0].opset_import, branches[0].ir_version
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
    feeds = pooler_exports.drawn(pooler_exports.form("tv_L3_ts13"), 12)
    every = [feeds | {"condition": np.array(which)} for which in (True, False)]
    assert_as_unfused(proto, every, 2)
    session = by_provider(proto, True)
    assert outcome(session, every[0])[0].tobytes() != outcome(session, every[1])[0].tobytes()


@pytest.mark.long
@pytest.mark.parametrize("name", ["tv_L3_ts13", "tv_L4_ts15_slim", "tvd_L4_dyn20", "not_base1d_dyn18"])
def test_a_damaged_pooler_ends_no_process_and_changes_no_result(name):
    """Each kind of damage, in a process of its own; where the nodes compute something, so does the fused one."""
    program = SUPPORT / "damaged_poolers.py"
    done = subprocess.run([sys.executable, program, name, "60"], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, f"{done.stdout}{done.stderr[-4000:]}"
    same, failed, ended = map(int, done.stdout.split())
    assert min(same, failed) > 10
    assert same + failed + ended == 60


@pytest.mark.parametrize("name", pooler_exports.names())
def test_an_export_of_others_computes_what_its_nodes_do(name):
    proto = pooler_exports.load(name)
    assert_as_unfused(proto, [feeds for feeds, _ in pooler_exports.cases(name)], 0, int("paste" in name))


def test_a_session_of_others_is_told_to_be_none_of_ours():
    options = quiet_options()
    proto = pooler_exports.form("tv_L5_ts11")
    onnx_roialign.register(options, proto, door="provider")
    plain = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    with pytest.raises(RoiAlignError, match=r"session must be one that onnx_roialign\.session\(\) returned, got one"):
        onnx_roialign.fused(plain)
    with pytest.raises(RoiAlignError, match=r"session must be an onnxruntime\.InferenceSession, got 3$"):
        onnx_roialign.fused(3)


def test_the_optimised_model_is_saved_where_nothing_is_fused(tmp_path):
    proto = pooler_exports.form("tv_L5_ts11")

    def session(fuse):
        options = quiet_options(onnx_roialign__fuse=fuse)
        options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
        return onnx_roialign.session(proto, options, door="provider")

    assert onnx_roialign.fused(session("0")) == []
    saved = onnx.load(tmp_path / "optimised.onnx")
    assert sum(node.op_type == "RoiAlign" for node in saved.graph.node) == 5
    with pytest.raises(Exception, match="contains compiled nodes"):
        session("1")
