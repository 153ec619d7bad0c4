"""The private ops for onnx.reference; `evaluator.reference_evaluator` hands them over."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference.op_run import OpRun

from onnx_roialign.definition.attributes import Given
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.ops.nodes import check_form
from onnx_roialign.ops.roi_align import DOMAIN
from onnx_roialign.ops.schema import schema
from onnx_roialign.ops.table import OPS, Op

__all__ = ["PRIVATE_OPS"]


class _PrivateOp(OpRun):
    """One row of the table of ops."""

    op_domain = DOMAIN
    op: Op

    def __init__(self, onnx_node: onnx.NodeProto, run_params: dict[str, Any], schema_: Any = None) -> None:
        check_form(onnx_node, None)
        super().__init__(onnx_node, run_params, schema(onnx_node.op_type))

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[npt.NDArray[Any]]:
        """Computes what the node says: attributes that it does not have come as None."""
        try:
            values = {name: value for name, value in attributes.items() if value is not None}
            arrays = [None if value is None else np.asarray(value) for value in inputs]
            read = self.op.read(values)
            self.op.check(read, [None if array is None else Given.of(array) for array in arrays])
            return (self.op.compute(read, arrays),)
        except RoiAlignError as error:
            raise error.in_node(self.onnx_node.name) from None


# onnx matches an op by domain and class name.
PRIVATE_OPS: tuple[type[OpRun], ...] = tuple(type(name, (_PrivateOp,), {"op": op}) for op in OPS for name in op.names)
