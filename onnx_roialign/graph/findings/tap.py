"""Runs a model and records the inputs and outputs of every RoiAlign in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.errors import MissingPackageError, RoiAlignError, one_line
from onnx_roialign.sessions.feeding import run_session
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import silent_options

__all__ = ["Tap", "outputs", "tapped"]


@dataclass(frozen=True, slots=True)
class Tap:
    """One run of one RoiAlign: the name of the node, its inputs and its output. A node in a Loop runs several times."""

    node: str
    X: Array
    rois: Array
    batch_indices: Array
    Y: Array


def outputs(model: onnx.ModelProto, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> list[Array]:
    """Returns the outputs of the model on the compiled library.

    Raises:
        RoiAlignError: the model does not load, or does not run on these inputs.
    """
    try:
        return [np.asarray(output) for output in run_session(session(model, silent_options()), inputs, names)]
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise RoiAlignError("model", "failed", f"must run on the inputs, got {one_line(error)}") from error


def tapped(model: onnx.ModelProto, inputs: Mapping[str, Array], nodes: Sequence[onnx.NodeProto]) -> list[Tap]:
    """Returns every run of these nodes, in the order of the nodes.

    If all nodes are in the model's graph, the model runs once with the inputs and outputs of the nodes as outputs of
    the graph. Values of a body cannot be outputs of the graph: if a node is in a body, the model runs on engine
    "reference", which records the arrays.

    Args:
        model: a model without functions.
        inputs: array by name of the graph's inputs.
        nodes: RoiAligns, ONNX's or the private operator, with unique names.

    Raises:
        RoiAlignError: the model does not run on these inputs.
        MissingPackageError: a node is in a body, and engine "reference" is not installed.
    """
    there = {node.name for node in model.graph.node}
    if all(node.name in there for node in nodes):
        return _tapped_in_graph(model, inputs, nodes)
    taps = _recorded(model, inputs)
    order = {node.name: position for position, node in enumerate(nodes)}
    return sorted((tap for tap in taps if tap.node in order), key=lambda tap: order[tap.node])


def _tapped_in_graph(model: onnx.ModelProto, inputs: Mapping[str, Array], nodes: Sequence[onnx.NodeProto]) -> list[Tap]:
    known = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    known |= dict(inputs)
    wanted = dict.fromkeys(name for node in nodes for name in (*node.input, node.output[0]) if name not in known)
    copy = deepcopy(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    values = known | dict(zip(wanted, outputs(copy, inputs, list(wanted)), strict=True))
    return [Tap(node.name, *(values[name] for name in (*node.input, node.output[0]))) for node in nodes]


def _recorded(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Tap]:
    # Constant folding would run a node with constant inputs before the recording starts.
    options = silent_options(optimize=False)
    try:
        running = session(model, options, engine="reference")
        # This import needs onnxruntime-extensions, which the session has loaded.
        from onnx_roialign.sessions.python_op import recording

        with recording(running) as calls:
            run_session(running, inputs)
    except MissingPackageError:
        raise
    except Exception as error:
        raise RoiAlignError("model", "failed", f"must run on the inputs, got {one_line(error)}") from error
    return [Tap(call.node, *call.inputs, call.Y) for call in calls if len(call.inputs) == 3]
