"""The private op onnx_roialign::PasteMasks: pastes a detector's masks into images, as torchvision does.

Inputs: masks (N, 1, M, M), boxes (N, 4) in pixels of the image, height and width (int64 scalars). Output:
(N, 1, height, width), of the masks' type. It has no attributes; `definition.masks` defines the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import helper

from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.ops.roi_align import DOMAIN

__all__ = ["INPUTS", "OP_TYPE", "make_node", "read_attributes"]

OP_TYPE = "PasteMasks"
INPUTS = ("masks", "boxes", "height", "width")


def read_attributes(values: Mapping[str, Any]) -> None:
    """Checks that a node has no attributes.

    Raises:
        RoiAlignError: the node has an attribute.
    """
    if values:
        raise RoiAlignError(
            f"{DOMAIN}::{OP_TYPE}", "choice", f"must have no attributes, got {shown(next(iter(values)))}"
        )


def make_node(masks: str, boxes: str, height: str, width: str, output: str, *, name: str = "") -> onnx.NodeProto:
    """Creates a PasteMasks node; its model must import the private domain."""
    return helper.make_node(OP_TYPE, [masks, boxes, height, width], [output], name=name, domain=DOMAIN)
