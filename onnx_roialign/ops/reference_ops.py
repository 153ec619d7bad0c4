"""The private operators for onnx.reference, which `evaluator.reference_evaluator` uses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference.op_run import OpRun

from onnx_roialign.errors import RoiAlignError
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.nodes import check_form, node_name
from onnx_roialign.ops.schema import schema
from onnx_roialign.ops.table import OPS_BY_NAME

__all__ = ["PRIVATE_OPS"]


class _PrivateOp(OpRun):
    op_domain = private_op.DOMAIN

    def __init__(self, onnx_node: onnx.NodeProto, run_params: dict[str, Any], schema_: Any = None) -> None:
        check_form(onnx_node, None)
        self._op = OPS_BY_NAME[onnx_node.op_type]
        super().__init__(onnx_node, run_params, schema(onnx_node.op_type))

    def _run(self, *inputs: Any, **attributes: Any) -> tuple[npt.NDArray[Any]]:
        try:
            # onnx passes None for attributes that the node does not have.
            given = {name: value for name, value in attributes.items() if value is not None}
            arrays = [None if value is None else np.asarray(value) for value in inputs]
            read = self._op.read(given)
            self._op.check_count(read, len(arrays))
            return (self._op.compute(*arrays, read),)
        except RoiAlignError as error:
            raise error.in_node(node_name(self.onnx_node)) from None


# onnx finds an operator by domain and class name.
PRIVATE_OPS: tuple[type[OpRun], ...] = tuple(type(name, (_PrivateOp,), {}) for name in OPS_BY_NAME)
