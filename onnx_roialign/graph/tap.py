"""Running a model and keeping what goes into and comes out of every RoiAlign in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from onnx_roialign import evaluator, private_evaluator
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.feeding import run_session
from onnx_roialign.runtime import session
from onnx_roialign.trial import one_line

__all__ = ["Tap", "outputs", "tapped"]

Array = npt.NDArray[Any]

_NO_LOG = 4


@dataclass(frozen=True, slots=True)
class Tap:
    """One call of one RoiAlign: the node's first output names it, and a body of a Loop makes several."""

    X: Array
    rois: Array
    batch_indices: Array
    Y: Array
    output: str


def outputs(model: onnx.ModelProto, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> list[Array]:
    """The model's outputs on the compiled library.

    Raises:
        RoiAlignError: the model does not load, or does not run on these inputs.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _NO_LOG
    try:
        return [np.asarray(one) for one in run_session(session(model, options), inputs, names)]
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise RoiAlignError(f"model must run on the inputs, got {one_line(error)}") from error


def tapped(model: onnx.ModelProto, inputs: Mapping[str, Array], nodes: Sequence[onnx.NodeProto]) -> list[Tap]:
    """Every call of these nodes, in the order of the graph.

    Where all of them lie in the model's graph, it runs once, with their inputs and outputs as outputs of its own. The
    values of a body are no outputs of a graph: with nodes in bodies the model runs in onnx.reference.

    Args:
        model: without functions.
        inputs: array by name of the graph's inputs.
        nodes: RoiAligns, ONNX's or the private op.

    Raises:
        RoiAlignError: the model does not run on these inputs.
    """
    there = {output for node in model.graph.node for output in node.output}
    if all(node.output[0] in there for node in nodes):
        return _tapped_in_graph(model, inputs, nodes)
    return _recorded(model, inputs)


def _tapped_in_graph(model: onnx.ModelProto, inputs: Mapping[str, Array], nodes: Sequence[onnx.NodeProto]) -> list[Tap]:
    known = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    known |= dict(inputs)
    wanted = dict.fromkeys(name for node in nodes for name in (*node.input, node.output[0]) if name not in known)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    values = known | dict(zip(wanted, outputs(copy, inputs, list(wanted)), strict=True))
    taps = []
    for node in nodes:
        X, rois, batch_indices = (values[name] for name in node.input)
        taps.append(Tap(X, rois, batch_indices, values[node.output[0]], output=node.output[0]))
    return taps


def _recorded(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Tap]:
    taps: list[Tap] = []

    def recording(op: type[Any]) -> type[Any]:
        def run(self: Any, *arrays: Array, **attributes: Any) -> Any:
            answer = op._run(self, *arrays, **attributes)
            X, rois, batch_indices = (np.asarray(one) for one in arrays[:3])
            taps.append(Tap(X, rois, batch_indices, np.asarray(answer[0]), output=self.onnx_node.output[0]))
            return answer

        return type(op.__name__, (op,), {"_run": run})  # onnx finds an op by the name of its class

    kinds: tuple[type[Any], ...] = (evaluator.RoiAlign, *private_evaluator.PRIVATE_OPS)
    ops = [recording(op) for op in kinds]
    try:
        onnx.reference.ReferenceEvaluator(_with_conditions(model), new_ops=ops).run(None, dict(inputs))
    except Exception as error:  # nor have those of onnx.reference
        raise RoiAlignError(f"model must run on the inputs, got {one_line(error)}") from error
    return taps


def _with_conditions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with a condition in every Loop: onnx.reference 1.23 never enters one without."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    name = "onnx_roialign.true"
    copy.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), name))
    graphs = [copy.graph]
    while graphs:
        for node in graphs.pop().node:
            if node.op_type == "Loop" and len(node.input) > 1 and not node.input[1]:
                node.input[1] = name
            graphs.extend(attribute.g for attribute in node.attribute if attribute.HasField("g"))
    return copy
