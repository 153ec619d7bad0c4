"""The steps of a repair, one onnx-ir pass per file; the rules of each are its docstring."""

from __future__ import annotations

from onnx_roialign.graph.passes.fit_inputs import FitInputs
from onnx_roialign.graph.passes.keep_boxes_wide import KeepBoxesWide
from onnx_roialign.graph.passes.state_meaning import StateMeaning
from onnx_roialign.graph.passes.tidy_attributes import TidyAttributes
from onnx_roialign.graph.passes.wire_batch_indices import WireBatchIndices

__all__ = ["FitInputs", "KeepBoxesWide", "StateMeaning", "TidyAttributes", "WireBatchIndices"]
