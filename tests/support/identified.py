"""RoIAligns of a known meaning for identify, and the result's text for a subject."""

from __future__ import annotations

from dataclasses import replace

from onnx_roialign import PRESETS
from onnx_roialign.definition import reference
from onnx_roialign.identification.result import FIELDS

LEGACY, ALIGNED = PRESETS["torchvision_legacy"], PRESETS["torchvision_aligned"]


def meaning(semantics):
    """A RoIAlign of this meaning."""
    return lambda X, rois, indices, attributes: reference.roi_align(
        X, rois, indices, replace(attributes, semantics=semantics)
    )


def evidence(found, subject):
    return next(entry for entry in found.evidence if entry.subject == subject)


def presets_like(semantics, hidden):
    seen = [field for field in FIELDS if field not in hidden]
    return tuple(
        name
        for name, preset in PRESETS.items()
        if all(getattr(preset, field) == getattr(semantics, field) for field in seen)
    )
