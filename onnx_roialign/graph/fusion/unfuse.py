"""`unfuse`: writes MultiScaleRoiAlign and PasteMasks in ONNX's own operators, for runtimes without the private ones."""

from __future__ import annotations

import onnx

from onnx_roialign.errors import last_guard
from onnx_roialign.graph.reading.collector import collector_paused
from onnx_roialign.onnx_model.expanded import expanded
from onnx_roialign.onnx_model.file import Model
from onnx_roialign.onnx_model.soundness import sound
from onnx_roialign.onnx_model.value_info import add_value_info

__all__ = ["unfuse"]


@collector_paused()
def unfuse(model: Model) -> onnx.ModelProto:
    """Writes every MultiScaleRoiAlign and PasteMasks of a model in ONNX's own operators.

    A RoiAlign that ONNX cannot express at the model's opset becomes onnx_roialign::AnyRoiAlign. The new nodes return
    the same results up to the rounding of a sum.

    Args:
        model: path, bytes or ModelProto; it is not changed. External data stays where it is.

    Raises:
        RoiAlignError: `model` is not a model, or its opset is below 11.
    """
    proto = sound(model)
    with last_guard("unfused"):
        result = expanded(proto)
        add_value_info(result)
        return result
