"""Writes mask pasting as PasteMasks, if both return the same results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_roialign.graph.fusion.masks import Pasting
from onnx_roialign.graph.fusion.region import region_of
from onnx_roialign.graph.fusion.rewriting import FusedPart, Rewriting, refused
from onnx_roialign.ops import paste_masks

__all__ = ["write_masks"]

_SEED = 20261127
_AXES_INPUT_OPSET = 13  # of Squeeze


def write_masks(paste: Pasting, writing: Rewriting) -> FusedPart:
    """Fuses one Loop that pastes masks, or returns the reason why not."""
    starts = [paste.masks, paste.boxes, *(side for side in (paste.height, paste.width) if isinstance(side, ir.Value))]
    region = region_of(starts, paste.end)
    if isinstance(region, str):
        return refused(paste_masks.OP_TYPE, paste.end, region)
    name = paste.end.name or "pasted"
    nodes: list[ir.Node] = []
    sizes = [
        size if isinstance(size, ir.Value) else writing.constant(size, f"{name}/{side}", nodes)
        for side, size in (("height", paste.height), ("width", paste.width))
    ]
    proto = paste_masks.make_node("masks", "boxes", "height", "width", "images")
    nodes.append(writing.node(proto, [paste.masks, paste.boxes, *sizes], name))
    if not paste.has_channel:
        _squeeze(nodes, name, writing)
    proof = writing.prove(region, nodes, [*_feeds(paste, writing)])
    if proof.wrong is not None:
        return refused(paste_masks.OP_TYPE, paste.end, proof.wrong)
    return writing.replace(paste_masks.OP_TYPE, paste.end, nodes, "masks are pasted without temporary images")


def _squeeze(nodes: list[ir.Node], name: str, writing: Rewriting) -> None:
    """Appends a Squeeze from (N, 1, height, width) to (N, height, width)."""
    images = nodes[-1].outputs[0]
    if writing.opset < _AXES_INPUT_OPSET:
        nodes.append(writing.named(ir.node("Squeeze", [images], {"axes": [1]}), f"{name}/fused"))
        return
    axes = writing.constant([1], f"{name}/axes", nodes)
    nodes.append(writing.named(ir.node("Squeeze", [images, axes]), f"{name}/fused"))


def _feeds(paste: Pasting, writing: Rewriting) -> Iterator[dict[str, Any]]:
    shape = writing.known.shape(paste.masks)
    side = shape[3] if shape is not None and len(shape) == 4 and isinstance(shape[3], int) and shape[3] > 0 else 28
    rng = np.random.default_rng(_SEED)
    for count, *sizes in ((12, 60, 83), (0, 20, 30), (1, 7, 5), (12, 31, 17)):
        height, width = (
            side if isinstance(side, int) else size
            for side, size in zip((paste.height, paste.width), sizes, strict=True)
        )
        corner = rng.uniform(-12, max(height, width), (count, 2))
        boxes = np.hstack([corner, corner + rng.uniform(-0.4, 60, (count, 2))])
        if count > 4:
            boxes[:4] = _odd_boxes(height, width)
        yield {
            paste.masks.name or "": rng.random((count, 1, side, side)).astype(writing.dtype(paste.masks)),
            paste.boxes.name or "": boxes.astype(writing.dtype(paste.boxes)),
        } | {
            side.name or "": np.array(size)
            for side, size in ((paste.height, height), (paste.width, width))
            if isinstance(side, ir.Value)
        }


def _odd_boxes(height: int, width: int) -> Any:
    """A point, a box with corners in the middle of a pixel, and boxes outside the image."""
    rows: list[list[float]] = [[2, 3, 2, 3], [4.5, 4.5, 20.5, 9.5], [-9, -9, -2, -2]]
    return np.array([*rows, [width, height, width + 9, height + 2]], np.float64)
