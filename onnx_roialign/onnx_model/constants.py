"""The values of a model that are the same in every run, which a runtime may compute when it loads the model."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import onnx
import onnx.inliner

from onnx_roialign.onnx_model.facts import ModelFacts
from onnx_roialign.onnx_model.scopes import Scope, bodies, graph_scopes
from onnx_roialign.ops.nodes import is_roi_align

__all__ = ["constant_roi_aligns"]

# Whose outputs may be known where the shape of the input is.
_OF_SHAPES = ("Shape", "Size")


def constant_roi_aligns(model: ModelFacts) -> Iterator[onnx.NodeProto]:
    """Yields each RoiAlign of ONNX whose inputs may all be the same in every run, functions being inlined."""
    found = _inlined(model.proto) if model.in_functions else model.roi_aligns  # which were read already
    for _, group in groupby(found, key=lambda pair: id(pair[0])):
        pairs = [(scope, node) for scope, node in group if is_roi_align(node)]
        varying = _varying(pairs[0][0]) if pairs else set()
        yield from (node for _, node in pairs if varying.isdisjoint(node.input))


def _inlined(model: onnx.ModelProto) -> list[tuple[Scope, onnx.NodeProto]]:
    graphs = graph_scopes(onnx.inliner.inline_local_functions(model))
    return [(scope, node) for scope in graphs for node in scope.nodes if is_roi_align(node)]


def _varying(scope: Scope) -> set[str]:
    """Returns the values of a graph, and of the graphs around it, that a run or a turn of a loop may change."""
    if scope.graph is None or scope.outer is None:
        return set()
    found = {*_varying(scope.outer), *(value.name for value in scope.graph.input)}
    for node in scope.nodes:
        if node.op_type not in _OF_SHAPES and not found.isdisjoint(_read_by(node)):
            found.update(filter(None, node.output))
    return found


def _read_by(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    for body in bodies(node):
        yield from (value.name for value in body.output)
        for inner in body.node:
            yield from _read_by(inner)
