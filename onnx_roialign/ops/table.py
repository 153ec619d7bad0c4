"""The private ops, a row each: all that schemas, evaluators, sessions and the rules for nodes need to know of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy.typing as npt

from onnx_roialign.definition import attributes as common
from onnx_roialign.definition import masks, pyramid, quantized, reference
from onnx_roialign.definition.attributes import TYPES, Given
from onnx_roialign.ops import multiscale_roi_align, paste_masks
from onnx_roialign.ops import roi_align as private_op

__all__ = ["OPS", "OP_TYPES", "Attribute", "Axis", "Dim", "Input", "Op", "Value", "op_of"]

Array = npt.NDArray[Any]

_FLOATS = TYPES
_QUANTIZED = quantized.TYPES


class Axis(NamedTuple):
    """A dimension of the output that is one of an input, where that has so many dimensions."""

    input: int
    rank: int
    axis: int


class Attribute(NamedTuple):
    """A dimension of the output that an attribute tells, 1 where it is absent."""

    name: str


class Value(NamedTuple):
    """A dimension of the output that is the value of an input."""

    input: int


Dim = Axis | Attribute | Value | int
_SIZES = (Attribute("output_height"), Attribute("output_width"))


@dataclass(frozen=True, slots=True)
class Input:
    """An input of an op.

    Attributes:
        name: as the schema and messages name it.
        types: NumPy's names of the types that it may have.
        group: inputs and the output of one group have one type; empty: of none.
        optional: whether it may be left out.
        variadic: whether there may be several, in the places from its own on.
    """

    name: str
    types: tuple[str, ...]
    group: str = ""
    optional: bool = False
    variadic: bool = False


@dataclass(frozen=True, slots=True)
class Op:
    """An op of the private domain.

    Attributes:
        names: what it is called in models: today, and before.
        inputs: in their order.
        output: the group that the output's type belongs to.
        shape: of the output.
        attributes: of each the type in a node (AttributeProto.AttributeType).
        read: from the values of a node's attributes to what `check` and `compute` take; raises RoiAlignError.
        check: what is known of the inputs, None for one that is left out; raises RoiAlignError.
        compute: the output in NumPy.
    """

    names: tuple[str, ...]
    inputs: tuple[Input, ...]
    output: str
    shape: tuple[Dim, ...]
    attributes: tuple[tuple[str, int], ...]
    read: Callable[[Mapping[str, Any]], Any]
    check: Callable[[Any, Sequence[Given | None]], None]
    compute: Callable[[Any, Sequence[Array | None]], Array]

    @property
    def name(self) -> str:
        """What it is called today."""
        return self.names[0]


def _pool_any(attributes: Any, arrays: Sequence[Any]) -> Array:
    X, rois, batch_indices = arrays
    return reference.roi_align(X, rois, batch_indices, attributes)


def _pool_quantized(attributes: Any, arrays: Sequence[Any]) -> Array:
    X, x_scale, x_zero_point, rois, batch_indices = arrays
    return quantized.roi_align(X, x_scale, x_zero_point, rois, batch_indices, attributes)


def _check_any(attributes: Any, given: Sequence[Any]) -> None:
    common.check_signature(*given, rois_types=TYPES)


def _check_quantized(attributes: Any, given: Sequence[Any]) -> None:
    quantized.check_signature(*given)


def _read_quantized(values: Mapping[str, Any]) -> Any:
    attributes = private_op.read_attributes(values)
    quantized.check_attributes(attributes)
    return attributes


def _check_pyramid(attributes: Any, given: Sequence[Any]) -> None:
    rois, batch_indices, levels, *features = given
    pyramid.check_inputs(rois, batch_indices, features, attributes, levels)


def _pool_pyramid(attributes: Any, arrays: Sequence[Any]) -> Array:
    rois, batch_indices, levels, *features = arrays
    return pyramid.multiscale_roi_align(rois, batch_indices, features, attributes, levels)


def _check_masks(_: None, given: Sequence[Any]) -> None:
    masks.check_signature(*given)


def _paste(_: None, arrays: Sequence[Any]) -> Array:
    mask, boxes, height, width = arrays
    masks.check_signature(*map(Given.of, arrays))
    return masks.paste_masks(mask, boxes, int(height.item()), int(width.item()))


OPS = (
    Op(
        names=private_op.OP_TYPES,
        inputs=(
            Input("X", _FLOATS, "T1"),
            Input("rois", _FLOATS, "T2"),
            Input("batch_indices", ("int64",)),
        ),
        output="T1",
        shape=(Axis(1, 2, 0), Axis(0, 4, 1), *_SIZES),
        attributes=private_op.ATTRIBUTE_TYPES,
        read=private_op.read_attributes,
        check=_check_any,
        compute=_pool_any,
    ),
    Op(
        names=(private_op.QLINEAR_OP_TYPE,),
        inputs=(
            Input("X", _QUANTIZED, "T1"),
            Input("x_scale", ("float32",)),
            Input("x_zero_point", _QUANTIZED, "T1"),
            Input("rois", ("float32",)),
            Input("batch_indices", ("int64",)),
        ),
        output="T1",
        shape=(Axis(3, 2, 0), Axis(0, 4, 1), *_SIZES),
        attributes=private_op.ATTRIBUTE_TYPES,
        read=_read_quantized,
        check=_check_quantized,
        compute=_pool_quantized,
    ),
    Op(
        names=(multiscale_roi_align.OP_TYPE,),
        inputs=(
            Input("rois", _FLOATS, "T2"),
            Input("batch_indices", ("int64",)),
            Input("levels", ("int64",), optional=True),
            Input("features", _FLOATS, "T1", variadic=True),
        ),
        output="T1",
        shape=(Axis(0, 2, 0), Axis(3, 4, 1), *_SIZES),
        attributes=multiscale_roi_align.ATTRIBUTE_TYPES,
        read=multiscale_roi_align.read_attributes,
        check=_check_pyramid,
        compute=_pool_pyramid,
    ),
    Op(
        names=(paste_masks.OP_TYPE,),
        inputs=(
            Input("masks", _FLOATS, "T1"),
            Input("boxes", _FLOATS, "T2"),
            Input("height", ("int64",)),
            Input("width", ("int64",)),
        ),
        output="T1",
        shape=(Axis(0, 4, 0), 1, Value(2), Value(3)),
        attributes=(),
        read=paste_masks.read_attributes,
        check=_check_masks,
        compute=_paste,
    ),
)

OP_TYPES = tuple(name for op in OPS for name in op.names)


def op_of(domain: str, op_type: str) -> Op | None:
    """The private op that a node of this domain and type is; None for any other node."""
    if domain != private_op.DOMAIN:
        return None
    return next((op for op in OPS if op_type in op.names), None)
