"""Facts of a model's operators: its opset, and its RoiAligns wherever they are."""

from __future__ import annotations

import onnx

from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.ops.nodes import is_private, is_roi_align


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators that the model imports, under either name of their domain."""
    return next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def roi_aligns(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """ONNX's and ours, in the graph, in bodies and in functions."""
    return [node for scope in scopes(model) for node in scope.nodes if is_roi_align(node) or is_private(node)]
