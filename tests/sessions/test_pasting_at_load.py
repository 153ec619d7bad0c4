"""The mask pasting that the execution provider runs as one node of an unmodified model, and what it leaves alone."""

from __future__ import annotations

import copy

import numpy as np
import pooler_exports
import pytest
from exports import large_names, load
from fused_at_load import CPU, NAME, assert_alike, by_provider, outcome
from onnx import TensorProto, helper, numpy_helper
from quiet import DOORS, quiet_session

import onnx_roialign

pytestmark = pytest.mark.skipif("provider" not in DOORS, reason="this onnxruntime takes no provider from outside")

EXPORT = "paste_masks_ts11"
HEIGHT, WIDTH = 37, 53
BOXES = [[2, 3, 2, 3], [4.5, 4.5, 20.5, 9.5], [-9, -9, -2, -2], [50, 30, 80, 70], [9, 9, 3, 2], [-5, -7, 60, 41]]


def feeds(count=6, side=14):
    rng = np.random.default_rng(20261128)
    return {
        "masks": rng.random((count, 1, side, side), dtype=np.float32),
        "boxes": np.array(BOXES[:count], np.float32).reshape(count, 4),
        "image": np.zeros((3, HEIGHT, WIDTH), np.float32),
    }


def export():
    return copy.deepcopy(pooler_exports.load(EXPORT))


def body_of(proto):
    (loop,) = (node for node in proto.graph.node if node.op_type == "Loop")
    return loop.attribute[0].g


def node_of(graph, output):
    (node,) = (node for node in graph.node if output in node.output)
    return node


def set_constant(node, array):
    node.attribute[0].t.CopyFrom(numpy_helper.from_array(array))


def add_constant(graph, name, array):
    graph.node.insert(0, helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(array))))


# ---- what is fused ----


def test_the_loop_is_one_node_and_pastes_the_same():
    proto = export()
    one, other = by_provider(proto, True), by_provider(proto, False)
    assert (onnx_roialign.fused(one), onnx_roialign.fused(other)) == ([("Loop_100",)], [])
    for given in (feeds(), feeds(1), feeds(0)):
        want = other.run(None, given)
        assert want[0].any() == (len(given["masks"]) > 0)
        assert_alike(one.run(None, given), want)


@pytest.mark.parametrize("name", [name for name in large_names() if "mask" in name])
def test_a_detector_pastes_the_same(name):
    one = load(name)
    fused, other = by_provider(one.model, True), by_provider(one.model, False)
    loops = [names for names in onnx_roialign.fused(fused) if any("Loop" in node for node in names)]
    assert [len(names) for names in loops] == [1]
    assert onnx_roialign.fused(other) == []
    assert_alike(fused.run(None, one.feeds()), other.run(None, one.feeds()))


def test_what_others_read_too_is_still_made():
    proto = export()
    for name in ("/Pad_output_0", "/Sub_output_0", "onnx::ConstantOfShape_83"):
        kind = TensorProto.INT64 if "Shape" in name else TensorProto.FLOAT
        proto.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    one = by_provider(proto, True)
    assert len(onnx_roialign.fused(one)) == 1
    assert_alike(one.run(None, feeds()), by_provider(proto, False).run(None, feeds()))


def test_an_image_of_a_fixed_size():
    """The tensor that the Loop starts with is a constant there."""
    proto = export()
    image = next(value for value in proto.graph.input if value.name == "image")
    image.CopyFrom(helper.make_tensor_value_info("image", TensorProto.FLOAT, (3, HEIGHT, WIDTH)))
    one = by_provider(proto, True)
    assert len(onnx_roialign.fused(one)) == 1
    assert_alike(one.run(None, feeds()), by_provider(proto, False).run(None, feeds()))


@pytest.mark.parametrize("side", [1, 6, 28])
def test_masks_of_any_side(side):
    """With a fixed side, the growth of a box is a constant."""
    proto = export()
    masks = next(value for value in proto.graph.input if value.name == "masks")
    masks.CopyFrom(helper.make_tensor_value_info("masks", TensorProto.FLOAT, ("n", 1, "m", "m")))
    one = by_provider(proto, True)
    assert len(onnx_roialign.fused(one)) == 1
    assert_alike(one.run(None, feeds(side=side)), by_provider(proto, False).run(None, feeds(side=side)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.0, 1e-45, 3e38, 65504, -1])
@pytest.mark.parametrize("name", ["masks", "boxes"])
def test_ugly_numbers_paste_the_same_or_fail_in_both(name, value):
    one, other = by_provider(export(), True), by_provider(export(), False)
    for place in (5, 7, 10):
        given = feeds()
        given[name].flat[place] = value
        assert_alike(outcome(one, given), outcome(other, given))


def test_what_is_wrong_is_told_with_the_name_of_the_loop():
    session = by_provider(export(), True)
    given = feeds()
    given["boxes"][2, 1] = np.nan
    text = (
        r"boxes must be finite and at most 1073741824 from zero, got nan at row 2, column 1 \(y1\) \(node 'Loop_100'\)"
    )
    with pytest.raises(Exception, match=text):
        session.run(None, given)
    with pytest.raises(Exception, match=r"masks and boxes must have the same count, got 6 and 2 \(node 'Loop_100'\)"):
        session.run(None, feeds() | {"boxes": feeds(2)["boxes"]})


