"""Writes ONNX models around a RoiAlign: nodes, constants, and the RoiAlign itself, ONNX's own or the private one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from onnx_roialign.definition.attributes import Attributes, integer
from onnx_roialign.definition.pyramid import Pyramid
from onnx_roialign.definition.semantics import FIRST_OPSET
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.onnx_model.value_info import add_value_info
from onnx_roialign.ops import multiscale_roi_align as multiscale_op
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.nodes import make_roi_align

__all__ = ["GraphWriter"]


class GraphWriter:
    """Builds one graph. Every method that adds a value returns its name.

    Attributes:
        opset: version of ONNX's own operators.
        dtype: type of features and boxes.
    """

    def __init__(self, opset: int, dtype: npt.DTypeLike, types: Sequence[str], first_opset: int = FIRST_OPSET) -> None:
        """Starts an empty graph.

        Args:
            opset: version of ONNX's own operators.
            dtype: type of features and boxes.
            types: the permitted types.
            first_opset: the first opset with all operators that the graph will need.

        Raises:
            RoiAlignError: the opset or the type is not permitted.
        """
        newest = onnx.defs.onnx_opset_version()
        self.opset = integer("opset", opset)
        if not first_opset <= self.opset <= newest:
            raise RoiAlignError("opset", "range", f"must be in [{first_opset}, {newest}], got {shown(self.opset)}")
        self.dtype = _dtype(dtype, types)
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._names: set[str] = set()
        self._private = False

    def input(self, name: str, shape: Sequence[int | str], dtype: npt.DTypeLike | None = None) -> str:
        """Adds an input of the graph, of the graph's dtype by default."""
        kind = helper.np_dtype_to_tensor_dtype(self.dtype if dtype is None else np.dtype(dtype))
        self._inputs.append(helper.make_tensor_value_info(self._new(name), kind, list(shape)))
        return name

    def constant(self, name: str, values: npt.ArrayLike, dtype: npt.DTypeLike = np.int64) -> str:
        """Adds a constant; calls with the same name must have the same values."""
        if name not in self._constants:
            self._constants[self._new(name)] = numpy_helper.from_array(np.asarray(values, dtype), name)
        return name

    def node(self, op_type: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Adds a node of one of ONNX's own operators."""
        self._nodes.append(helper.make_node(op_type, list(inputs), [self._new(output)], name=output, **attributes))
        return output

    def roi_align(
        self, X: str, rois: str, batch_indices: str, output: str, attributes: Attributes, *, same_type: bool = True
    ) -> str:
        """Adds ONNX's RoiAlign if it can express the attributes and the types at this opset, else the private one."""
        inputs = X, rois, batch_indices
        node = make_roi_align(inputs, self._new(output), attributes, self.opset, name=output, same_type=same_type)
        self._private |= node.domain == private_op.DOMAIN
        self._nodes.append(node)
        return output

    def multiscale_roi_align(
        self,
        rois: str,
        batch_indices: str,
        features: Sequence[str],
        output: str,
        pyramid: Pyramid,
        *,
        levels: str = "",
    ) -> str:
        """Adds the private operator for several maps; without `levels`, the pyramid's rule assigns them."""
        self._private = True
        node = multiscale_op.make_node(
            rois, batch_indices, features, self._new(output), pyramid, levels=levels, name=output
        )
        self._nodes.append(node)
        return output

    def qlinear_roi_align(self, inputs: Sequence[str], output: str, attributes: Attributes) -> str:
        """Adds the private operator for quantized features; inputs: X, x_scale, x_zero_point, rois, batch_indices."""
        self._private = True
        values = private_op.attributes_of(attributes)
        node = helper.make_node(
            private_op.QLINEAR_OP_TYPE, inputs, [self._new(output)], name=output, domain=private_op.DOMAIN, **values
        )
        self._nodes.append(node)
        return output

    def columns(self, boxes: str, first: int, last: int, output: str) -> str:
        """Adds the columns first to last of a matrix."""
        ends = (self.constant(f"column_{first}", [first]), self.constant(f"column_{last + 1}", [last + 1]))
        return self.node("Slice", (boxes, *ends, self.constant("axis_1", [1])), output)

    def length(self, value: str, output: str) -> str:
        """Adds the length of a value's first axis, as a vector with one element."""
        shape = self.node("Shape", (value,), f"{output}_shape")
        return self.node("Gather", (shape, self.constant("axis_0", [0])), output, axis=0)

    def indices_and_boxes(self, boxes: str, *, nearest: bool = False) -> tuple[str, str]:
        """Splits rows (image, x1, y1, x2, y2) into batch_indices (int64, truncated or rounded to nearest) and rois."""
        rois = self.columns(boxes, 1, 4, "box_columns")
        images = self.columns(boxes, 0, 0, "image_column")
        flat = self.node("Reshape", (images, self.constant("flat", [-1])), "images")
        if nearest:
            wide = self.node("Cast", (flat,), "images_float32", to=onnx.TensorProto.FLOAT)
            half = self.constant("half", 0.5, np.float32)
            flat = self.node("Floor", (self.node("Add", (wide, half), "images_and_half"),), "nearest_images")
        return self.node("Cast", (flat,), "batch_indices", to=onnx.TensorProto.INT64), rois

    def join(self, boxes: Sequence[str]) -> tuple[str, str]:
        """Joins one (L, 4) matrix per image to batch_indices and rois."""
        images = []
        for i, matrix in enumerate(boxes):
            image = numpy_helper.from_array(np.array([i], np.int64))
            count = self.length(matrix, f"count_{i}")
            images.append(self.node("ConstantOfShape", (count,), f"batch_indices_{i}", value=image))
        return (
            self.node("Concat", images, "batch_indices", axis=0),
            self.node("Concat", boxes, "rois", axis=0),
        )

    def repeat_images(self, counts: str, boxes: str) -> str:
        """Adds the image of each box, given the number of boxes of each image.

        Row n of a comparison ``j < counts[n]`` has one true element per box of image n; the row numbers of all true
        elements are the images.
        """
        fill = numpy_helper.from_array(np.array([1], np.int64))
        ones = self.node("ConstantOfShape", (self.length(boxes, "num_rois"),), "ones", value=fill)
        numbers = self.node("NonZero", (ones,), "numbers")
        wide = self.node("Cast", (counts,), "wide_counts", to=onnx.TensorProto.INT64)
        column = self.node("Reshape", (wide, self.constant("column", [-1, 1])), "counts_column")
        places = self.node("NonZero", (self.node("Less", (numbers, column), "has_box"),), "places")
        return self.node("Gather", (places, self.constant("first", 0)), "batch_indices", axis=0)

    def model(self, output: str, shape: Sequence[int | str]) -> onnx.ModelProto:
        """Returns the model with the oldest IR version that has its opset."""
        element = helper.np_dtype_to_tensor_dtype(self.dtype)
        graph = helper.make_graph(
            self._nodes,
            "onnx_roialign",
            self._inputs,
            [helper.make_tensor_value_info(output, element, list(shape))],
            list(self._constants.values()),
        )
        imports = [helper.make_opsetid("", self.opset)]
        if self._private:
            imports.append(helper.make_opsetid(private_op.DOMAIN, private_op.OPSET_VERSION))
        version = helper.find_min_ir_version_for(imports, True)
        model = helper.make_model(graph, opset_imports=imports, ir_version=version, producer_name="onnx_roialign")
        add_value_info(model)
        onnx.checker.check_model(model)
        return model

    def _new(self, name: str) -> str:
        if name in self._names:
            raise RoiAlignError(
                "the names of inputs", "conflict", f"must differ from all other names in the model, got {name!r}"
            )
        self._names.add(name)
        return name


def _dtype(given: npt.DTypeLike, types: Sequence[str]) -> np.dtype[Any]:
    try:
        dtype = np.dtype(given)
    except Exception:  # NumPy raises TypeError, ValueError, SyntaxError and others on what names no type
        dtype = None
    if given is None or dtype is None or dtype.name not in types:  # NumPy takes None for float64
        got = shown(given) if given is None or dtype is None else dtype.name
        raise RoiAlignError("dtype", "type", f"must be {' or '.join(types)}, got {got}")
    return dtype
