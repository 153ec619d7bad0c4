"""Expands MultiScaleRoiAlign and PasteMasks into ONNX's own operators, for runtimes without the private ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnx_roialign.definition.element_types import coordinate_type
from onnx_roialign.definition.pyramid import Pyramid
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.ops import multiscale_roi_align, paste_masks
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.nodes import make_roi_align, node_name, read_any

__all__ = ["FIRST_OPSET", "can_be_expanded", "expansion", "with_levels"]

FIRST_OPSET = 11  # the first with ScatterND, Range, and Equal of floats

DType = np.dtype[Any]


def can_be_expanded(node: onnx.NodeProto) -> bool:
    """Whether `expansion` is for this node."""
    return node.domain == private_op.DOMAIN and node.op_type in _EXPANSIONS


def expansion(
    node: onnx.NodeProto, opset: int | None, types: Mapping[str, int], prefix: str
) -> list[onnx.NodeProto] | None:
    """Nodes of ONNX that compute the same as a MultiScaleRoiAlign or PasteMasks node; None for any other node.

    A RoiAlign that ONNX cannot express at this opset becomes the private onnx_roialign::AnyRoiAlign.

    Args:
        node: the node, without references to attributes of a function.
        opset: the opset of ONNX's own domain; None: the model does not import it.
        types: the known element types of values (TensorProto.DataType); an unknown one counts as float32.
        prefix: the beginning of the names of new values, which no other name has.

    Raises:
        RoiAlignError: the opset is below 11, or the node breaks a rule.
    """
    expand = _EXPANSIONS.get(node.op_type) if node.domain == private_op.DOMAIN else None
    if expand is None:
        return None
    nodes = _begun(node, opset, types, prefix)
    expand(nodes, node)
    nodes.protos[-1].name = node.name
    return nodes.protos


def with_levels(node: onnx.NodeProto, opset: int | None, types: Mapping[str, int], prefix: str) -> list[onnx.NodeProto]:
    """Nodes that compute the levels of a MultiScaleRoiAlign that has no such input, and it with that input.

    Args and errors are those of `expansion`.
    """
    nodes = _begun(node, opset, types, prefix)
    real, area = _areas(nodes, node.input[0])
    smallest = nodes.constant(read_any(node, opset).rule.smallest_areas(real), real)
    column = nodes.reshape(area, -1, 1)
    reached = nodes.add("Or", nodes.add("Greater", column, smallest), nodes.add("Equal", column, smallest))
    ones = nodes.add("Cast", reached, to=TensorProto.INT64)
    if nodes.opset < 13:  # axes became an input
        count = nodes.add("ReduceSum", ones, axes=[1], keepdims=0)
    else:
        count = nodes.add("ReduceSum", ones, nodes.constant([1]), keepdims=0)
    levels = nodes.add("Sub", count, nodes.constant(1))
    given = onnx.NodeProto()
    given.CopyFrom(node)
    given.input[2] = levels
    return [*nodes.protos, given]


def _begun(node: onnx.NodeProto, opset: int | None, types: Mapping[str, int], prefix: str) -> _Nodes:
    if opset is None or opset < FIRST_OPSET:
        got = "none" if opset is None else f"opset {opset}"
        raise RoiAlignError(
            node.op_type,
            "unsupported",
            f"must be in a model of opset {FIRST_OPSET} at least to be written in ONNX's own operators, got {got}",
        ).in_node(node_name(node))
    return _Nodes(prefix, opset, types)


class _Nodes:
    """Collects nodes; each method returns the name of the value that it adds."""

    def __init__(self, prefix: str, opset: int, types: Mapping[str, int]) -> None:
        self.protos: list[onnx.NodeProto] = []
        self.opset = opset
        self._prefix = prefix
        self._types = types
        self._constants: dict[tuple[Any, ...], str] = {}

    def dtype(self, name: str) -> DType:
        return np.dtype(helper.tensor_dtype_to_np_dtype(self._types.get(name) or TensorProto.FLOAT))

    def fresh(self) -> str:
        """The name of the next node's output."""
        return f"{self._prefix}{len(self.protos)}"

    def add(self, op_type: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or self.fresh()
        self.protos.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
        return output

    def constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike = np.int64) -> str:
        array = np.asarray(values, dtype)
        key = (array.tobytes(), array.dtype.str, array.shape)
        if key not in self._constants:
            self._constants[key] = self.add("Constant", value=numpy_helper.from_array(array))
        return self._constants[key]

    def cast(self, value: str, have: DType, want: DType) -> str:
        return value if have == want else self.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(want))

    def column(self, boxes: str, index: int) -> str:
        return self.add("Gather", boxes, self.constant(index), axis=1)

    def size(self, value: str, axis: int) -> str:
        """The size of an axis, as a vector with one element."""
        return self.add("Gather", self.add("Shape", value), self.constant([axis]), axis=0)

    def reshape(self, value: str, *sizes: int) -> str:
        return self.add("Reshape", value, self.constant(sizes))


