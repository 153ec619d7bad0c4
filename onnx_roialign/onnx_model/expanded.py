"""Writes MultiScaleRoiAlign and PasteMasks in ONNX's own operators, or only the levels of the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy

import onnx

from onnx_roialign.onnx_model.inlined import inlined
from onnx_roialign.onnx_model.scopes import Scope, function_scopes, infer, inner_first, scopes
from onnx_roialign.onnx_model.tensor_data import without_weights
from onnx_roialign.ops.expansion import can_be_expanded, expansion, with_levels
from onnx_roialign.ops.roi_align import DOMAIN
from onnx_roialign.ops.table import op_of

__all__ = ["expanded", "with_levels_given"]

# Of a node, its scope's opset, the element types of values and the beginning of new names; None: it stays as it is.
_Write = Callable[[onnx.NodeProto, int | None, Mapping[str, int], str], list[onnx.NodeProto] | None]


def expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy in which every MultiScaleRoiAlign and PasteMasks is written in ONNX's own operators.

    A RoiAlign that ONNX cannot express at the model's opset becomes onnx_roialign::AnyRoiAlign. The import of the
    private domain is removed if no operator of it is left.

    Args:
        model: it is not changed.

    Raises:
        RoiAlignError: the opset is below 11, or a node breaks a rule.
    """
    result = _rewritten(model, expansion)
    if not any(op_of(node) is not None for scope in scopes(result) for node in scope.nodes):
        for owner in (result, *result.functions):
            kept = [entry for entry in owner.opset_import if entry.domain != DOMAIN]
            del owner.opset_import[:]
            owner.opset_import.extend(kept)
    return result


def with_levels_given(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy in which every MultiScaleRoiAlign has the input levels, computed by ONNX's own operators.

    Args:
        model: it is not changed.

    Raises:
        RoiAlignError: the opset is below 11, or a node breaks a rule.
    """
    return _rewritten(model, lambda node, *given: with_levels(node, *given) if "" in node.input else None)


def _rewritten(model: onnx.ModelProto, write: _Write) -> onnx.ModelProto:
    # In a function no value has a type.
    in_functions = any(can_be_expanded(node) for scope in function_scopes(model) for node in scope.nodes)
    result = inlined(model) if in_functions else deepcopy(model)
    typed = infer(without_weights(result))
    taken = {name for scope in scopes(result) for name in _names(scope)}
    for scope, known in inner_first(result, typed):
        _rewrite(scope, known, write, taken)
    return result


def _names(scope: Scope) -> Iterator[str]:
    for node in scope.nodes:
        yield from (*node.input, *node.output)
    if scope.graph is not None:
        yield from (value.name for value in (*scope.graph.input, *scope.graph.initializer))


def _rewrite(scope: Scope, typed: Scope, write: _Write, taken: set[str]) -> None:
    nodes: list[onnx.NodeProto] = []
    for node in scope.nodes:
        replacement = None
        if can_be_expanded(node):
            prefix = f"{node.output[0]}/"
            while any(name.startswith(prefix) for name in taken):
                prefix += "/"
            taken.add(prefix)
            replacement = write(node, scope.opset, typed.types, prefix)
        nodes += [node] if replacement is None else replacement
    del scope.nodes[:]
    scope.nodes.extend(nodes)
