"""Graphs: what is wrong with the RoiAligns of a model, and the model repaired or converted to another opset."""

from __future__ import annotations

from onnx_roialign.extras import imported_for

with imported_for("onnx_roialign.graph"):
    from onnx_roialign.graph.finding import Finding
    from onnx_roialign.graph.opset import convert_opset, make_explicit
    from onnx_roialign.graph.repair import repair
    from onnx_roialign.graph.validate import validate

__all__ = ["Finding", "convert_opset", "make_explicit", "repair", "validate"]
