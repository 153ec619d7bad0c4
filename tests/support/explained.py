"""RoIs of every kind, and what `explain` returns for one under two meanings."""

from __future__ import annotations

from onnx_roialign import PRESETS
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.identification.explain import explain

NAMES = ("onnx_half_pixel", "mindspore_1")

BOXES = {
    "inside": (10, 10, 90, 60),
    "tiny": (40, 40, 41, 42),
    "partly off": (-60, -30, 30, 40),
    "off": (1000, 10, 1100, 60),
    "mirrored": (90, 60, 20, 10),
    "point": (40, 40, 40, 40),
    "on the cut": (-8, -8, 8, 8),
    "all": (0, 0, 120, 80),
    "huge": (20, 20, 1e9, 60),
}


def explained(box, *, feature=(20, 30), bins=(3, 4), ratio=0, scale=0.25, mode="avg", names=NAMES):
    attributes = Attributes(*bins, ratio, scale, mode, PRESETS[names[0]])
    return explain(box, feature, attributes, PRESETS[names[1]])
