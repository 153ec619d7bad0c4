"""Tests that a model is converted to onnx-ir once and back to a ModelProto once, in every function."""

from __future__ import annotations

from collections import Counter

import graph_models
import onnx
import onnx_ir as ir
import pytest

from models import model
from onnx_roialign.graph import convert_opset, make_explicit, repair
from onnx_roialign.graph.conversion import opset
from onnx_roialign.onnx_model.scopes import default_opset

INT32 = onnx.TensorProto.INT32

REPAIRS = {
    "nothing to mend": (model(16, **graph_models.HALF), "torchvision:aligned=True"),
    "opset raised": (model(11), "torchvision:aligned=True"),
    "private op": (model(16), "torchvision"),
    "batch indices": (graph_models.in_batches(2, opset=11), "paddle:aligned=True"),
    "inputs of other types": (
        graph_models.shaped(*graph_models.RIGHT_SHAPES, indices=onnx.TensorProto.INT32),
        "onnx:16",
    ),
    "a shift of the boxes": (graph_models.shifted(11, [-1.0] * 4), "torchvision:aligned=True"),
}


@pytest.fixture
def conversions(monkeypatch):
    counts = Counter()
    there, back = ir.from_proto, ir.to_proto

    def from_proto(proto):
        counts["in"] += isinstance(proto, onnx.ModelProto)
        return there(proto)

    def to_proto(value):
        counts["out"] += isinstance(value, ir.Model)
        return back(value)

    monkeypatch.setattr(ir, "from_proto", from_proto)
    monkeypatch.setattr(ir, "to_proto", to_proto)
    return counts


@pytest.mark.parametrize("name", REPAIRS)
def test_a_repair_converts_once(conversions, name):
    model, source = REPAIRS[name]
    repaired = repair(model, source)
    assert (conversions["in"], conversions["out"]) == (1, int(repaired != model))


def test_the_case_is_one_in_which_the_opset_is_raised():
    model, source = REPAIRS["opset raised"]
    assert default_opset(repair(model, source).opset_import) == 16


def test_a_model_that_cannot_be_converted_is_read_again(conversions, monkeypatch):
    def refuse(*_):
        raise opset.RoiAlignError("model", "unsupported", "must be another, got this one")

    monkeypatch.setattr(opset.ConvertNodes, "call", refuse)
    repaired = repair(model(11), "torchvision:aligned=True")
    assert conversions == {"in": 2, "out": 1}
    assert [node.op_type for node in repaired.graph.node] == ["AnyRoiAlign"]
    assert default_opset(repaired.opset_import) == 11


@pytest.mark.parametrize("target", [11, 22])
def test_convert_opset_converts_once(conversions, target):
    convert_opset(model(16), target, private_op=True)
    assert conversions == {"in": 1, "out": 1}


@pytest.mark.parametrize("given", [11, 16])
def test_make_explicit_converts_once(conversions, given):
    assert make_explicit(model(given)).graph.node[0].attribute
    assert conversions == {"in": 1, "out": 1}
