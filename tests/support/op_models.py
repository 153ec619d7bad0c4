"""Models of one node of the private ops, and the engines that run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import helper
from session_models import quiet_options

import onnx_roialign
from onnx_roialign.graph import unfuse
from onnx_roialign.ops.roi_align import DOMAIN, OPSET_VERSION

Feeds = Mapping[str, np.ndarray]


def one_node(node: onnx.NodeProto, feeds: Feeds, shape: Sequence[int | str], opset: int = 16) -> onnx.ModelProto:
    """A model of the node; its output has the type of the first input of rank 4, and this shape."""
    dynamic = {0: "K"}
    inputs = []
    for name, array in feeds.items():
        dims = [dynamic.get(axis, size) if array.ndim in (1, 2) else size for axis, size in enumerate(array.shape)]
        inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), dims))
    kind = next(array.dtype for array in feeds.values() if array.ndim == 4)
    output = helper.make_tensor_value_info(node.output[0], helper.np_dtype_to_tensor_dtype(kind), list(shape))
    imports = [helper.make_opsetid("", opset), helper.make_opsetid(DOMAIN, OPSET_VERSION)]
    graph = helper.make_graph([node], "one", inputs, [output])
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def native(model, feeds):
    return onnx_roialign.session(model, quiet_options()).run(None, feeds)[0]


def reference(model, feeds):
    return onnx_roialign.session(model, quiet_options(), engine="reference").run(None, feeds)[0]


def evaluator(model, feeds):
    return onnx_roialign.reference_evaluator(model).run(None, feeds)[0]


def unfused(model, feeds):
    return onnx_roialign.session(unfuse(model), quiet_options()).run(None, feeds)[0]


RUNS: Mapping[str, Callable[[onnx.ModelProto, Feeds], np.ndarray]] = {
    "native": native,
    "reference": reference,
    "evaluator": evaluator,
    "unfused": unfused,
}
