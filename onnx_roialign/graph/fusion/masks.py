"""Finds mask pasting as torchvision exports it: a Loop that resizes each mask to its box and pastes it."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_roialign.graph.fusion.region import free_values, moved_from, nearest, through
from onnx_roialign.graph.reading.value_types import graphs
from onnx_roialign.graph.reading.values import constant, integers

__all__ = ["Pasting", "pastings"]


@dataclass(frozen=True, slots=True)
class Pasting:
    """A Loop that pastes masks.

    Attributes:
        masks: the masks before padding, (N, 1, M, M).
        boxes: the boxes, (N, 4).
        height: the height of the images, a scalar value or a number.
        width: the width of the images, a scalar value or a number.
        end: the pasted images, (N, height, width) or (N, 1, height, width).
        has_channel: whether `end` has the channel axis.
    """

    masks: ir.Value
    boxes: ir.Value
    height: ir.Value | int
    width: ir.Value | int
    end: ir.Value
    has_channel: bool


def pastings(graph: ir.Graph) -> Iterator[Pasting | tuple[ir.Value, str]]:
    """Every Loop of a graph that resizes and concatenates; if it is no mask pasting, its output and the reason."""
    for node in graph:
        if node.op_type != "Loop" or node.domain != "" or len(node.outputs) != 1 or len(node.inputs) != 3:
            continue
        bodies = graphs(node)
        if len(bodies) != 1:
            continue
        (body,) = bodies
        operators = {inner.op_type for inner in body}
        if not {"Resize", "Concat"} <= operators:
            continue
        found = _pasting(node, body)
        yield found if isinstance(found, Pasting) else (node.outputs[0], found)


def _pasting(node: ir.Node, body: ir.Graph) -> Pasting | str:
    sizes = _sizes(node.inputs[2])
    if sizes is None:
        return "the Loop does not start with an empty tensor of images of known height and width"
    read = [value for value in free_values(body) if constant(value) is None]
    padded = [value for value in read if (source := value.producer()) is not None and source.op_type == "Pad"]
    if len(padded) != 1:
        return "the Loop does not read the output of exactly one Pad"
    masks = _data(padded[0])
    boxes = None if masks is None else _boxes(read, padded[0], moved_from(masks))
    if masks is None or boxes is None:
        return "the coordinates of its boxes are not columns of one tensor"
    end, has_channel = node.outputs[0], False
    users = list(end.uses())
    if len(users) == 1 and not end.is_graph_output():
        user = users[0][0]
        if user.op_type == "Unsqueeze" and _axes(user) == [1]:
            end, has_channel = user.outputs[0], True
    return Pasting(masks, boxes, *sizes, end, has_channel)


def _sizes(start: ir.Value | None) -> tuple[ir.Value | int, ir.Value | int] | None:
    """Height and width of the empty tensor of images, (0, height, width), that a Loop starts with."""
    numbers = constant(start)
    if numbers is not None:
        return (numbers.shape[1], numbers.shape[2]) if numbers.ndim == 3 and numbers.shape[0] == 0 else None
    maker = None if start is None else start.producer()
    if maker is None or maker.op_type != "ConstantOfShape":
        return None
    shape = constant(maker.inputs[0])
    if shape is not None:
        return (int(shape[1]), int(shape[2])) if shape.shape == (3,) and shape[0] == 0 else None
    join = None if maker.inputs[0] is None else maker.inputs[0].producer()
    if join is None or join.op_type != "Concat" or len(join.inputs) != 3:
        return None
    none, height, width = (_scalar(value) for value in join.inputs)
    return None if none != 0 or height is None or width is None else (height, width)


def _scalar(value: ir.Value | None) -> ir.Value | int | None:
    if value is None:
        return None
    number = through(value, lambda node: node.op_type in ("Unsqueeze", "Reshape"))
    numbers = constant(number)
    return number if numbers is None else int(numbers.reshape(-1)[0]) if numbers.size == 1 else None


def _data(value: ir.Value) -> ir.Value | None:
    node = value.producer()
    return None if node is None else node.inputs[0]


def _boxes(read: list[ir.Value], padded: ir.Value, masks: Set[ir.Value]) -> ir.Value | None:
    """The tensor whose columns the other integers that the Loop reads are computed from.

    These integers also depend on the size of the masks, which is not a box.
    """
    tables: dict[ir.Value, None] = {}
    for value in read:
        node = value.producer()
        if value is not padded and node is not None and node.op_type == "Cast":
            found, _ = nearest(value, _Tables(masks))
            tables |= dict.fromkeys(table for table in found if table not in masks)
    return next(iter(tables)) if len(tables) == 1 else None


class _Tables:
    """The set of values from which a node takes columns, and the values of `more`."""

    def __init__(self, more: Set[ir.Value]) -> None:
        self._more = more

    def __contains__(self, value: object) -> bool:
        return isinstance(value, ir.Value) and (
            value in self._more
            or any(
                node.op_type in ("Gather", "Split", "Slice") and place == 0 and _takes_columns(node)
                for node, place in value.uses()
            )
        )


def _takes_columns(node: ir.Node) -> bool:
    if node.op_type == "Slice":
        axes = constant(node.inputs[3]) if len(node.inputs) > 3 else None
        return axes is not None and axes.tolist() in ([1], [-1])
    return integers(node, "axis") in ((1,), (-1,))


def _axes(node: ir.Node) -> list[int]:
    stated = integers(node, "axes")
    if stated is not None:
        return list(stated)
    numbers = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    return [] if numbers is None else np.asarray(numbers).reshape(-1).tolist()
