"""Where the outputs of several RoiAligns are merged into one tensor: scattered, added, selected or put in order."""

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
    """A RoiAlign of which the output is merged with others.

    Attributes:
        node: the RoiAlign.
        masks: by which its output is multiplied or selected.
        placed: whether rows that are not its own get nothing of it.
        multiplied: whether that is so because they are multiplied by 0.
    """

    node: ir.Node
    masks: tuple[ir.Value, ...] = ()
    placed: bool = False
    multiplied: bool = False


@dataclass(frozen=True, slots=True)
class Merge:
    """A value that holds the outputs of two RoiAligns at least.

    Attributes:
        end: the value.
        parts: the RoiAligns.
        inner: merges that are merged in it, of two RoiAligns at least each, where there are several.
        rows: the node that cuts rows off, which the end comes from; None where there is none.
        in_order: whether rows are joined level by level and then put in order, so that those of no level are lost.
    """

    end: ir.Value
    parts: tuple[Part, ...]
    inner: tuple[Merge, ...]
    rows: ir.Node | None = None
    in_order: bool = False


def merges(graph: ir.Graph) -> list[Merge]:
    """Every merge of a graph that is in no other one, in the order of the graph."""
    found: dict[ir.Value, tuple[Part, ...]] = {}
    joins: dict[ir.Value, Merge] = {}  # the last merge that a value has come from
    last: dict[ir.Value, Merge] = {}
    for node in graph:
        parts, output = _parts(node, found), node.outputs[0]
        if not parts:
            continue
        found[output] = parts
        before = list(dict.fromkeys(joins[one] for one in node.inputs if one is not None and one in joins))
        for merge in before:
            last.pop(merge.end, None)
        if len(parts) > max(len(found.get(one, ())) for one in node.inputs if one is not None) > 0:
            inner = tuple(merge for merge in before if len(before) > 1)
            joins[output] = Merge(output, parts, inner)
        elif before:
            joins[output] = before[0]
        if output in joins:
            last[joins[output].end] = joins[output]
    return [whole for merge in last.values() for whole in _ended(merge)]


def _ended(merge: Merge) -> Iterator[Merge]:
    """With what puts rows in order, and cuts some off; of a Concat that nothing puts in order, what it joins."""
    producer = merge.end.producer()
    end = merge.end
    if producer is not None and producer.op_type == "Concat":
        ordered = [user.outputs[0] for user, place in end.uses() if place == 0 and _puts_in_order(user)]
        if len(ordered) != 1:
            for inner in merge.inner:
                yield from _ended(inner)
            return
        end = ordered[0]
    in_order = end is not merge.end
    users = [user for user, _ in end.uses()]
    if len(users) == 1 and not end.is_graph_output() and _cuts_rows(users[0]):
        yield replace(merge, end=users[0].outputs[0], rows=users[0], in_order=in_order)
    else:
        yield replace(merge, end=end, in_order=in_order)


def _parts(node: ir.Node, found: dict[ir.Value, tuple[Part, ...]]) -> tuple[Part, ...]:
    """The RoiAligns that a node's first output holds the outputs of."""
    if is_roi_align(node) or is_private(node):
        return (Part(node),)
    if node.domain != "" or len(node.outputs) != 1:
        return ()
    given = [found.get(one, ()) if one is not None else () for one in node.inputs]
    if not any(given):
        return ()
    if node.op_type in _AROUND_POOLED:
        return given[0]
    if node.op_type in _SCATTERS and len(given) == 3:
        return given[0] + tuple(replace(part, placed=True) for part in given[2])
    if node.op_type == "Mul":
        return _masked(node, given)
    if node.op_type in ("Add", "Sum"):
        return tuple(part for parts in given for part in parts if part.placed) if _all_placed(given) else ()
    if node.op_type == "Where":
        mask = mask_of(node.inputs[0])
        return () if mask is None else (*_of_mask(given[1], mask), *given[2])
    if node.op_type == "Concat" and integer(node, "axis") == 0:
        return tuple(part for parts in given for part in parts) if all(given) else ()
    if _puts_in_order(node):
        return tuple(replace(part, placed=True) for part in given[0])
    return given[0] if _cuts_rows(node) else ()


def _masked(node: ir.Node, given: list[tuple[Part, ...]]) -> tuple[Part, ...]:
    for place, parts in enumerate(given):
        mask = mask_of(node.inputs[1 - place])
        if parts and mask is not None:
            return tuple(replace(part, multiplied=True) for part in _of_mask(parts, mask))
    return ()


def _of_mask(parts: tuple[Part, ...], mask: ir.Value) -> tuple[Part, ...]:
    return tuple(replace(part, masks=(*part.masks, mask), placed=True) for part in parts)


def _all_placed(given: list[tuple[Part, ...]]) -> bool:
    return all(part.placed for parts in given for part in parts)


def _puts_in_order(node: ir.Node) -> bool:
    """Whether it takes rows by an index that is computed."""
    if node.op_type not in ("Gather", "GatherND") or node.domain != "" or len(node.inputs) != 2:
        return False
    return integer(node, "axis") == 0 and integer(node, "batch_dims") == 0 and constant(node.inputs[1]) is None


def _cuts_rows(node: ir.Node) -> bool:
    """Whether it is a Slice of the first axis alone by numbers."""
    if node.op_type != "Slice" or node.domain != "" or not 4 <= len(node.inputs) <= 5:
        return False
    numbers = [constant(one) for one in node.inputs[1:]]
    return (
        all(one is not None and one.shape == (1,) for one in numbers)
        and node.inputs[3] is not None
        and (
            int(numbers[2][0]) == 0  # type: ignore[index]
        )
    )
