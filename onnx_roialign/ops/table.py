"""The table of the private operators, which schemas, evaluators, sessions and rules for nodes are derived from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from onnx_roialign.arrays import Array
from onnx_roialign.definition import checks, masks, pyramid, quantized, reference
from onnx_roialign.definition.element_types import FLOATS, QUANTIZED, TYPES, ElementType
from onnx_roialign.ops import multiscale_roi_align, paste_masks, roi_align
from onnx_roialign.ops.roi_align import ATTRIBUTE_TYPES, DOMAIN, OP_TYPES, QLINEAR_OP_TYPE

__all__ = [
    "ANY_ROI_ALIGN",
    "MULTISCALE_ROI_ALIGN",
    "OPS",
    "OPS_BY_NAME",
    "PASTE_MASKS",
    "QLINEAR_ROI_ALIGN",
    "ROI_ALIGNS",
    "Attribute",
    "Axis",
    "Dim",
    "Node",
    "Op",
    "Value",
    "op_of",
]


class Axis(NamedTuple):
    """A dimension of the output that equals a dimension of an input, if the input has this rank."""

    input: int
    rank: int
    axis: int


class Attribute(NamedTuple):
    """A dimension of the output that equals an attribute, 1 if the attribute is absent."""

    name: str


class Value(NamedTuple):
    """A dimension of the output that equals the value of an input."""

    input: int


Dim = Axis | Attribute | Value | int
_SIZES = (Attribute("output_height"), Attribute("output_width"))


def _any_number(attributes: Any, inputs: int) -> None:
    """Accepts any attributes: the schema alone determines the number of inputs."""


@dataclass(frozen=True, slots=True)
class Op:
    """One private operator.

    Attributes:
        names: its present name in models, then its former names.
        types: the permitted element types of each type parameter; the output has the type of the first parameter.
        inputs: name of each input, in order, and its type parameter or fixed type as in ONNX's schemas.
        attributes: name of each attribute and its type in a node (AttributeProto.AttributeType).
        compute: its definition; takes the inputs (None for an omitted one) and the result of `read`, and returns the
            output.
        check_signature: checks the known types and shapes of the inputs (each `checks.Given` or None).
        shape: the dimensions of the output.
        check_attributes: refuses attributes that the operator does not support.
        read: converts the values of a node's attributes, by name, to the last argument of `compute`.
        check_count: checks the result of `read` against the number of inputs of a node.
        optional: the inputs that may be omitted.
        variadic: whether the last input may occur several times.
    """

    names: tuple[str, ...]
    types: Mapping[str, tuple[ElementType, ...]]
    inputs: Mapping[str, str]
    attributes: tuple[tuple[str, int], ...]
    compute: Callable[..., Array]
    check_signature: Callable[..., None]
    shape: tuple[Dim, ...]
    check_attributes: Callable[[Any], None]
    read: Callable[[Mapping[str, Any]], Any] = roi_align.read_attributes
    check_count: Callable[[Any, int], None] = _any_number
    optional: tuple[str, ...] = ()
    variadic: bool = False

    @property
    def name(self) -> str:
        """Its present name, which new models use."""
        return self.names[0]

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of its inputs in their order."""
        return tuple(self.inputs)


def _any(attributes: Any) -> None:
    """Accepts all attributes that `read` returns."""


ANY_ROI_ALIGN = Op(
    names=OP_TYPES,
    types={"T1": FLOATS, "T2": FLOATS},
    inputs={"X": "T1", "rois": "T2", "batch_indices": "tensor(int64)"},
    attributes=ATTRIBUTE_TYPES,
    compute=reference.roi_align,
    check_signature=functools.partial(checks.check_signature, rois_types=TYPES),
    shape=(Axis(1, 2, 0), Axis(0, 4, 1), *_SIZES),
    check_attributes=_any,
)
QLINEAR_ROI_ALIGN = Op(
    names=(QLINEAR_OP_TYPE,),
    types={"T1": QUANTIZED},
    inputs={
        "X": "T1",
        "x_scale": "tensor(float)",
        "x_zero_point": "T1",
        "rois": "tensor(float)",
        "batch_indices": "tensor(int64)",
    },
    attributes=ATTRIBUTE_TYPES,
    compute=quantized.roi_align,
    check_signature=quantized.check_signature,
    shape=(Axis(3, 2, 0), Axis(0, 4, 1), *_SIZES),
    check_attributes=quantized.check_attributes,
)


def _pool_pyramid(*arguments: Any) -> Array:
    rois, batch_indices, levels, *features, attributes = arguments
    return pyramid.multiscale_roi_align(rois, batch_indices, features, attributes, levels)


def _count_features(attributes: pyramid.Pyramid, inputs: int) -> None:
    pyramid.check_count(attributes, inputs - 3)


def _paste(mask: Array, boxes: Array, height: Array, width: Array, _: None) -> Array:
    masks.check_signature(*map(checks.Given.of, (mask, boxes, height, width)))
    return masks.paste_masks(mask, boxes, int(height.item()), int(width.item()))


MULTISCALE_ROI_ALIGN = Op(
    names=(multiscale_roi_align.OP_TYPE,),
    types={"T1": FLOATS, "T2": FLOATS},
    inputs={"rois": "T2", "batch_indices": "tensor(int64)", "levels": "tensor(int64)", "features": "T1"},
    attributes=multiscale_roi_align.ATTRIBUTE_TYPES,
    compute=_pool_pyramid,
    check_signature=pyramid.check_features,
    shape=(Axis(0, 2, 0), Axis(3, 4, 1), *_SIZES),
    check_attributes=_any,
    read=multiscale_roi_align.read_attributes,
    check_count=_count_features,
    optional=("levels",),
    variadic=True,
)
PASTE_MASKS = Op(
    names=(paste_masks.OP_TYPE,),
    types={"T1": FLOATS, "T2": FLOATS},
    inputs={"masks": "T1", "boxes": "T2", "height": "tensor(int64)", "width": "tensor(int64)"},
    attributes=(),
    compute=_paste,
    check_signature=masks.check_signature,
    shape=(Axis(0, 4, 0), 1, Value(2), Value(3)),
    check_attributes=_any,
    read=paste_masks.read_attributes,
)
ROI_ALIGNS = (ANY_ROI_ALIGN, QLINEAR_ROI_ALIGN)  # the operators with one feature map
OPS = (*ROI_ALIGNS, MULTISCALE_ROI_ALIGN, PASTE_MASKS)
OPS_BY_NAME: Mapping[str, Op] = {name: op for op in OPS for name in op.names}


class Node(Protocol):
    """A node of a model, of onnx or of onnx-ir."""

    @property
    def op_type(self) -> str:
        """The operator's name."""

    @property
    def domain(self) -> str:
        """The operator's domain."""


def op_of(node: Node) -> Op | None:
    """The private operator of a node; None for any other node."""
    return OPS_BY_NAME.get(node.op_type) if node.domain == DOMAIN else None
