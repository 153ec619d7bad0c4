"""Finds where boxes are rounded to a 16-bit type before a RoiAlign, and which of these Casts can be removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnx_roialign.graph.reading.sites import Site
from onnx_roialign.graph.reading.stride import extent
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.reading.values import constant, cut, integer, settle

__all__ = ["FINE", "NARROW", "Narrow", "Way", "exact_up_to"]

# 16-bit types, and the number of bits of their fractions.
NARROW = {ir.DataType.FLOAT16: 10, ir.DataType.BFLOAT16: 7}

# A type that cannot represent boxes to this precision, in pixels of the image, is too coarse.
FINE = 1 / 8

_FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE, *NARROW)

# Operators that only move the elements of their data (all inputs of a Concat, the first input of the others).
_MOVES = ("Concat", "Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")

# A value and one of its columns; None: all columns.
_Key = tuple[ir.Value, int | None]


@dataclass(frozen=True, slots=True)
class Way:
    """The 16-bit types of elements on their way to a value, through nodes that move them or change their float type.

    Attributes:
        types: the 16-bit types.
        rounded: whether a Cast rounded the elements from a wider type to one of them.
    """

    types: frozenset[ir.DataType] = frozenset()
    rounded: bool = False


class Narrow:
    """Finds the `Way` of boxes to a model's RoiAligns. Results are kept, so the model must not change in between."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._ways: dict[_Key, Way] = {}

    def boxes(self, site: Site) -> Way:
        """Returns the union of the ways of the four columns of a RoiAlign's boxes."""
        rois = site.input("rois")
        return Way() if rois is None else _joined([self._way((rois, column)) for column in range(4)])

    def coarse(self, site: Site) -> tuple[ir.DataType, ...]:
        """Returns the 16-bit types on the way of the boxes that cannot represent them to FINE pixels of the image.

        If the size of the image is unknown, it returns all 16-bit types on the way.
        """
        types, longest = self.boxes(site).types, extent(site, self._known)
        return tuple(kind for kind in NARROW if kind in types and (longest is None or longest > exact_up_to(kind)))

    def way(self, value: ir.Value) -> Way:
        """Returns the union of the ways of all elements of a value."""
        return self._way((value, None))

    def type(self, value: ir.Value | None) -> ir.DataType:
        """Returns the element type of a value; UNDEFINED if it is unknown, as in functions."""
        return ir.DataType(self._known.type(value))

    def moved(self, node: ir.Node) -> list[ir.Value] | None:
        """Returns the inputs whose elements a node moves or casts to another float type; None for any other node."""
        if node.domain not in ("", "ai.onnx") or not node.inputs:
            return None
        if node.op_type == "Cast":
            return [] if node.inputs[0] is None or cast_type(node) not in _FLOATS else [node.inputs[0]]
        if node.op_type not in _MOVES:
            return None
        data = node.inputs if node.op_type == "Concat" else node.inputs[:1]
        return [value for value in data if value is not None]

    def _way(self, key: _Key) -> Way:
        return settle(self._ways, key, self._before, self._decide)

    def _decide(self, key: _Key) -> Way:
        value, node = key[0], key[0].producer()
        before = _joined([self._ways[source] for source in self._before(key) if source in self._ways])
        kind = self.type(value)
        if node is not None and node.op_type == "Cast" and self._before(key):
            kind = cast_type(node)
            if kind in NARROW and self.type(node.inputs[0]) not in NARROW:
                return Way(before.types | {kind}, True)
        return Way(before.types | {kind}, before.rounded) if kind in NARROW else before

    def _before(self, key: _Key) -> list[_Key]:
        """Returns the values and columns from which a node takes these elements."""
        value, column = key
        node = value.producer()
        data = None if node is None else self.moved(node)
        if node is None or not data:
            return []
        if column is None or node.op_type in ("Cast", "Identity"):
            return [(value, column) for value in data]
        if node.op_type == "Concat":
            return self._joined_columns(node, data, column)
        before = cut(node, value, column)
        if before is not None:
            return [(data[0], before)]
        return [(data[0], column if _takes_rows(node) else None)]

    def _joined_columns(self, node: ir.Node, data: Sequence[ir.Value], column: int) -> list[_Key]:
        """Returns the input of a Concat that has a column; all inputs if that is unknown."""
        axis = integer(node, "axis")
        shapes = [self._known.shape(value) for value in data]
        ranks = {len(shape) for shape in shapes if shape is not None} or {2}
        if axis == 0 and ranks != {1}:
            return [(value, column) for value in data]
        if axis in (-1, max(ranks) - 1):
            for value, shape in zip(data, shapes, strict=True):
                width = shape[-1] if shape else None
                if not isinstance(width, int):
                    break
                if column < width:
                    return [(value, column)]
                column -= width
        return [(value, None) for value in data]


def exact_up_to(kind: ir.DataType) -> float:
    """Returns the number up to which a 16-bit type represents every multiple of FINE."""
    return FINE * 2.0 ** (NARROW[kind] + 1)


def cast_type(node: ir.Node) -> ir.DataType:
    """Returns the type to which a Cast converts; UNDEFINED if it has no valid attribute."""
    attribute = node.attributes.get("to")
    if attribute is None or attribute.is_ref() or attribute.type != ir.AttributeType.INT:
        return ir.DataType.UNDEFINED
    known = {kind.value for kind in ir.DataType}
    return ir.DataType(attribute.as_int()) if attribute.as_int() in known else ir.DataType.UNDEFINED


def _joined(ways: Sequence[Way]) -> Way:
    return Way(frozenset().union(*(way.types for way in ways)), any(way.rounded for way in ways))


def _takes_rows(node: ir.Node) -> bool:
    """Returns whether the node takes whole rows of its data, without a change of the last axis."""
    if node.op_type in ("Gather", "Split"):
        return integer(node, "axis") == 0
    if node.op_type != "Slice":
        return False
    if "starts" in node.attributes:  # opset 9 and older
        return False
    axes = constant(node.inputs[3]) if len(node.inputs) > 3 else None
    return axes is not None and axes.ravel().tolist() == [0]
