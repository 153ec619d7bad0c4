"""RoiAlign for onnx.reference, with the defaults of the model's opset."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.checks import Given, check_signature
from onnx_roialign.definition.semantics import from_onnx
from onnx_roialign.errors import RoiAlignError, last_guard
from onnx_roialign.ops.nodes import check_form, node_name
from onnx_roialign.ops.reference_ops import PRIVATE_OPS

__all__ = ["RoiAlign", "reference_evaluator"]


class RoiAlign(OpRun):
    """ONNX's RoiAlign by `onnx_roialign.reference`: ``ReferenceEvaluator(model, new_ops=[RoiAlign])``.

    onnx's own op (1.23.2) takes every default from the newest schema and therefore shifts opsets 10 to 15 by half a
    pixel. This class takes the defaults from the schema of the model's opset. onnx finds `new_ops` by class name.
    """

    op_domain = ""

    def __init__(self, onnx_node: onnx.NodeProto, run_params: dict[str, Any], schema: Any = None) -> None:
        self._opset = int(run_params["opsets"][""])
        check_form(onnx_node, self._opset)
        super().__init__(onnx_node, run_params, onnx.defs.get_schema("RoiAlign", self._opset, ""))

    def _run(
        self,
        X: npt.NDArray[Any],
        rois: npt.NDArray[Any],
        batch_indices: npt.NDArray[Any],
        coordinate_transformation_mode: str | None = None,
        **attributes: Any,
    ) -> tuple[npt.NDArray[Any]]:
        try:
            semantics = from_onnx(self._opset, coordinate_transformation_mode)
            checked = Attributes(semantics=semantics, **attributes)
            arrays = np.asarray(X), np.asarray(rois), np.asarray(batch_indices)
            check_signature(*map(Given.of, arrays))  # ONNX's RoiAlign accepts only rois of X's type
            return (reference.roi_align(*arrays, checked),)
        except RoiAlignError as error:
            raise error.in_node(node_name(self.onnx_node)) from None


class _Evaluator(ReferenceEvaluator):
    """An evaluator that passes RoiAlign on to the evaluators that onnx creates for the functions of a model."""

    def __init__(self, proto: Any, **kwargs: Any) -> None:
        kwargs["new_ops"] = [RoiAlign, *PRIVATE_OPS]
        super().__init__(proto, **kwargs)

    def __reduce__(self) -> tuple[type, tuple[Any]]:
        return type(self), (self.proto_,)  # what onnx derives from it does not pickle


def reference_evaluator(model: str | os.PathLike[str] | bytes | onnx.ModelProto) -> ReferenceEvaluator:
    """Returns an onnx ReferenceEvaluator that computes every RoiAlign of the model by this package's definition.

    This includes RoiAligns in subgraphs and functions, and the private operators.

    Args:
        model: path, serialized model or ModelProto. From a path, external data is loaded too.

    Raises:
        RoiAlignError: `model` is not a model, a RoiAlign breaks a rule, or onnx.reference cannot evaluate the model.
    """
    with last_guard("evaluated by onnx.reference"):
        if isinstance(model, bytes):
            model = onnx.load_model_from_string(model)
        elif not isinstance(model, onnx.ModelProto):
            model = onnx.load(os.fspath(model))
        return _Evaluator(model)