def _expand_pyramid(nodes: _Nodes, node: onnx.NodeProto) -> None:
    pyramid: Pyramid = read_any(node, nodes.opset)
    rois, batch_indices, levels, *features = node.input
    attributes, dtype = pyramid.attributes, nodes.dtype(features[0])
    shape = (
        nodes.size(rois, 0),
        nodes.size(features[0], 1),
        nodes.constant([attributes.output_height, attributes.output_width]),
    )
    zero = numpy_helper.from_array(np.zeros(1, dtype))
    Y = nodes.add("ConstantOfShape", nodes.add("Concat", *shape, axis=0), value=zero)
    mask = _levels_by_input(nodes, levels) if levels else _levels_by_area(nodes, rois, pyramid)
    for level, X in enumerate(features):
        found = nodes.add("NonZero", mask(level))
        rows = nodes.reshape(found, -1)
        selected = [nodes.add("Gather", table, rows, axis=0) for table in (rois, batch_indices)]
        pooled = _pool(nodes, (X, *selected), pyramid, level, same_type=nodes.dtype(rois) == dtype)
        last = node.output[0] if level == len(features) - 1 else ""
        Y = nodes.add("ScatterND", Y, nodes.reshape(found, -1, 1), pooled, output=last)


def _levels_by_input(nodes: _Nodes, levels: str) -> Callable[[int], str]:
    return lambda level: nodes.add("Equal", levels, nodes.constant(level))


def _levels_by_area(nodes: _Nodes, rois: str, pyramid: Pyramid) -> Callable[[int], str]:
    """Masks that select the RoIs of each level. Every comparison with NaN is false."""
    real, area = _areas(nodes, rois)
    smallest = pyramid.rule.smallest_areas(real)

    def mask(level: int) -> str:
        if level >= len(smallest):
            return nodes.add("Less", area, area)  # selects no RoI
        least = nodes.constant(smallest[level], real)
        enough = nodes.add("Or", nodes.add("Greater", area, least), nodes.add("Equal", area, least))
        if level + 1 == len(smallest):
            return enough
        return nodes.add("And", enough, nodes.add("Less", area, nodes.constant(smallest[level + 1], real)))

    return mask


def _areas(nodes: _Nodes, rois: str) -> tuple[DType, str]:
    """The type in which areas are computed, and those of the RoIs, (num_rois,)."""
    have = nodes.dtype(rois)
    real = np.dtype(coordinate_type(have))
    wide = nodes.cast(rois, have, real)
    x1, y1, x2, y2 = (nodes.column(wide, i) for i in range(4))
    return real, nodes.add("Mul", nodes.add("Sub", x2, x1), nodes.add("Sub", y2, y1))


def _pool(nodes: _Nodes, inputs: tuple[str, ...], pyramid: Pyramid, level: int, *, same_type: bool) -> str:
    output = nodes.fresh()
    node = make_roi_align(inputs, output, pyramid.at(level), nodes.opset, name=output, same_type=same_type)
    nodes.protos.append(node)
    return output


