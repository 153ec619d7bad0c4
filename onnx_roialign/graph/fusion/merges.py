"""Finds the values into which the outputs of several RoiAligns are merged: by scatter, sum, selection or reordering."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import onnx_ir as ir

from onnx_roialign.graph.fusion.rows import mask_of
from onnx_roialign.graph.reading.values import constant, integer
from onnx_roialign.ops.nodes import is_private, is_roi_align

__all__ = ["Merge", "Part", "merges"]

_SCATTERS = ("ScatterElements", "Scatter", "ScatterND")
_AROUND_POOLED = ("Cast", "Identity", "Reshape")


@dataclass(frozen=True, slots=True)
class Part:
    """A RoiAlign whose output is merged with the outputs of others.

    Attributes:
        node: the RoiAlign.
        masks: the masks that its output is multiplied or selected by.
        placed: whether its output reaches only the rows of its own RoIs.
        multiplied: whether a multiplication by 0 clears the other rows.
    """

    node: ir.Node
    masks: tuple[ir.Value, ...] = ()
    placed: bool = False
    multiplied: bool = False


@dataclass(frozen=True, slots=True)
class Merge:
    """A value that holds the outputs of at least two RoiAligns.

    Attributes:
        end: the value.
        parts: the RoiAligns.
        inner: the merges that this one merges, where there are several of them.
        rows: the Slice of rows whose output `end` is; None where there is none.
        in_order: whether the rows are concatenated level by level and then reordered, which loses rows of no level.
    """

    end: ir.Value
    parts: tuple[Part, ...]
    inner: tuple[Merge, ...]
    rows: ir.Node | None = None
    in_order: bool = False


def merges(graph: ir.Graph) -> list[Merge]:
    """Every merge of a graph that is not part of another, in the order of the graph."""
    found: dict[ir.Value, tuple[Part, ...]] = {}
    joins: dict[ir.Value, Merge] = {}  # the last merge that a value depends on
    last: dict[ir.Value, Merge] = {}
    for node in graph:
        inputs = [value for value in node.inputs if value is not None]
        if not inputs or not node.outputs:
            continue
        parts, output = _parts(node, found), node.outputs[0]
        if not parts:
            continue
        found[output] = parts
        before = list(dict.fromkeys(joins[value] for value in inputs if value in joins))
        for merge in before:
            last.pop(merge.end, None)
        if len(parts) > max(len(found.get(value, ())) for value in inputs) > 0:
            inner = tuple(merge for merge in before if len(before) > 1)
            joins[output] = Merge(output, parts, inner)
        elif before:
            joins[output] = before[0]
        if output in joins:
            last[joins[output].end] = joins[output]
    return [complete for merge in last.values() for complete in _extended(merge)]


def _extended(merge: Merge) -> Iterator[Merge]:
    """The merge including the nodes that reorder its rows and slice them; a Concat without reordering: its inputs."""
    producer = merge.end.producer()
    end = merge.end
    if producer is not None and producer.op_type == "Concat":
        ordered = [user.outputs[0] for user, place in end.uses() if place == 0 and _reorders(user)]
        if len(ordered) != 1:
            for inner in merge.inner:
                yield from _extended(inner)
            return
        end = ordered[0]
    in_order = end is not merge.end
    users = [user for user, _ in end.uses()]
    if len(users) == 1 and not end.is_graph_output() and _slices_rows(users[0]):
        yield replace(merge, end=users[0].outputs[0], rows=users[0], in_order=in_order)
    else:
        yield replace(merge, end=end, in_order=in_order)


def _parts(node: ir.Node, found: dict[ir.Value, tuple[Part, ...]]) -> tuple[Part, ...]:
    """The RoiAligns whose outputs a node's first output holds."""
    if is_roi_align(node) or is_private(node):
        return (Part(node),)
    if node.domain != "" or len(node.outputs) != 1:
        return ()
    inputs = [found.get(value, ()) if value is not None else () for value in node.inputs]
    if not any(inputs):
        return ()
    if node.op_type in _AROUND_POOLED:
        return inputs[0]
    if node.op_type in _SCATTERS and len(inputs) == 3:
        return inputs[0] + tuple(replace(part, placed=True) for part in inputs[2])
    if node.op_type == "Mul":
        return _masked(node, inputs)
    if node.op_type in ("Add", "Sum"):
        return tuple(part for parts in inputs for part in parts if part.placed) if _all_placed(inputs) else ()
    if node.op_type == "Where":
        mask = mask_of(node.inputs[0])
        return () if mask is None else (*_of_mask(inputs[1], mask), *inputs[2])
    if node.op_type == "Concat" and integer(node, "axis") == 0:
        return tuple(part for parts in inputs for part in parts) if all(inputs) else ()
    if _reorders(node):
        return tuple(replace(part, placed=True) for part in inputs[0])
    return inputs[0] if _slices_rows(node) else ()


def _masked(node: ir.Node, inputs: list[tuple[Part, ...]]) -> tuple[Part, ...]:
    for place, parts in enumerate(inputs):
        mask = mask_of(node.inputs[1 - place])
        if parts and mask is not None:
            return tuple(replace(part, multiplied=True) for part in _of_mask(parts, mask))
    return ()


def _of_mask(parts: tuple[Part, ...], mask: ir.Value) -> tuple[Part, ...]:
    return tuple(replace(part, masks=(*part.masks, mask), placed=True) for part in parts)


def _all_placed(inputs: list[tuple[Part, ...]]) -> bool:
    return all(part.placed for parts in inputs for part in parts)


def _reorders(node: ir.Node) -> bool:
    """Whether the node takes rows by a computed index."""
    if node.op_type not in ("Gather", "GatherND") or node.domain != "" or len(node.inputs) != 2:
        return False
    return integer(node, "axis") == 0 and integer(node, "batch_dims") == 0 and constant(node.inputs[1]) is None


def _slices_rows(node: ir.Node) -> bool:
    """Whether the node is a Slice of the first axis alone with constant bounds."""
    if node.op_type != "Slice" or node.domain != "" or not 4 <= len(node.inputs) <= 5:
        return False
    bounds = [constant(value) for value in node.inputs[1:]]
    axes = bounds[2]
    return all(bound is not None and bound.shape == (1,) for bound in bounds) and axes is not None and int(axes[0]) == 0
