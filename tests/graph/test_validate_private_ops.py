"""validate finds in MultiScaleRoiAlign and PasteMasks what a session refuses, in the same words and at the node."""

from __future__ import annotations

import re

import pytest
from onnx import TensorProto, helper

import onnx_roialign
from onnx_roialign import RoiAlignError
from onnx_roialign.graph import validate

POOLER = {"spatial_scales": [1.0], "canonical_scale": 224.0, "canonical_level": 0, "min_level": 0, "max_level": 0}
VALUES = {
    "X": (TensorProto.FLOAT, [1, 2, 8, 8]),
    "flat": (TensorProto.FLOAT, [3, 2]),
    "negative": (TensorProto.FLOAT, [-5, 2]),
    "rois": (TensorProto.FLOAT, ["K", 4]),
    "images": (TensorProto.INT64, ["K"]),
    "masks": (TensorProto.FLOAT, ["K", 1, 28, 28]),
    "size": (TensorProto.INT64, []),
    "sizes": (TensorProto.INT64, [2]),
}


def model_of(op_type, inputs, outputs=("Y",), **attributes):
    node = helper.make_node(op_type, inputs, outputs, domain="onnx_roialign", **attributes)
    declared = [helper.make_tensor_value_info(name, *VALUES[name]) for name in dict.fromkeys(inputs) if name]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    opsets = [helper.make_opsetid("", 16), helper.make_opsetid("onnx_roialign", 1)]
    return helper.make_model(helper.make_graph([node], "g", declared, results), opset_imports=opsets, ir_version=8)


MULTISCALE, PASTE = "MultiScaleRoiAlign", "PasteMasks"
WRONG = [
    (MULTISCALE, ["rois", "images", "", "flat"], {}, "invalid-input", "features[0] must have rank 4"),
    (MULTISCALE, ["rois", "images", "", "negative"], {}, "invalid-input", "got shape (-5, 2)"),
    (MULTISCALE, ["images", "images", "", "X"], {}, "invalid-input", "rois must have shape (num_rois, 4)"),
    (MULTISCALE, ["rois", "images", "rois", "X"], {}, "invalid-input", "levels must be int64, got float32"),
    (MULTISCALE, ["rois", "images"], {}, "invalid-input", "must have the inputs rois, batch_indices, levels"),
    (
        MULTISCALE,
        ["rois", "", "", "X"],
        {},
        "invalid-input",
        "must have the inputs rois, batch_indices, levels (or '')",
    ),
    (MULTISCALE, ["rois", "images", "", "X", "X"], {}, "invalid-input", "must be one map for each of 1 spatial_scales"),
    (
        MULTISCALE,
        ["rois", "images", "", "X"],
        {"canonical_scale": -1.0},
        "invalid-attribute",
        "canonical_scale must",
    ),
    (MULTISCALE, ["rois", "images", "", "X"], {"mode": "sum"}, "invalid-attribute", "mode must be 'avg' or 'max'"),
    (MULTISCALE, ["rois", "images", "", "X"], {"size": 1}, "unknown-attribute", "must be one of output_height"),
    (PASTE, ["X", "rois", "size", "size"], {}, "invalid-input", "masks must have shape"),
    (PASTE, ["masks", "rois", "sizes", "size"], {}, "invalid-input", "height must be a scalar, got shape (2,)"),
    (PASTE, ["masks", "rois", "size"], {}, "invalid-input", "must have the inputs masks, boxes, height and width"),
    (PASTE, ["masks", "rois", "size", "size"], {"padding": 1}, "unknown-attribute", "'padding'"),
]


@pytest.mark.parametrize(("op_type", "inputs", "attributes", "code", "message"), WRONG)
def test_what_a_session_refuses_is_found_at_the_node(op_type, inputs, attributes, code, message):
    model = model_of(op_type, inputs, **(POOLER | attributes if op_type == MULTISCALE else attributes))
    with pytest.raises(RoiAlignError, match=re.escape(message)) as refused:
        onnx_roialign.session(model)
    assert refused.value.node == "Y"  # the node has no name: its output's
    (found,) = (finding for finding in validate(model) if finding.severity == "error")
    assert (found.code, found.node, found.message) == (code, "Y", refused.value.rule)


@pytest.mark.parametrize(
    "model",
    [
        model_of(MULTISCALE, ["rois", "images", "", "X"], **POOLER),
        model_of(MULTISCALE, ["rois", "images", "images", "X"], spatial_scales=[1.0]),
        model_of(PASTE, ["masks", "rois", "size", "size"]),
    ],
)
def test_nothing_wrong_is_found_in_right_ones(model):
    codes = ["no-roi-align"] if model.graph.node[0].op_type == PASTE else []
    assert [finding.code for finding in validate(model)] == codes


def test_two_broken_nodes_are_two_findings():
    model = model_of(MULTISCALE, ["rois", "images", "", "flat"], **POOLER)
    other = model_of(MULTISCALE, ["rois", "images", "rois", "X"], outputs=("Z",), **POOLER)
    model.graph.node.extend(other.graph.node)
    model.graph.output.extend(other.graph.output)
    model.graph.input.extend(value for value in other.graph.input if value.name == "X")
    assert [finding.node for finding in validate(model) if finding.code == "invalid-input"] == ["Y", "Z"]
