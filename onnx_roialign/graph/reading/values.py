"""Finds out whether a value is constant, always zero, or columns of another value, from the nodes that compute it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from onnx_roialign.definition.element_types import FLOATS

__all__ = ["LARGEST", "Column", "Values", "constant", "cut", "integer", "integers", "settle"]

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")

# Constants that select or shift boxes are smaller; larger ones are weights, which need not be read from their file.
LARGEST = 65536

# Operators that only move, repeat or cast the elements of their first input: zeros stay zeros.
_MOVES = (
    *("Cast", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Transpose"),
    "Unsqueeze",
)


_FLOATS = tuple(ir.DataType(element.number) for element in FLOATS)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a matrix: column ``index`` of ``root``, plus ``shift``."""

    root: ir.Value
    index: int
    shift: float


def settle(
    known: dict[Key, Result], start: Key, needs: Callable[[Key], Sequence[Key]], decide: Callable[[Key], Result]
) -> Result:
    """Returns the result for a key, after computing the results that it needs, each once and without recursion.

    Args:
        known: the results so far; new ones are added.
        start: the key.
        needs: returns the keys whose results `decide` reads.
        decide: computes the result for a key; in a cycle, the result of one of these keys is still missing.
    """
    pending, begun = [start], set()
    while pending:
        key = pending[-1]
        missing = [] if key in known or key in begun else [needed for needed in needs(key) if needed not in known]
        begun.add(key)
        pending.extend(needed for needed in missing if needed not in begun)
        if pending[-1] is key:
            pending.pop()
            if key not in known:
                known[key] = decide(key)
    return known[start]


def constant(value: ir.Value | None) -> npt.NDArray[Any] | None:
    """Returns the numbers of an initializer or a Constant; None for any other value and for large ones."""
    if value is None:
        return None
    try:
        tensor = _tensor(value)
        return None if tensor is None or tensor.size > LARGEST else np.asarray(tensor.numpy())
    except (ValueError, TypeError, OSError):  # a Constant of text, or missing data
        return None


def _tensor(value: ir.Value) -> ir.TensorProtocol | None:
    node = value.producer()
    if value.const_value is None and node is not None and node.op_type == "Constant" and node.domain == "":
        attribute = node.attributes.get("value")
        if attribute is not None and attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
            tensor: ir.TensorProtocol = attribute.value  # as_tensor() takes ten times as long, for checks
            return tensor
    return ir.convenience.get_const_tensor(value)


