"""What a value of a graph is, read off the nodes that make it: a constant, all zeros, columns of another value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

__all__ = ["Column", "ancestors", "column", "constant", "is_zero", "unshifted"]

# Nothing that says how boxes are laid out is larger; weights are, and need not be read from their file.
_LARGEST = 65536

# Operators that only move, repeat or retype the elements of their first input: zeros stay zeros.
_MOVES = (
    *("Cast", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Transpose"),
    "Unsqueeze",
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a matrix: column ``index`` of ``root``, plus ``shift``."""

    root: ir.Value
    index: int
    shift: float


def constant(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """The value's numbers where it is an initializer or a Constant; None where it is not, or is large."""
    if value is None:
        return None
    try:
        tensor = ir.convenience.get_const_tensor(value)
        if tensor is None or tensor.size > _LARGEST:
            return None
        return np.asarray(tensor.numpy())
    except (ValueError, TypeError, OSError):  # a Constant of text, or data that is not there
        return None


def is_zero(value: ir.Value | None) -> bool:
    """Whether every element is zero, whatever the inputs; False where that does not show."""
    if value is None:
        return False
    numbers = constant(value)
    if numbers is not None:
        return numbers.dtype.kind in "biuf" and numbers.size > 0 and not numbers.any()
    node = value.producer()
    if node is None or node.domain != "":
        return False
    if node.op_type == "ConstantOfShape":
        fill = node.attributes.get("value")
        return fill is None or not np.any(fill.as_tensor().numpy())
    if node.op_type == "Concat":
        return all(is_zero(one) for one in node.inputs)
    if node.op_type == "Mul":
        return any(is_zero(one) for one in node.inputs)
    return node.op_type in _MOVES and is_zero(node.inputs[0])


def column(value: ir.Value, index: int) -> Column:
    """Where column ``index`` of a matrix comes from, through the nodes that cut, join and shift columns."""
    node = value.producer()
    here = Column(value, index, 0.0)
    if node is None or node.domain != "" or constant(value) is not None:
        return here
    if node.op_type == "Identity":
        return _inner(node, 0, index, here)
    if node.op_type in ("Add", "Sub"):
        return _shifted(node, index, here)
    cut = _cut(node, value, index)
    if cut is not None:
        return _inner(node, 0, cut, here)
    if node.op_type == "Concat" and _integer(node, "axis") in (1, -1):
        before = 0
        for position, one in enumerate(node.inputs):
            width = None if one is None else _width(one)
            if width is None:
                return here
            if index < before + width:
                return _inner(node, position, index - before, here)
            before += width
    return here


def unshifted(value: ir.Value) -> ir.Value:
    """The value before the additions and subtractions of constants that it ends with."""
    while (node := value.producer()) is not None and node.domain == "" and node.op_type in ("Add", "Sub", "Identity"):
        position = 1 if node.op_type == "Add" and constant(node.inputs[0]) is not None else 0
        inner, added = node.inputs[position], node.inputs[1 - position] if node.op_type != "Identity" else None
        if inner is None or (node.op_type != "Identity" and constant(added) is None):
            break
        value = inner
    return value


def _inner(node: ir.Node, position: int, index: int, otherwise: Column) -> Column:
    value = node.inputs[position]
    return otherwise if value is None else column(value, index)


def _shifted(node: ir.Node, index: int, here: Column) -> Column:
    numbers = [constant(one) for one in node.inputs]
    for position in (1, 0) if node.op_type == "Add" else (1,):
        added = numbers[position]
        if added is None or numbers[1 - position] is not None:
            continue
        if added.ndim > 2 or (added.ndim == 2 and added.shape[0] != 1) or added.dtype.kind != "f":
            return here
        if added.size != 1 and index >= added.size:
            return here
        shift = float(added.ravel()[0 if added.size == 1 else index])
        inner = _inner(node, 1 - position, index, here)
        return Column(inner.root, inner.index, inner.shift + (shift if node.op_type == "Add" else -shift))
    return here


def _cut(node: ir.Node, value: ir.Value, index: int) -> int | None:
    """Which column of the node's first input is column ``index`` of its output; None where the node cuts no columns."""
    if node.op_type == "Split" and _integer(node, "axis") in (1, -1):
        sizes = _split_sizes(node)
        return None if sizes is None else int(sum(sizes[: value.index()])) + index
    if node.op_type == "Gather" and _integer(node, "axis") in (1, -1):
        picked = constant(node.inputs[1])
        if picked is None or picked.ndim != 1 or index >= picked.size or picked[index] < 0:
            return None
        return int(picked[index])
    if node.op_type == "Slice":
        start = _slice_start(node)
        return None if start is None else start + index
    return None


def _split_sizes(node: ir.Node) -> tuple[int, ...] | None:
    attribute = node.attributes.get("split")
    if attribute is not None:
        return tuple(attribute.as_ints())
    sizes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if sizes is None else tuple(int(size) for size in sizes)


def _slice_start(node: ir.Node) -> int | None:
    """The first column of a Slice that cuts columns, and nothing else, in steps of one."""
    given = [constant(one) for one in node.inputs[1:]]
    if len(given) < 3 or any(one is None or one.shape != (1,) for one in given):
        return None
    start, _, axis, *step = (int(one[0]) for one in given if one is not None)
    return start if axis in (1, -1) and start >= 0 and step in ([], [1]) else None


def _width(value: ir.Value) -> int | None:
    """How many columns a matrix has, where its shape or the node that makes it says so."""
    if value.shape is not None and len(value.shape) == 2 and isinstance(value.shape[1], int):
        return value.shape[1]
    node = value.producer()
    if node is None or node.domain != "":
        return None
    if node.op_type == "Split":
        sizes, which = _split_sizes(node), value.index()
        return None if sizes is None or which is None else sizes[which]
    if node.op_type == "Gather":
        picked = constant(node.inputs[1])
        return None if picked is None or picked.ndim != 1 else picked.size
    if node.op_type == "Slice":
        end = constant(node.inputs[2]) if len(node.inputs) > 2 else None
        start = _slice_start(node)
        return None if start is None or end is None or not 0 <= end[0] < _LARGEST else int(end[0]) - start
    if node.op_type in ("Add", "Sub", "Identity"):
        return max((w for one in node.inputs if one is not None and (w := _width(one)) is not None), default=None)
    return None


def _integer(node: ir.Node, name: str) -> int:
    attribute = node.attributes.get(name)
    return 0 if attribute is None or attribute.is_ref() else attribute.as_int()


def ancestors(value: ir.Value | None) -> Iterator[ir.Node]:
    """The nodes that a value depends on, each once; those inside the bodies of If, Loop and Scan left out."""
    seen: set[ir.Node] = set()
    pending = [value]
    while pending:
        one = pending.pop()
        node = None if one is None else one.producer()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            pending.extend(node.inputs)
