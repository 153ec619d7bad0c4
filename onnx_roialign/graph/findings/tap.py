"""Running a model and keeping what goes into and comes out of every RoiAlign in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """One call of one RoiAlign: the name of the node, and its inputs and output. A body of a Loop makes several."""

    node: str
    X: Array
    rois: Array
    batch_indices: Array
    Y: Array


def outputs(model: onnx.ModelProto, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> list[Array]:
    """The model's outputs on the compiled library.

    Raises:
        RoiAlignError: the model does not load, or does not run on these inputs.
    """
    try:
        return [np.asarray(one) for one in run_session(session(model, silent_options()), inputs, names)]
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise RoiAlignError(f"model must run on the inputs, got {one_line(error)}") from error


def tapped(model: onnx.ModelProto, inputs: Mapping[str, Array], nodes: Sequence[onnx.NodeProto]) -> list[Tap]:
    """Every call of these nodes, in their order.

    Where all of them lie in the model's graph, it runs once, with their inputs and outputs as outputs of its own. The
    values of a body are no outputs of a graph: with nodes in bodies the model runs on engine "reference", which sees
    the arrays.

    Args:
        model: without functions.
        inputs: array by name of the graph's inputs.
        nodes: RoiAligns, ONNX's or the private op, each of a name that no other RoiAlign has.

    Raises:
        RoiAlignError: the model does not run on these inputs.
        MissingPackageError: there is a node in a body, and engine "reference" is not installed.
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
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    values = known | dict(zip(wanted, outputs(copy, inputs, list(wanted)), strict=True))
    return [Tap(node.name, *(values[name] for name in (*node.input, node.output[0]))) for node in nodes]


def _recorded(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> list[Tap]:
    # A node of constants would run when the session is made, before anything is recorded.
    options = silent_options(optimize=False)
    try:
        running = session(model, options, engine="reference")
        from onnx_roialign.sessions.python_op import recording  # it needs onnxruntime-extensions, which is there by now

        with recording(running) as calls:
            run_session(running, inputs)
    except MissingPackageError:
        raise
    except Exception as error:
        raise RoiAlignError(f"model must run on the inputs, got {one_line(error)}") from error
    return [Tap(call.node, *call.inputs, call.Y) for call in calls if len(call.inputs) == 3]