class Values:
    """Properties of a model's values. Results are kept, so the model must not change in between."""

    def __init__(self) -> None:
        self._constants: dict[ir.Value, npt.NDArray[Any] | None] = {}
        self._zero: dict[ir.Value, bool] = {}
        self._columns: dict[tuple[ir.Value, int], Column] = {}
        self._widths: dict[ir.Value, int | None] = {}
        self._unshifted: dict[ir.Value, ir.Value] = {}

    def _constant(self, value: ir.Value | None) -> npt.NDArray[Any] | None:
        if value is None:
            return None
        if value not in self._constants:
            self._constants[value] = constant(value)
        return self._constants[value]

    def is_zero(self, value: ir.Value | None) -> bool:
        """Returns whether every element is zero for all inputs of the model, as far as can be proved."""
        return value is not None and settle(self._zero, value, _parts, self._decide_zero)

    def _decide_zero(self, value: ir.Value) -> bool:
        numbers = self._constant(value)
        if numbers is not None:
            return bool(numbers.dtype.kind in "biuf" and numbers.size > 0 and not numbers.any())
        node = value.producer()
        if node is None or node.domain != "":
            return False
        if node.op_type == "ConstantOfShape":
            fill = node.attributes.get("value")
            return fill is None or (
                fill.type == ir.AttributeType.TENSOR and not fill.is_ref() and not np.any(fill.as_tensor().numpy())
            )
        parts = [value is not None and self._zero.get(value, False) for value in node.inputs]
        if node.op_type == "Concat":
            return bool(parts) and all(parts)
        if node.op_type == "Mul":
            return any(parts)
        return node.op_type in _MOVES and any(parts[:1])

    def column(self, value: ir.Value, index: int) -> Column:
        """Returns the origin of column ``index`` of a matrix, through the nodes that select, join and shift columns."""
        steps: dict[tuple[ir.Value, int], tuple[ir.Value, int, float] | None] = {}

        def needs(key: tuple[ir.Value, int]) -> list[tuple[ir.Value, int]]:
            step = steps[key] = self._step(*key)
            return [] if step is None else [step[:2]]

        def decide(key: tuple[ir.Value, int]) -> Column:
            step = steps[key]
            before = None if step is None else self._columns.get(step[:2])
            if step is None or before is None:
                return Column(*key, 0.0)
            return Column(before.root, before.index, before.shift + step[2])

        return settle(self._columns, (value, index), needs, decide)

    def _step(self, value: ir.Value, index: int) -> tuple[ir.Value, int, float] | None:
        """Returns the value, its column and the added constant that give a column; None if there are none."""
        node = value.producer()
        if node is None or node.domain != "" or self._constant(value) is not None:
            return None
        if node.op_type == "Identity" or (node.op_type == "Cast" and integer(node, "to") in _FLOATS):
            return _from(node, 0, index)  # casts to integers are not followed: they round
        if node.op_type in ("Add", "Sub"):
            return self._shifted(node, index)
        before = cut(node, value, index)
        if before is not None:
            return _from(node, 0, before)
        if node.op_type == "Concat" and integer(node, "axis") in (1, -1):
            start = 0
            for position, part in enumerate(node.inputs):
                width = None if part is None else self._width(part)
                if position == len(node.inputs) - 1 or (width is not None and index < start + width):
                    return _from(node, position, index - start)  # the last input has all remaining columns
                if width is None:
                    return None
                start += width
        return None

    def _shifted(self, node: ir.Node, index: int) -> tuple[ir.Value, int, float] | None:
        if len(node.inputs) != 2:
            return None
        numbers = [self._constant(value) for value in node.inputs]
        for position in (1, 0) if node.op_type == "Add" else (1,):
            added = numbers[position]
            if added is None or numbers[1 - position] is not None:
                continue
            if added.ndim > 2 or (added.ndim == 2 and added.shape[0] != 1) or added.dtype.kind != "f":
                return None
            if added.size == 0 or (added.size != 1 and index >= added.size):
                return None
            shift = float(added.ravel()[0 if added.size == 1 else index])
            return _from(node, 1 - position, index, shift if node.op_type == "Add" else -shift)
        return None

    def _width(self, value: ir.Value) -> int | None:
        """Returns the number of columns of a matrix; None if it is unknown."""
        return settle(self._widths, value, _summands, self._decide_width)

    def _decide_width(self, value: ir.Value) -> int | None:
        known = _known_width(value)
        widths = [width for summand in _summands(value) if (width := self._widths.get(summand)) is not None]
        return known if known is not None else max(widths, default=None)

    def unshifted(self, value: ir.Value) -> ir.Value:
        """Returns the value before the last additions and subtractions of constants."""

        def needs(shifted: ir.Value) -> list[ir.Value]:
            before = self._before_shift(shifted)
            return [] if before is None else [before]

        def decide(shifted: ir.Value) -> ir.Value:
            before = self._before_shift(shifted)
            return shifted if before is None else self._unshifted.get(before, before)

        return settle(self._unshifted, value, needs, decide)

    def _before_shift(self, value: ir.Value) -> ir.Value | None:
        """Returns the value to which a node adds a constant; None if no such node computes the value."""
        node = value.producer()
        if node is None or node.domain != "":
            return None
        if node.op_type == "Identity" and len(node.inputs) == 1:
            return node.inputs[0]
        if node.op_type not in ("Add", "Sub") or len(node.inputs) != 2:
            return None
        position = 1 if node.op_type == "Add" and self._constant(node.inputs[0]) is not None else 0
        return None if self._constant(node.inputs[1 - position]) is None else node.inputs[position]


