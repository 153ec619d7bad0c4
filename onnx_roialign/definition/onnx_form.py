"""Expresses semantics by ONNX's own RoiAlign: the coordinate_transformation_mode that means the same, if any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, PRESETS, Semantics

__all__ = ["ADAPTIVE_FIELDS", "MAX_FIELDS", "coordinate_mode", "nearest_mode", "relevant"]

# The fields that affect only adaptive grids, and the fields that affect only the maximum.
ADAPTIVE_FIELDS = ("adaptive", "empty")
MAX_FIELDS = ("max_rule", "max_start")


def relevant(attributes: Attributes) -> Semantics:
    """The semantics with the default in every field that has no effect with these attributes.

    A fixed grid uses no adaptive rule and has no bin without samples. An adaptive grid that is rounded up over RoIs of
    a minimum size has no bin without samples either. An average uses no rule for the maximum. If `max_start` is set, it
    is the value of a bin without samples.
    """
    meaning = attributes.semantics
    if attributes.sampling_ratio > 0:
        meaning = _without(meaning, ADAPTIVE_FIELDS)
    elif meaning.adaptive == "ceil" and meaning.min_size is not None and meaning.min_size > 0:
        meaning = _without(meaning, ("empty",))
    if attributes.mode == "avg":
        meaning = _without(meaning, MAX_FIELDS)
    elif meaning.max_start is not None:
        meaning = _without(meaning, ("empty",))
    return meaning


def _without(meaning: Semantics, fields: Sequence[str]) -> Semantics:
    default = Semantics()
    return replace(meaning, **{name: getattr(default, name) for name in fields})


def coordinate_mode(attributes: Attributes, opset: int) -> str | None:
    """The mode with which ONNX's RoiAlign at this opset computes exactly these attributes; None if there is none.

    Below opset 16 it is "output_half_pixel" or None, and the node does not have the attribute.
    """
    modes = ("output_half_pixel", "half_pixel") if opset >= HALF_PIXEL_OPSET else ("output_half_pixel",)
    meaning = relevant(attributes)
    return next((mode for mode in modes if PRESETS[f"onnx_{mode}"] == meaning), None)


def nearest_mode(meaning: Semantics) -> str:
    """The mode with the same minimum size, or without one; a shift of the boxes can express the offset.

    For semantics that ONNX can express, it is the exact mode.
    """
    return "half_pixel" if meaning.min_size is None else "output_half_pixel"
