"""What ONNX's own RoiAlign can say: the coordinate_transformation_mode of a meaning, where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, PRESETS, Semantics

__all__ = ["ADAPTIVE_FIELDS", "MAX_FIELDS", "coordinate_mode", "nearest_mode", "relevant"]

# The fields that matter on an adaptive grid only, and those that matter for a maximum only.
ADAPTIVE_FIELDS = ("adaptive", "empty")
MAX_FIELDS = ("max_rule", "max_start")


def relevant(attributes: Attributes) -> Semantics:
    """The semantics, with the default in every field that cannot matter beside these attributes.

    A fixed grid has no adaptive rule and no bin without samples; nor has an adaptive one that is rounded up, over RoIs
    of a minimum size. An average has no rule for the maximum. A bin without samples is max_start where there is one.
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
    """The mode with which a RoiAlign of this opset means exactly these attributes; None where there is none.

    Below opset 16 that is "output_half_pixel" or nothing, and the node is written without it.
    """
    modes = ("output_half_pixel", "half_pixel") if opset >= HALF_PIXEL_OPSET else ("output_half_pixel",)
    meaning = relevant(attributes)
    return next((mode for mode in modes if PRESETS[f"onnx_{mode}"] == meaning), None)


def nearest_mode(meaning: Semantics) -> str:
    """The mode that shares a meaning's minimum size or lack of one: an addition to the boxes can say the offset.

    For what a RoiAlign of ONNX means it is the mode itself.
    """
    return "half_pixel" if meaning.min_size is None else "output_half_pixel"
