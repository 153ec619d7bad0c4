"""The steps of a repair, one onnx-ir pass per file; the rules of each are its docstring."""

from __future__ import annotations

from onnx_roialign.graph.repairs.fit_inputs import FitInputs
from onnx_roialign.graph.repairs.keep_boxes_wide import KeepBoxesWide
from onnx_roialign.graph.repairs.state_meaning import StateMeaning
from onnx_roialign.graph.repairs.tidy_attributes import TidyAttributes
from onnx_roialign.graph.repairs.wire_batch_indices import WireBatchIndices

__all__ = ["FitInputs", "KeepBoxesWide", "StateMeaning", "TidyAttributes", "WireBatchIndices"]
