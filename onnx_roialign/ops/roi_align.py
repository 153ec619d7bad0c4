"""The private op onnx_roialign::AnyRoiAlign: ONNX's RoiAlign with every field of Semantics as an attribute.

The inputs X, rois and batch_indices and the output Y are those of ONNX's RoiAlign, except that rois may have another
float type than X: they are rounded once to the type in which coordinates are computed, float64 for a float64 X, else
float32, and must be finite in it. A 16-bit model can therefore keep its boxes in float32.

Attributes: output_height, output_width, sampling_ratio (integers), spatial_scale (float), mode (string), and every
field of `Semantics`: offset, min_size, start_shift, end_shift, max_start (floats), adaptive, empty, max_rule, border
(strings). An absent attribute has the default of the field of `Attributes` or `Semantics`.

Its type name is unique because some runtimes and tools match operators by type and ignore the domain. Older models use
the name onnx_roialign::RoiAlign, which is still read but no longer written.

onnx_roialign::QLinearRoiAlign takes X, x_scale, x_zero_point, rois, batch_indices, and the same attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, get_type_hints

import numpy as np
import onnx
from onnx import helper

from onnx_roialign.definition.attributes import PLAIN, Attributes
from onnx_roialign.definition.semantics import CHOICES, FIELDS, Semantics
from onnx_roialign.errors import RoiAlignError, shown

__all__ = [
    "ATTRIBUTE_TYPES",
    "DOMAIN",
    "OPSET_VERSION",
    "OP_TYPE",
    "OP_TYPES",
    "QLINEAR_OP_TYPE",
    "attributes_of",
    "make_node",
    "read_attributes",
]

DOMAIN = "onnx_roialign"
OPSET_VERSION = 1
OP_TYPES = ("AnyRoiAlign", "RoiAlign")  # the operator's present name in models, and its former name
OP_TYPE = OP_TYPES[0]
QLINEAR_OP_TYPE = "QLinearRoiAlign"

# The type of each attribute in a node (AttributeProto.AttributeType).
_KINDS = MappingProxyType(
    {int: onnx.AttributeProto.INT, float: onnx.AttributeProto.FLOAT, str: onnx.AttributeProto.STRING}
)
ATTRIBUTE_TYPES: tuple[tuple[str, int], ...] = (
    *((name, _KINDS[kind]) for name, kind in get_type_hints(Attributes).items() if name in PLAIN),
    *((name, onnx.AttributeProto.STRING if name in CHOICES else onnx.AttributeProto.FLOAT) for name in FIELDS),
)


def attributes_of(attributes: Attributes) -> dict[str, Any]:
    """Returns the attributes of a node, with min_size and max_start only if they have a value.

    Raises:
        RoiAlignError: a number is not finite in float32, the type of a node's floats.
    """
    attributes.check_in(np.dtype(np.float32))
    values = attributes.plain()
    values |= {name: getattr(attributes.semantics, name) for name in FIELDS}
    for name, kind in ATTRIBUTE_TYPES:
        if kind == onnx.AttributeProto.FLOAT and values[name] is not None:
            values[name] = float(values[name])  # 1 would be written as an integer attribute
    return {name: value for name, value in values.items() if value is not None}


def read_attributes(values: Mapping[str, Any]) -> Attributes:
    """Returns the attributes of a node.

    Args:
        values: plain Python values by name; texts as str.

    Raises:
        RoiAlignError: the operator does not have an attribute, or an attribute has the wrong type or value.
    """
    known = (*PLAIN, *FIELDS)
    if unknown := [name for name in values if name not in known]:
        raise RoiAlignError(
            f"an attribute of {DOMAIN}::{OP_TYPE}",
            "choice",
            f"must be one of {', '.join(known)}, got {shown(unknown[0])}",
        )
    semantics = Semantics(**{name: values[name] for name in FIELDS if name in values})
    return Attributes(**{name: values[name] for name in PLAIN if name in values}, semantics=semantics)


def make_node(
    X: str, rois: str, batch_indices: str, Y: str, attributes: Attributes, *, name: str = ""
) -> onnx.NodeProto:
    """Creates an AnyRoiAlign node; its model must import DOMAIN in OPSET_VERSION."""
    inputs = [X, rois, batch_indices]
    return helper.make_node(OP_TYPE, inputs, [Y], name=name, domain=DOMAIN, **attributes_of(attributes))
