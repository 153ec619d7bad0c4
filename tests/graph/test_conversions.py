"""Tests operators of detectors before and after convert_opset on ONNX Runtime: the same, or refused."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from graph_models import constant
from onnx import TensorProto, helper
from quiet import quiet_options

from models import value
from onnx_roialign import RoiAlignError
from onnx_roialign.graph import convert_opset
from onnx_roialign.sessions.installed import loads_opset

X = np.random.default_rng(0).standard_normal((1, 2, 5, 7)).astype(np.float32)
TARGETS = (10, 11, 12, 13, 16, 18, 19, 21, 22)
CLOSE = 1e-6  # the sums of ONNX Runtime's own kernels of two opsets differ in the last bit


def ints(name, numbers):
    return constant(name, numbers, np.int64)


def single(op_type, *before, inputs=("X",), outputs=("Y",), **attributes):
    return (*before, helper.make_node(op_type, list(inputs), list(outputs), **attributes))


def resize(scales, mode, *, computed=False, **attributes):
    nodes = [constant("scales", scales)]
    if computed:
        nodes.append(helper.make_node("Identity", ["scales"], ["computed"]))
    return single("Resize", *nodes, inputs=("X", "computed" if computed else "scales"), mode=mode, **attributes)


UP, DOWN, BOTH = [1, 1, 1.7, 2.3], [1, 1, 0.5, 0.6], [1, 1, 1.7, 0.6]
PADS = [0, 0, 1, 2, 0, 0, 3, 1]
POOL = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}
SCALE_AND_BIAS = (constant("scale", [1.0, 2.0]), constant("bias", [0.0, 1.0]))
STATISTICS = (*SCALE_AND_BIAS, constant("mean", [0.1, 0.2]), constant("var", [1.0, 2.0]))

REDUCTIONS = [f"Reduce{kind}" for kind in ("Max", "Mean", "Prod", "L1", "L2", "LogSumExp", "SumSquare")]

# name -> the opset of the nodes, the nodes, and the targets that they must be converted to.
ALL_UP = range(10, 23)
CASES = {
    "Resize 10 nearest, larger": (10, resize(UP, "nearest"), ALL_UP),
    "Resize 10 nearest, smaller": (10, resize(DOWN, "nearest"), ALL_UP),
    "Resize 10 nearest, both": (10, resize(BOTH, "nearest"), ()),
    "Resize 10 nearest, computed": (10, resize(UP, "nearest", computed=True), ()),
    "Resize 10 linear, larger": (10, resize(UP, "linear"), ALL_UP),
    "Resize 10 linear, smaller": (10, resize(DOWN, "linear"), ALL_UP),
    "Resize 10 linear, computed": (10, resize(BOTH, "linear", computed=True), ALL_UP),
    "Resize 13": (13, single("Resize", constant("s", UP), inputs=("X", "", "s"), mode="linear"), range(13, 23)),
    "Resize 18 antialias": (
        18,
        single("Resize", constant("s", DOWN), inputs=("X", "", "s"), mode="linear", antialias=1),
        range(18, 23),
    ),
    "Softmax 11": (11, single("Softmax"), ALL_UP),
    "Softmax 11, axis 2": (11, single("Softmax", axis=2), ALL_UP),
    "Softmax 13": (13, single("Softmax"), ALL_UP),
    "Softmax 13, axis 1": (13, single("Softmax", axis=1), range(13, 23)),
    "LogSoftmax 11": (11, single("LogSoftmax"), ALL_UP),
    "LogSoftmax 13, axis 1": (13, single("LogSoftmax", axis=1), range(13, 23)),
    "Hardmax 11": (11, single("Hardmax"), (11, 12)),
    "Hardmax 11, last axis": (11, single("Hardmax", axis=-1), range(11, 23)),
    "Split 11": (11, single("Split", outputs=("Y", "Z"), axis=3, split=[3, 4]), ALL_UP),
    "Split 13": (13, single("Split", ints("parts", [3, 4]), inputs=("X", "parts"), outputs=("Y", "Z"), axis=3), ALL_UP),
    "Clip 10": (10, single("Clip", min=-0.3, max=0.5), ALL_UP),
    "Clip 11": (11, single("Clip", constant("low", -0.3), inputs=("X", "low")), range(11, 23)),
    "Dropout 10": (10, single("Dropout", ratio=0.4), ALL_UP),
    "Pad 10": (10, single("Pad", pads=PADS, value=0.5), ALL_UP),
    "Pad 10 reflect": (10, single("Pad", pads=PADS, mode="reflect"), ALL_UP),
    "Pad 11": (11, single("Pad", ints("p", PADS), constant("v", 0.5), inputs=("X", "p", "v")), range(11, 23)),
    "TopK 10": (10, single("TopK", ints("k", [3]), inputs=("X", "k"), outputs=("Y", "places")), ALL_UP),
    "TopK 11": (
        11,
        single("TopK", ints("k", [3]), inputs=("X", "k"), outputs=("Y", "places"), largest=0),
        range(11, 23),
    ),
    "ReduceSum 11": (11, single("ReduceSum", axes=[1, 2], keepdims=0), ALL_UP),
    "ReduceSum 13, no axes, kept as it is": (
        13,
        single("ReduceSum", ints("axes", []), inputs=("X", "axes"), noop_with_empty_axes=1),
        range(13, 23),
    ),
    **{f"{name} 18": (18, single(name, ints("axes", [1, 2]), inputs=("X", "axes")), ALL_UP) for name in REDUCTIONS},
    **{f"{name} 18, all axes": (18, single(name), ALL_UP) for name in REDUCTIONS},
    "Unsqueeze 11": (11, single("Unsqueeze", axes=[0, 1]), ALL_UP),
    "Squeeze 11": (11, single("Squeeze"), ALL_UP),
    "BatchNormalization 10": (
        10,
        single("BatchNormalization", *STATISTICS, inputs=("X", "scale", "bias", "mean", "var"), epsilon=1e-3),
        ALL_UP,
    ),
    "AveragePool 10": (10, single("AveragePool", **POOL), ALL_UP),
    "MaxPool 10": (10, single("MaxPool", **POOL), ALL_UP),
    "InstanceNormalization": (
        10,
        single("InstanceNormalization", *SCALE_AND_BIAS, inputs=("X", "scale", "bias")),
        ALL_UP,
    ),
    "GroupNormalization 18": (
        18,
        single("GroupNormalization", *SCALE_AND_BIAS, inputs=("X", "scale", "bias"), num_groups=2),
        (18, 19),
    ),
    "Slice 11, backwards": (
        11,
        single(
            "Slice",
            *(ints(name, [number]) for name, number in (("s", -1), ("e", -100), ("a", 3), ("t", -2))),
            inputs=("X", "s", "e", "a", "t"),
        ),
        range(11, 23),
    ),
    "Gather": (10, single("Gather", ints("i", [1, 0]), inputs=("X", "i"), axis=1), ALL_UP),
    "Flatten": (11, single("Flatten", axis=2), ALL_UP),
}


def made(name):
    opset, nodes, _ = CASES[name]
    graph = helper.make_graph(nodes, "one", [value("X", TensorProto.FLOAT)], [value("Y", TensorProto.FLOAT)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=5)


def run(model):
    session = onnxruntime.InferenceSession(model.SerializeToString(), quiet_options(), ["CPUExecutionProvider"])
    return session.run(["Y"], {"X": X})[0]


@pytest.mark.parametrize("name", CASES)
def test_an_operator_returns_the_same_in_another_opset_or_is_refused(name):
    given = made(name)
    before = run(given)
    for target in filter(loads_opset, TARGETS):
        try:
            converted = convert_opset(given, target)
        except RoiAlignError:
            if target in CASES[name][2]:
                raise
            continue
        np.testing.assert_allclose(run(converted), before, rtol=0, atol=CLOSE, err_msg=f"to {target}")


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("Resize 10 nearest, both", 11, "Resize to the nearest pixel by scales that are not known to be all above or"),
        (
            "Softmax 13, axis 1",
            12,
            "Softmax along an axis that is not known to be the last, which means something else at opset 12",
        ),
        (
            "Hardmax 11",
            13,
            "Hardmax along an axis that is not known to be the last, which means something else at opset 13",
        ),
        ("ReduceSum 13, no axes, kept as it is", 12, "Unrecognized attribute: noop_with_empty_axes"),
    ],
)
def test_what_onnxs_converter_converts_wrongly_is_refused(name, target, message):
    with pytest.raises(RoiAlignError, match=f"model must be convertible to opset {target}, got {message}"):
        convert_opset(made(name), target)
