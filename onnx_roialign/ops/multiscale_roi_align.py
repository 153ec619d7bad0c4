"""The private op onnx_roialign::MultiScaleRoiAlign: RoIs pooled from the levels of a feature pyramid.

Inputs: rois (num_rois, 4), batch_indices (num_rois,), levels (num_rois,), which may be omitted, and one map
(N, C, H, W) for each spatial scale. Output: Y (num_rois, C, output_height, output_width), of the maps' type.

Attributes: those of AnyRoiAlign except spatial_scale; spatial_scales (floats), one for each map; and, where the input
levels is omitted, the rule for a RoI's level: min_level, max_level, canonical_level (integers), canonical_scale,
log_epsilon, floor_epsilon (floats), level_areas (floats), as `definition.pyramid.LevelRule` defines them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import onnx
from onnx import helper

from onnx_roialign.definition.pyramid import LevelRule, Pyramid
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.ops import roi_align

__all__ = ["ATTRIBUTE_TYPES", "INPUTS", "OP_TYPE", "make_node", "read_attributes"]

OP_TYPE = "MultiScaleRoiAlign"
INPUTS = ("rois", "batch_indices", "levels", "features")  # levels may be omitted; one input of features per scale

_KINDS: Mapping[str, int] = {
    "int": onnx.AttributeProto.INT,
    "float": onnx.AttributeProto.FLOAT,
    "tuple[float, ...]": onnx.AttributeProto.FLOATS,
}
_RULE = tuple((field.name, _KINDS[str(field.type)]) for field in fields(LevelRule))
_COMMON = tuple((name, kind) for name, kind in roi_align.ATTRIBUTE_TYPES if name != "spatial_scale")

# The type of each attribute in a node (AttributeProto.AttributeType).
ATTRIBUTE_TYPES: tuple[tuple[str, int], ...] = (
    *_COMMON,
    ("spatial_scales", onnx.AttributeProto.FLOATS),
    *_RULE,
)


def read_attributes(values: Mapping[str, Any]) -> Pyramid:
    """Returns the pyramid that these attributes of a node describe.

    Args:
        values: plain Python values by name; texts as str.

    Raises:
        RoiAlignError: the operator does not have an attribute, or an attribute has the wrong type or value.
    """
    known = [name for name, _ in ATTRIBUTE_TYPES]
    if unknown := [name for name in values if name not in known]:
        raise RoiAlignError(
            f"an attribute of {roi_align.DOMAIN}::{OP_TYPE}",
            "choice",
            f"must be one of {', '.join(known)}, got {shown(unknown[0])}",
        )
    common = [name for name, _ in _COMMON]
    attributes = roi_align.read_attributes({name: value for name, value in values.items() if name in common})
    rule = {name: values[name] for name, _ in _RULE if name in values}
    if "level_areas" in rule:
        rule["level_areas"] = tuple(rule["level_areas"])
    return Pyramid(tuple(values.get("spatial_scales", ())), LevelRule(**rule), attributes)


def make_node(
    rois: str,
    batch_indices: str,
    features: Sequence[str],
    Y: str,
    pyramid: Pyramid,
    *,
    levels: str = "",
    name: str = "",
) -> onnx.NodeProto:
    """Creates a MultiScaleRoiAlign node; its model must import the private domain.

    Args:
        rois: name of the input.
        batch_indices: name of the input.
        features: names of the maps, one per spatial scale.
        Y: name of the output.
        pyramid: the attributes.
        levels: name of the input; empty: the rule assigns the levels.
        name: name of the node.

    Raises:
        RoiAlignError: a number that the node's float32 attributes cannot hold.
    """
    for level in range(len(pyramid.spatial_scales)):
        pyramid.at(level).check_in(np.dtype(np.float32))
    values = roi_align.attributes_of(pyramid.attributes)
    del values["spatial_scale"]
    values["spatial_scales"] = list(pyramid.spatial_scales)
    for attribute, kind in _RULE if not levels else ():
        value = getattr(pyramid.rule, attribute)
        if kind == onnx.AttributeProto.FLOATS and not value:
            continue  # an empty list has no attribute type
        values[attribute] = float(value) if kind == onnx.AttributeProto.FLOAT else value
    inputs = [rois, batch_indices, levels, *features]
    return helper.make_node(OP_TYPE, inputs, [Y], name=name, domain=roi_align.DOMAIN, **values)
