"""Sessions on servers and clusters: SessionSpec for other processes, SessionStage for Ray Data, Triton repositories."""

from __future__ import annotations

from onnx_roialign.extras import imported_for

with imported_for("onnx_roialign.serving"):
    from onnx_roialign.serving.spec import SessionSpec
    from onnx_roialign.serving.stage import SessionStage
    from onnx_roialign.serving.triton import TritonModel, deploy_triton

__all__ = ["SessionSpec", "SessionStage", "TritonModel", "deploy_triton"]