def _expand_masks(nodes: _Nodes, node: onnx.NodeProto) -> None:
    """Bilinear interpolation as two matrix products: weights of rows, times the mask, times weights of columns.

    No mask is padded, because a border of zeros does not change a sum.
    """
    read_any(node, nodes.opset)
    masks, boxes, height, width = node.input
    have = nodes.dtype(masks)
    real = np.dtype(coordinate_type(have))
    count, number = nodes.size(masks, 0), nodes.size(masks, 3)
    side = nodes.cast(nodes.reshape(number), np.dtype(np.int64), np.dtype(np.float32))
    padded = nodes.add("Add", side, nodes.constant(2, np.float32))
    growth = nodes.cast(nodes.add("Div", padded, side), np.dtype(np.float32), real)
    scale = nodes.cast(padded, np.dtype(np.float32), real)
    corners = nodes.cast(boxes, nodes.dtype(boxes), real)
    one = nodes.constant(1)
    numbers = nodes.add("Range", one, nodes.add("Add", nodes.reshape(number), one), one)
    sizes = growth, scale, nodes.cast(numbers, np.dtype(np.int64), real)
    x, y = (
        _axis_weights(nodes, (nodes.column(corners, axis), nodes.column(corners, axis + 2)), length, sizes, real)
        for axis, length in ((0, width), (1, height))
    )
    flat = nodes.cast(nodes.add("Reshape", masks, nodes.add("Concat", count, number, number, axis=0)), have, real)
    pasted = nodes.add("MatMul", nodes.add("MatMul", y, flat), nodes.add("Transpose", x, perm=[0, 2, 1]))
    dims = (count, nodes.constant([1]), nodes.reshape(height, 1), nodes.reshape(width, 1))
    shape = nodes.add("Concat", *dims, axis=0)
    nodes.add("Reshape", nodes.cast(pasted, real, have), shape, output=node.output[0])


def _axis_weights(nodes: _Nodes, ends: tuple[str, str], length: str, sizes: tuple[str, str, str], real: DType) -> str:
    """The weights of a mask's pixels for each pixel of the image, (N, length, M); 0 outside the box."""
    growth, scale, pixels = sizes
    number = {name: nodes.constant(value, real) for name, value in (("0", 0), ("half", 0.5), ("1", 1))}
    low, high = ends
    half = nodes.add("Mul", nodes.add("Mul", nodes.add("Sub", high, low), number["half"]), growth)
    centre = nodes.add("Mul", nodes.add("Add", high, low), number["half"])
    first, last = (nodes.reshape(_whole(nodes, nodes.add(op, centre, half), real), -1, 1) for op in ("Sub", "Add"))
    size = nodes.add("Max", nodes.add("Add", nodes.add("Sub", last, first), number["1"]), number["1"])
    at = nodes.cast(
        nodes.add("Range", nodes.constant(0), nodes.reshape(length), nodes.constant(1)), np.dtype(np.int64), real
    )
    offset = nodes.add("Add", nodes.add("Sub", at, first), number["half"])
    position = nodes.add("Sub", nodes.add("Div", offset, nodes.add("Div", size, scale)), number["half"])
    edge = nodes.add("Sub", scale, number["1"])
    inside = nodes.add("Min", nodes.add("Max", position, number["0"]), edge)
    wide = nodes.add("Reshape", inside, nodes.constant([0, 0, 1]))
    distance = nodes.add("Abs", nodes.add("Sub", wide, pixels))
    weight = nodes.add("Max", nodes.add("Sub", number["1"], distance), number["0"])
    outside = nodes.add("Or", nodes.add("Less", at, first), nodes.add("Greater", at, last))
    kept = nodes.cast(nodes.add("Not", outside), np.dtype(np.bool_), real)
    return nodes.add("Mul", weight, nodes.add("Reshape", kept, nodes.constant([0, 0, 1])))


def _whole(nodes: _Nodes, value: str, real: DType) -> str:
    """The value rounded to an integer towards zero."""
    whole = nodes.add("Cast", value, to=TensorProto.INT64)
    return nodes.cast(whole, np.dtype(np.int64), real)


_EXPANSIONS: Mapping[str, Callable[[_Nodes, onnx.NodeProto], None]] = {
    multiscale_roi_align.OP_TYPE: _expand_pyramid,
    paste_masks.OP_TYPE: _expand_masks,
}