# ---- what is left alone ----


def pads_twice(proto):
    set_constant(node_of(proto.graph, "/Constant_9_output_0"), np.array([2, 2, 2, 2]))


def other_mode(proto):
    node_of(body_of(proto), "mask.3").attribute[2].s = b"nearest"


def other_coordinates(proto):
    node_of(body_of(proto), "mask.3").attribute[0].s = b"align_corners"


def swapped_boxes(proto):
    """Columns y1, x1, y2, x2."""
    inputs = node_of(proto.graph, "/Concat_1_output_0").input
    inputs[:] = [inputs[1], inputs[0], inputs[3], inputs[2]]


def another_half(proto):
    set_constant(node_of(proto.graph, "/Constant_18_output_0"), np.float32(0.25))


def starts_with_ones(proto):
    """One image is there before the first mask."""
    set_constant(node_of(proto.graph, "onnx::Concat_236"), np.array([1]))


def ones_around(proto):
    set_constant(node_of(body_of(proto), "zeros_y0"), np.ones(1, np.float32))


def in_front(proto):
    """Each turn puts its image before the others."""
    inputs = node_of(body_of(proto), "res_append.3").input
    inputs[:] = reversed(inputs)


def fewer_turns(proto):
    add_constant(proto.graph, "two", 2)
    proto.graph.node[-2].input[0] = "two"


def ends_early(proto):
    node = node_of(body_of(proto), "229")
    node.op_type, node.input[:] = "Not", ["cond"]


def max_of_size(proto):
    node_of(body_of(proto), "h.3").op_type = "ReduceMin"


def no_last_pixel(proto):
    set_constant(node_of(body_of(proto), "98"), np.array([0]))


def height_is_width(proto):
    node_of(body_of(proto), "153").input[0] = "/Cast_8_output_0"


def loop_is_read(proto):
    proto.graph.output.append(helper.make_tensor_value_info("res_append.7", TensorProto.FLOAT, None))


def another_channel(proto):
    node_of(proto.graph, "pasted").attribute[0].ints[:] = [0]


LOOK_ALIKES = [
    pads_twice,
    other_mode,
    other_coordinates,
    swapped_boxes,
    another_half,
    starts_with_ones,
    ones_around,
    in_front,
    fewer_turns,
    ends_early,
    max_of_size,
    no_last_pixel,
    height_is_width,
    loop_is_read,
    another_channel,
]


@pytest.mark.parametrize("change", LOOK_ALIKES, ids=lambda change: change.__name__)
def test_a_look_alike_is_left_alone(change):
    proto = export()
    change(proto)
    session = by_provider(proto, True)
    assert onnx_roialign.fused(session) == []
    assert_alike(outcome(session, feeds()), outcome(by_provider(proto, False), feeds()))


SIBLINGS = {"Add": "Sub", "Sub": "Add", "Mul": "Add", "Div": "Mul", "ReduceMax": "ReduceMin", "ReduceMin": "ReduceMax"}


def damages():
    """For each node of the pasting, in the graph and in the body, models that differ from it in that node."""
    first = export()
    for inside in (False, True):
        for place, node in enumerate((body_of(first) if inside else first.graph).node):
            for kind in ("operator", "order", "number"):
                proto = export()
                changed = (body_of(proto) if inside else proto.graph).node[place]
                if kind == "operator" and node.op_type in SIBLINGS:
                    changed.op_type = SIBLINGS[node.op_type]
                elif kind == "order" and node.op_type in ("Sub", "Div", "Concat") and len(node.input) > 1:
                    changed.input[:] = reversed(node.input)
                elif kind == "number" and node.op_type == "Constant":
                    array = numpy_helper.to_array(node.attribute[0].t)
                    if array.dtype == bool or not array.size:
                        continue
                    other = (array - 1 if array.max() > 2**62 else array + 1).astype(array.dtype)
                    set_constant(changed, other)
                else:
                    continue
                yield f"{kind} of {node.output[0]}", proto


@pytest.mark.long
def test_each_damage_is_left_alone_or_changes_nothing():
    left_alone, changed = [], 0
    given = feeds()
    want = outcome(by_provider(export(), False), given)
    for what, proto in damages():
        try:
            session = by_provider(proto, True)
        except Exception:  # onnxruntime's have no common base
            continue
        got = outcome(session, given)
        if onnx_roialign.fused(session):
            assert_alike(got, outcome(by_provider(proto, False), given))
        else:
            left_alone.append(what)
            changed += got is None or got[0].shape != want[0].shape or not np.allclose(got[0], want[0])
    assert len(left_alone) > 80
    assert changed > 50


def test_a_loop_that_another_provider_owns_is_left_alone():
    proto = export()
    options = {"providers": [CPU, (NAME, {"fuse": "1"})]}
    session = quiet_session(proto, "provider", **options)
    assert onnx_roialign.fused(session) == []
    assert_alike(session.run(None, feeds()), by_provider(proto, False).run(None, feeds()))
