"""Mask pasting as torchvision exports it: a Loop over masks that resizes each to its box and lays it into an image."""

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
        masks: before they are padded, (N, 1, M, M).
        boxes: (N, 4).
        height: of the images, a scalar or its number.
        width: likewise.
        end: the images, (N, height, width), or (N, 1, height, width).
        has_channel: whether it is the latter.
    """

    masks: ir.Value
    boxes: ir.Value
    height: ir.Value | int
    width: ir.Value | int
    end: ir.Value
    has_channel: bool


def pastings(graph: ir.Graph) -> Iterator[Pasting | tuple[ir.Value, str]]:
    """Every Loop of a graph that resizes and gathers images; the output and the reason of one that is none."""
    for node in graph:
        if node.op_type != "Loop" or node.domain != "" or len(node.outputs) != 1 or len(node.inputs) != 3:
            continue
        (body,) = graphs(node)
        operators = {one.op_type for one in body}
        if not {"Resize", "Concat"} <= operators:
            continue
        found = _pasting(node, body)
        yield found if isinstance(found, Pasting) else (node.outputs[0], found)


def _pasting(node: ir.Node, body: ir.Graph) -> Pasting | str:
    sizes = _sizes(node.inputs[2])
    if sizes is None:
        return "its images do not start with none, of sizes that show"
    read = [value for value in free_values(body) if constant(value) is None]
    padded = [value for value in read if (made := value.producer()) is not None and made.op_type == "Pad"]
    if len(padded) != 1:
        return "its masks are not padded in one place"
    masks = _data(padded[0])
    boxes = None if masks is None else _boxes(read, padded[0], moved_from(masks))
    if masks is None or boxes is None:
        return "its boxes are not columns of one tensor"
    end, has_channel = node.outputs[0], False
    users = list(end.uses())
    if len(users) == 1 and not end.is_graph_output():
        user = users[0][0]
        if user.op_type == "Unsqueeze" and _axes(user) == [1]:
            end, has_channel = user.outputs[0], True
    return Pasting(masks, boxes, *sizes, end, has_channel)


def _sizes(start: ir.Value | None) -> tuple[ir.Value | int, ir.Value | int] | None:
    """Height and width of the images that a Loop starts with, of which there are none."""
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
    number = through(value, lambda one: one.op_type in ("Unsqueeze", "Reshape"))
    numbers = constant(number)
    return number if numbers is None else int(numbers.reshape(-1)[0]) if numbers.size == 1 else None


def _data(value: ir.Value) -> ir.Value | None:
    node = value.producer()
    return None if node is None else node.inputs[0]


def _boxes(read: list[ir.Value], padded: ir.Value, masks: Set[ir.Value]) -> ir.Value | None:
    """The tensor of which the columns are taken, that the Loop's other integers come from.

    They come from the size of the masks too, which says nothing of boxes.
    """
    tables: dict[ir.Value, None] = {}
    for value in read:
        made = value.producer()
        if value is not padded and made is not None and made.op_type == "Cast":
            hit, _ = nearest(value, _Tables(masks))
            tables |= dict.fromkeys(one for one in hit if one not in masks)
    return next(iter(tables)) if len(tables) == 1 else None


class _Tables:
    """The set of values of which a node takes a column, and some others."""

    def __init__(self, others: Set[ir.Value]) -> None:
        self._others = others

    def __contains__(self, value: object) -> bool:
        return isinstance(value, ir.Value) and (
            value in self._others
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
