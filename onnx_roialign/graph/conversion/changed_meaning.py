"""Operators whose meaning differs between opsets and that onnx's version converter (1.23) converts wrongly."""

from __future__ import annotations

import onnx_ir as ir

from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.reading.values import constant

__all__ = ["attributes_of_old_meaning", "misconverted"]

# From this opset on, these operators work along one axis; at lower opsets, along this axis and all later ones. To a
# higher opset the converter rewrites Softmax and LogSoftmax but not Hardmax; to a lower opset it rewrites none of them.
_ONE_AXIS_OPSET = 13
_ALONG_AXES = ("Softmax", "LogSoftmax", "Hardmax")
_REWRITTEN = ("Softmax", "LogSoftmax")

_RESIZE_OPSET = 11  # the first with Resize's coordinate_transformation_mode


def misconverted(node: ir.Node, current: int, target: int, known: Known) -> str | None:
    """Returns the part of a node that the converter would convert wrongly, for a message; None if there is none.

    Args:
        node: a node of one of ONNX's own operators.
        current: its opset.
        target: the other opset.
        known: known shapes.
    """
    name = node.op_type
    if name in _ALONG_AXES and (current < _ONE_AXIS_OPSET) != (target < _ONE_AXIS_OPSET):
        kept = target >= _ONE_AXIS_OPSET and name in _REWRITTEN
        if not kept and not _is_last_axis(node, current, known):
            return (
                f"{name} along an axis that is not known to be the last, which means something else at opset {target}"
            )
    if name == "Resize" and current < _RESIZE_OPSET <= target and _is_nearest(node):
        scales = constant(node.inputs[1] if len(node.inputs) > 1 else None)
        if scales is None or bool((scales < 1).any() and (scales > 1).any()):
            return "Resize to the nearest pixel by scales that are not known to be all above or all below 1"
    if name == "Constant" and "sparse_value" in node.attributes:  # onnx-ir does not read sparse tensors
        return f"Constant of a sparse tensor, which opset {target} does not have"
    return None


def attributes_of_old_meaning(node: ir.Node, current: int, target: int) -> dict[str, str]:
    """Returns the attributes with which the operator means the same at the target as at its current opset."""
    if node.op_type != "Resize" or not current < _RESIZE_OPSET <= target:
        return {}
    scales = constant(node.inputs[1] if len(node.inputs) > 1 else None)
    smaller = scales is not None and bool((scales < 1).any())
    # The meaning of Resize(10) in ONNX Runtime, because ONNX's specification does not define it.
    return {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil" if smaller else "floor"}


def _is_nearest(node: ir.Node) -> bool:
    mode = node.attributes.get("mode")
    return mode is None or mode.value == "nearest"


def _is_last_axis(node: ir.Node, opset: int, known: Known) -> bool:
    given = node.attributes.get("axis")
    axis = (1 if opset < _ONE_AXIS_OPSET else -1) if given is None else given.value
    shape = known.shape(node.inputs[0] if node.inputs else None)
    return bool(axis == -1 or (shape is not None and axis == len(shape) - 1))
