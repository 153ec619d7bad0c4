"""Writes MultiScaleRoiAlign and PasteMasks in ONNX's own operators."""

from __future__ import annotations

from copy import deepcopy

import onnx

from onnx_roialign.onnx_model.scopes import Scope, infer, scopes
from onnx_roialign.onnx_model.tensor_data import without_weights
from onnx_roialign.ops.expansion import expansion
from onnx_roialign.ops.roi_align import DOMAIN
from onnx_roialign.ops.table import op_of

__all__ = ["expanded"]


def expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy in which every MultiScaleRoiAlign and PasteMasks is written in ONNX's own operators.

    A RoiAlign that ONNX cannot express at the model's opset becomes onnx_roialign::AnyRoiAlign. The import of the
    private domain is removed if no operator of it is left.

    Args:
        model: it is not changed.

    Raises:
        RoiAlignError: the opset is below 11, or a node breaks a rule.
    """
    result = deepcopy(model)
    typed = infer(without_weights(result))
    for scope, known in zip(tuple(scopes(result)), scopes(typed), strict=True):
        _expand(scope, known)
    if not any(op_of(node) is not None for scope in scopes(result) for node in scope.nodes):
        for owner in (result, *result.functions):
            kept = [entry for entry in owner.opset_import if entry.domain != DOMAIN]
            del owner.opset_import[:]
            owner.opset_import.extend(kept)
    return result


def _expand(scope: Scope, typed: Scope) -> None:
    nodes: list[onnx.NodeProto] = []
    for node in scope.nodes:
        replacement = (
            expansion(node, scope.opset, typed.types, f"{node.output[0]}/") if op_of(node) is not None else None
        )
        nodes += [node] if replacement is None else replacement
    del scope.nodes[:]
    scope.nodes.extend(nodes)
