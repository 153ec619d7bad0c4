"""The private ops for onnx.reference; `evaluator.reference_evaluator` hands them over."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference.op_run import OpRun

from onnx_roialign.definition import quantized, reference
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.nodes import check_form
from onnx_roialign.ops.schema import qlinear_schema, schema

__all__ = ["PRIVATE_OPS", "AnyRoiAlign", "QLinearRoiAlign"]


class _PrivateOp(OpRun):
    op_domain = private_op.DOMAIN

    def __init__(self, onnx_node: onnx.NodeProto, run_params: dict[str, Any], schema_: Any) -> None:
        check_form(onnx_node, None)
        super().__init__(onnx_node, run_params, schema_)

    def _pool(self, answer: Any, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> tuple[npt.NDArray[Any]]:
        """Answers with what the node says: attributes that it does not have come as None."""
        try:
            given = {name: value for name, value in attributes.items() if value is not None}
            return (answer(*map(np.asarray, inputs), private_op.read_attributes(given)),)
        except RoiAlignError as error:
            raise error.in_node(self.onnx_node.name) from None


class AnyRoiAlign(_PrivateOp):
    """onnx_roialign::AnyRoiAlign: RoiAlign in any Semantics."""

    def __init__(self, onnx_node: onnx.NodeProto, run_params: dict[str, Any], schema_: Any = None) -> None:
        super().__init__(onnx_node, run_params, schema())

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[npt.NDArray[Any]]:
        return self._pool(reference.roi_align, inputs, attributes)


class QLinearRoiAlign(_PrivateOp):
    """onnx_roialign::QLinearRoiAlign: RoiAlign of quantized feature maps."""

    def __init__(self, onnx_node: onnx.NodeProto, run_params: dict[str, Any], schema_: Any = None) -> None:
        super().__init__(onnx_node, run_params, qlinear_schema())

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[npt.NDArray[Any]]:
        return self._pool(quantized.roi_align, inputs, attributes)


# onnx matches an op by domain and class name.
PRIVATE_OPS: tuple[type[OpRun], ...] = (
    *(type(name, (AnyRoiAlign,), {}) for name in private_op.OP_TYPES),
    QLinearRoiAlign,
)