def _parts(value: ir.Value) -> list[ir.Value]:
    """Returns the inputs that decide whether a value is zero."""
    node = value.producer()
    if node is None or node.domain != "" or node.op_type not in ("Concat", "Mul", *_MOVES):
        return []
    return [value for value in (node.inputs[:1] if node.op_type in _MOVES else node.inputs) if value is not None]


def _from(node: ir.Node, position: int, index: int, shift: float = 0.0) -> tuple[ir.Value, int, float] | None:
    value = node.inputs[position] if position < len(node.inputs) else None
    return None if value is None else (value, index, shift)


def cut(node: ir.Node, value: ir.Value, index: int) -> int | None:
    """Returns the column of the node's first input that is column ``index`` of its output; None if it selects none."""
    if node.op_type == "Split" and integer(node, "axis") in (1, -1):
        sizes, which = _split_sizes(node), value.index()
        return None if sizes is None or which is None else int(sum(sizes[:which])) + index
    if node.op_type == "Gather" and len(node.inputs) == 2 and integer(node, "axis") in (1, -1):
        picked = constant(node.inputs[1])
        if picked is None or picked.ndim != 1 or index >= picked.size or picked.dtype.kind != "i" or picked[index] < 0:
            return None
        return int(picked[index])
    if node.op_type == "Slice":
        start = _slice_start(node)
        return None if start is None else start + index
    return None


def _split_sizes(node: ir.Node) -> tuple[int, ...] | None:
    if "split" in node.attributes:
        return integers(node, "split")
    sizes = constant(node.inputs[1]) if len(node.inputs) > 1 else None
    return None if sizes is None or sizes.ndim != 1 or sizes.dtype.kind != "i" else tuple(int(size) for size in sizes)


def _slice_start(node: ir.Node) -> int | None:
    """Returns the first column of a Slice that only selects columns, in steps of one; else None."""
    bounds = [constant(value) for value in node.inputs[1:]]
    valid = [bound for bound in bounds if bound is not None and bound.shape == (1,) and bound.dtype.kind == "i"]
    if len(bounds) not in (3, 4) or len(valid) != len(bounds):
        return None
    start, _, axis, *step = (int(bound[0]) for bound in valid)
    return start if axis in (1, -1) and start >= 0 and step in ([], [1]) else None


def _summands(value: ir.Value) -> list[ir.Value]:
    """Returns the inputs of an addition, an Identity or a Cast, any of which can have the number of columns."""
    node = value.producer()
    if _known_width(value) is not None or node is None or node.domain != "":
        return []
    return (
        [value for value in node.inputs if value is not None]
        if node.op_type in ("Add", "Sub", "Identity", "Cast")
        else []
    )


def _known_width(value: ir.Value) -> int | None:
    """Returns the number of columns from the declared shape or the node that selects them; None if unknown."""
    if value.shape is not None and len(value.shape) == 2 and isinstance(value.shape[1], int):
        return value.shape[1]
    node = value.producer()
    if node is None or node.domain != "":
        return None
    if node.op_type == "Split":
        sizes, which = _split_sizes(node), value.index()
        return None if sizes is None or which is None or which >= len(sizes) else sizes[which]
    if node.op_type == "Gather" and len(node.inputs) == 2:
        picked = constant(node.inputs[1])
        return None if picked is None or picked.ndim != 1 else picked.size
    if node.op_type == "Slice":
        start = _slice_start(node)
        end = None if start is None else constant(node.inputs[2])
        return None if start is None or end is None or not 0 <= end[0] < LARGEST else int(end[0]) - start
    return None


def integers(node: ir.Node, name: str) -> tuple[int, ...] | None:
    """Returns an attribute that is an integer or a list of integers; None if it is missing, a reference or neither."""
    attribute = node.attributes.get(name)
    if attribute is None or attribute.is_ref():
        return None
    if attribute.type == ir.AttributeType.INT:
        return (attribute.as_int(),)
    return tuple(attribute.as_ints()) if attribute.type == ir.AttributeType.INTS else None


def integer(node: ir.Node, name: str) -> int:
    """Returns an attribute that is an integer; 0 if it is missing, a reference or of another type."""
    found = integers(node, name)
    return found[0] if found is not None and len(found) == 1 else 0
