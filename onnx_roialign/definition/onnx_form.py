"""What ONNX's own RoiAlign can say: the coordinate_transformation_mode of a meaning, where there is one."""

from __future__ import annotations

from dataclasses import replace

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, PRESETS, Semantics

__all__ = ["coordinate_mode", "relevant"]


def relevant(attributes: Attributes) -> Semantics:
    """The semantics, with the default in every field that cannot matter beside these attributes.

    A fixed grid has no adaptive rule and no bin without samples; nor has an adaptive one that is rounded up, over RoIs
    of a minimum size. An average has no rule for the maximum. A bin without samples is max_start where there is one.
    """
    meaning = attributes.semantics
    if attributes.sampling_ratio > 0:
        meaning = replace(meaning, adaptive="ceil", empty="zero")
    elif meaning.adaptive == "ceil" and meaning.min_size is not None and meaning.min_size > 0:
        meaning = replace(meaning, empty="zero")
    if attributes.mode == "avg":
        meaning = replace(meaning, max_rule="corners", max_start=None)
    elif meaning.max_start is not None:
        meaning = replace(meaning, empty="zero")
    return meaning


def coordinate_mode(attributes: Attributes, opset: int) -> str | None:
    """The mode with which a RoiAlign of this opset means exactly these attributes; None where there is none.

    Below opset 16 that is "output_half_pixel" or nothing, and the node is written without it.
    """
    modes = ("output_half_pixel", "half_pixel") if opset >= HALF_PIXEL_OPSET else ("output_half_pixel",)
    meaning = relevant(attributes)
    return next((mode for mode in modes if PRESETS[f"onnx_{mode}"] == meaning), None)
