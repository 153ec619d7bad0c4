"""Turns a RoiAlign node of a model on one engine into a function that `identify` can call."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import PLAIN, Attributes
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.engines.by_name import NODE_ENGINES, SESSION_ENGINES, check_engine
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.identification.live import Subject
from onnx_roialign.onnx_model.scopes import Scope, scopes
from onnx_roialign.ops.evaluator import reference_evaluator
from onnx_roialign.ops.nodes import is_private, is_roi_align, read_attributes
from onnx_roialign.ops.roi_align import DOMAIN
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import silent_options

__all__ = ["ProbedNode", "find_node"]

_Run = Callable[[Array, Array, Array], npt.ArrayLike]

_FIRST_IR_VERSION = 8  # every supported onnxruntime reads it, also with opset 10


class ProbedNode:
    """One RoiAlign node, which runs alone in a model with its own opset.

    Attributes:
        name: name of the node.
        opset: version of ONNX's own operators in the node's graph or function.
        meant: semantics of the node according to its opset and its attributes.
    """

    def __init__(self, node: onnx.NodeProto, opset: int) -> None:
        self.name, self.opset = node.name, opset
        self._private = is_private(node)
        self._op_type = node.op_type
        # A probe sets the plain attributes; the other attributes are kept, because they carry the meaning to measure.
        self._kept = [a for a in node.attribute if a.name not in PLAIN]
        self.meant: Semantics = read_attributes(node, opset).semantics

    def on(self, engine: str) -> Subject:
        """Returns a function that runs the node on this engine and raises the engine's exceptions.

        Raises:
            RoiAlignError: the engine is unknown.
        """
        check_engine(engine, NODE_ENGINES, "--engine")

        @functools.cache  # the two calls of a probe share a session
        def running(attributes: Attributes) -> _Run:
            return _start(self._model(attributes), engine)

        return lambda X, rois, batch_indices, attributes: running(attributes)(X, rois, batch_indices)

    def _model(self, attributes: Attributes) -> onnx.ModelProto:
        helper, tensor = onnx.helper, onnx.TensorProto
        domain = DOMAIN if self._private else ""
        plain = attributes.plain()
        node = helper.make_node(self._op_type, ["X", "rois", "batch_indices"], ["Y"], self.name, domain=domain, **plain)
        node.attribute.extend(self._kept)
        graph = helper.make_graph(
            [node],
            "probe",
            [
                helper.make_tensor_value_info("X", tensor.FLOAT, ["N", "C", "H", "W"]),
                helper.make_tensor_value_info("rois", tensor.FLOAT, ["num_rois", 4]),
                helper.make_tensor_value_info("batch_indices", tensor.INT64, ["num_rois"]),
            ],
            [helper.make_tensor_value_info("Y", tensor.FLOAT, [None] * 4)],
        )
        opsets = [helper.make_opsetid("", self.opset)] + [helper.make_opsetid(DOMAIN, 1)] * self._private
        return helper.make_model(graph, opset_imports=opsets, ir_version=_FIRST_IR_VERSION)


def _start(model: onnx.ModelProto, engine: str) -> _Run:
    if engine in SESSION_ENGINES:
        runner: Any = session(model, silent_options(), engine=engine)
    else:
        runner = reference_evaluator(model) if engine == "evaluator" else ReferenceEvaluator(model)

    def run(X: Array, rois: Array, batch_indices: Array) -> npt.ArrayLike:
        Y: npt.ArrayLike = runner.run(["Y"], {"X": X, "rois": rois, "batch_indices": batch_indices})[0]
        return Y

    return run


def find_node(model: onnx.ModelProto, name: str | None, path: Path) -> ProbedNode:
    """Returns the model's RoiAlign node, at any depth: the only one, or the one whose name or output has this name.

    Raises:
        RoiAlignError: the model has no such node, has several, or does not import ONNX's operators.
    """
    nodes = [(node, scope) for scope in scopes(model) for node in _roi_aligns(scope)]
    shared = Counter(node.name for node, _ in nodes)
    names = ", ".join(
        node.name if node.name and shared[node.name] == 1 else next(iter(node.output), "") for node, _ in nodes
    )
    chosen = [(node, scope) for node, scope in nodes if name is None or (name and name in (node.name, *node.output))]
    if not nodes:
        raise RoiAlignError("MODEL", "missing", f"must have a RoiAlign node, got none in {str(path)!r}")
    if not chosen:
        raise RoiAlignError("--node", "choice", f"must be one of {names}, got {name!r}")
    if len(chosen) > 1:
        raise RoiAlignError(
            "MODEL", "missing", f"must have one RoiAlign node, got {len(chosen)}; choose with --node: {names}"
        )
    node, scope = chosen[0]
    if scope.opset is None:
        raise RoiAlignError("MODEL", "missing", f"must import ONNX's own operators, got none (node {node.name!r})")
    return ProbedNode(node, scope.opset)


def _roi_aligns(scope: Scope) -> Iterator[onnx.NodeProto]:
    return (node for node in scope.nodes if is_roi_align(node) or is_private(node))
