"""Tests that all entry points refuse a model that no runtime loads in one line, before onnx or onnxruntime fails."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from quiet import ENGINES, quiet_session

from models import model, model_of, roi_align_node, value
from onnx_roialign import RoiAlignError, reference_evaluator
from onnx_roialign.graph import fuse, make_explicit, repair, unfuse, validate
from onnx_roialign.onnx_model.soundness import sound


def with_weights(**told):
    """Boxes in a separate file, described by these entries."""
    proto = model()
    del proto.graph.input[1]
    boxes = proto.graph.initializer.add(name="rois", data_type=TensorProto.FLOAT, dims=[1, 4])
    boxes.data_location = TensorProto.EXTERNAL
    for key, text in told.items():
        boxes.external_data.add(key=key, value=text)
    return proto


def calls(count, each):
    """A RoiAlign behind functions each of which calls the next one so often."""
    imports = [helper.make_opsetid("", 16), helper.make_opsetid("own", 1)]

    def function(i):
        names = ["a", *(f"v{n}" for n in range(each - 1)), "b"]
        last = i + 1 == count
        op, domain = ("Identity", "") if last else (f"F{i + 1}", "own")
        nodes = [helper.make_node(op, names[n : n + 1], names[n + 1 : n + 2], domain=domain) for n in range(each)]
        return helper.make_function("own", f"F{i}", ["a"], ["b"], nodes, imports)

    nodes = [helper.make_node("F0", ["X"], ["features"], domain="own")]
    nodes.append(roi_align_node("features", "rois", "batch_indices", "Y"))
    inputs = [
        value("X", TensorProto.FLOAT),
        value("rois", TensorProto.FLOAT),
        value("batch_indices", TensorProto.INT64),
    ]
    outputs = [value("Y", TensorProto.FLOAT)]
    return model_of(nodes, inputs, outputs, functions=[function(i) for i in range(count)], domains=["own"])


@pytest.mark.parametrize("key", ["offset", "length"])
@pytest.mark.parametrize("text", ["-1", "abc", "", "9" * 30, "1.5", "\u0661"])
def test_the_offset_of_external_data_is_a_number(key, text):
    proto = with_weights(**{"location": "weights.bin", key: text})
    with pytest.raises(RoiAlignError, match=f"^tensor 'rois' must have data whose {key} is a number, got '{text[:20]}"):
        sound(proto)
    assert sound(with_weights(location="weights.bin", offset="16", length="16"))


@pytest.mark.parametrize("engine", ENGINES)
def test_functions_that_grow_without_bound_are_refused_before_inlining(engine):
    text = "^functions must be at most 500000 nodes when they are inlined, got more$"
    for call in (lambda proto: quiet_session(proto, engine), validate_strictly, repaired, make_explicit, fuse, unfuse):
        with pytest.raises(RoiAlignError, match=text):
            call(calls(30, each=2))


def repaired(proto):
    return repair(proto, "torchvision")


def validate_strictly(proto):
    """Raises the first error that validate finds."""
    raise RoiAlignError("", "broken", validate(proto)[0].message)


def test_functions_call_each_other_100_deep_at_most(door):
    feeds = {"X": np.ones((1, 1, 4, 4), np.float32), "rois": np.ones((1, 4), np.float32)}
    feeds["batch_indices"] = np.zeros(1, np.int64)
    (Y,) = quiet_session(calls(99, each=1), door).run(None, feeds)
    np.testing.assert_array_equal(Y, np.ones_like(Y))
    with pytest.raises(RoiAlignError, match=r"^functions must call each other at most 100 deep, got 101$"):
        quiet_session(calls(101, each=1), door)


@pytest.mark.parametrize("location", ["missing.bin", "../escapes.bin", "/dev/zero", "."])
def test_a_session_that_reads_the_weights_reports_their_errors(tmp_path, location):
    path = tmp_path / "model.onnx"
    path.write_bytes(with_weights(location=location).SerializeToString())
    text = "model must be one that can be read with its external data, got ValidationError: "
    with pytest.raises(RoiAlignError, match=text):
        quiet_session(path, "reference")


@pytest.mark.parametrize("given", [b"no model", b"\0" * 100, "missing.onnx"])
def test_reference_evaluator_refuses_an_argument_that_is_not_a_model(given):
    with pytest.raises(RoiAlignError, match=r"^model must be one that can be evaluated by onnx\.reference, got "):
        reference_evaluator(given)
