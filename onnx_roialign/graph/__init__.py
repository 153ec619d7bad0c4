"""Models: finds errors of their RoiAligns, repairs them, converts their opset, and fuses poolers and mask pasting."""

from __future__ import annotations

from onnx_roialign.extras import imported_for

with imported_for("onnx_roialign.graph"):
    from onnx_roialign.graph.conversion.opset import convert_opset, make_explicit
    from onnx_roialign.graph.findings.finding import Finding
    from onnx_roialign.graph.findings.validation import validate
    from onnx_roialign.graph.fusion.fuse import Fused, FusedPart, fuse
    from onnx_roialign.graph.fusion.unfuse import unfuse
    from onnx_roialign.graph.repairs.repair import repair
    from onnx_roialign.ops.schema import known_to_onnx, register_schemas

__all__ = [
    "Finding",
    "Fused",
    "FusedPart",
    "convert_opset",
    "fuse",
    "known_to_onnx",
    "make_explicit",
    "register_schemas",
    "repair",
    "unfuse",
    "validate",
]
