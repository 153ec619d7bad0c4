"""Mask pasting in NumPy: resizes each mask of a detector to its box and pastes it into an image of zeros.

This is torchvision's ``paste_masks_in_image`` (torchvision/models/detection/roi_heads.py, padding 1):

1. An M x M mask is padded with zeros, one pixel wide. Its box is enlarged about its centre by (M + 2) / M, and the
   corners are truncated to integers, towards zero.
2. The mask is resized to the box, which includes both ends: to (x2 - x1 + 1) x (y2 - y1 + 1) pixels, at least one
   along each axis, by bilinear interpolation with half-pixel offsets. Positions outside the mask are clamped to it.
3. The pixels inside the image are copied; all other pixels are 0.

Step 1 is computed in the coordinate type (float64 for float64 masks, else float32) in torchvision's order of
operations, because one unit in the last place can move a corner by a pixel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import as_index
from onnx_roialign.definition.checks import Given, check_counts, check_scalar, choice, enough_memory, place
from onnx_roialign.definition.element_types import TYPES, coordinate_type
from onnx_roialign.errors import RoiAlignError, shown

__all__ = ["MAX_COORDINATE", "MAX_IMAGE_SIZE", "MAX_MASK_SIZE", "check_signature", "paste_masks"]

# kernels/pool/paste.cpp has the same bounds.
MAX_MASK_SIZE = 4096  # of M; a thread's working memory is two rows of the mask, as wide as the box
MAX_IMAGE_SIZE = 1 << 22  # the limit of feature maps
MAX_COORDINATE = float(1 << 30)  # the corners of enlarged boxes are then integers that float64 holds exactly
_MAX_ELEMENTS = (2**63 - 1) // 8


def paste_masks(masks: Array, boxes: Array, height: int, width: int) -> Array:
    """Pastes every mask into a new image.

    Args:
        masks: (N, 1, M, M), float32, float64, float16 or bfloat16. 16-bit types are computed in float32 and rounded
            once.
        boxes: (N, 4) rows x1, y1, x2, y2 in pixels of the image, of any of these types.
        height: pixels of the image, 0 to 2^22.
        width: pixels of the image, 0 to 2^22.

    Returns:
        (N, 1, height, width), of the masks' type.

    Raises:
        RoiAlignError: an input is invalid; the message names it, the rule and the value.
    """
    size = Given("int64", ())
    check_signature(Given.of(masks), Given.of(boxes), size, size)
    height, width = _size("height", height), _size("width", width)
    images = f"{len(masks)} images of {height} x {width} pixels"
    if len(masks) * height * width > _MAX_ELEMENTS:
        raise RoiAlignError("masks", "size", f"must leave an output that can be addressed, got {images}")
    real = coordinate_type(masks.dtype)
    with np.errstate(over="ignore"):
        corners = boxes.astype(real)
    _check_boxes(corners)
    with enough_memory("masks", f"must leave an output that fits into memory, got {images}"):
        pasted = np.zeros((len(masks), 1, height, width), masks.dtype)
    side = masks.shape[3]
    for mask, box, image in zip(masks[:, 0], enlarged(corners, side), pasted[:, 0], strict=True):
        x = _along(int(box[0]), int(box[2]), width, side, real)
        y = _along(int(box[1]), int(box[3]), height, side, real)
        if x.low.size and y.low.size:
            padded = np.pad(mask.astype(real), 1)
            # Infinity times a weight of 0 is NaN, and values beyond the type's range become infinite.
            with np.errstate(over="ignore", invalid="ignore"):
                wide = padded[:, x.low] * (1 - x.fraction) + padded[:, x.high] * x.fraction
                image[y.pixels, x.pixels] = (
                    wide[y.low] * (1 - y.fraction[:, None]) + wide[y.high] * y.fraction[:, None]
                ).astype(masks.dtype)
    return pasted


def enlarged(boxes: Array, side: int) -> Array:
    """The boxes enlarged by (side + 2) / side about their centres, truncated to integers: (N, 4), int64."""
    growth = boxes.dtype.type(np.float32(side + 2) / np.float32(side))
    half = (boxes[:, 2:] - boxes[:, :2]) * boxes.dtype.type(0.5) * growth
    centre = (boxes[:, 2:] + boxes[:, :2]) * boxes.dtype.type(0.5)
    return np.hstack([centre - half, centre + half]).astype(np.int64)


class _Along(NamedTuple):
    """One axis of a pasted mask: the pixels of the image, and the pixels of the padded mask that each interpolates."""

    pixels: slice
    low: Array  # pixel of the padded mask
    high: Array
    fraction: Array  # weight of high


def _along(first: int, last: int, length: int, side: int, real: type[np.floating[Any]]) -> _Along:
    begin, end = max(first, 0), max(min(last + 1, length), max(first, 0))
    scale = real(max(last - first + 1, 1)) / real(side + 2)
    position = (np.arange(begin - first, end - first).astype(real) + real(0.5)) / scale - real(0.5)
    position = np.clip(position, 0, side + 1)
    low = position.astype(np.int64)
    return _Along(slice(begin, end), low, np.minimum(low + 1, side + 1), position - low.astype(real))


def check_signature(masks: Given, boxes: Given, height: Given, width: Given) -> None:
    """Checks the known types and shapes of one call; unknown ones are accepted.

    Raises:
        RoiAlignError: an input is invalid; the message names it, the rule and the value.
    """
    if masks.shape is not None and not _are_masks(masks.shape):
        raise RoiAlignError("masks", "shape", f"must have shape (N, 1, M, M), got shape {masks.shape_text()}")
    if boxes.shape is not None and (len(boxes.shape) != 2 or (isinstance(boxes.shape[1], int) and boxes.shape[1] != 4)):
        raise RoiAlignError("boxes", "shape", f"must have shape (N, 4), got shape {boxes.shape_text()}")
    check_counts("masks and boxes", masks, boxes)
    for name, given, types in (
        ("masks", masks, TYPES),
        ("boxes", boxes, TYPES),
        ("height", height, ("int64",)),
        ("width", width, ("int64",)),
    ):
        if given.dtype is not None and given.dtype not in types:
            raise RoiAlignError(name, "type", f"must be {choice(types)}, got {given.dtype}")
    for name, given in (("height", height), ("width", width)):
        check_scalar(name, given)
    for size in () if masks.shape is None else masks.shape[3:]:
        if isinstance(size, int) and not 1 <= size <= MAX_MASK_SIZE:
            raise RoiAlignError("masks", "range", f"must have M in [1, {MAX_MASK_SIZE}], got {size}")


def _are_masks(shape: tuple[int | str | None, ...]) -> bool:
    if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 1):
        return False
    return not (isinstance(shape[2], int) and isinstance(shape[3], int)) or shape[2] == shape[3]


def _size(name: str, value: object) -> int:
    try:
        size = as_index(value)
    except TypeError:
        raise RoiAlignError(name, "type", f"must be an integer, got {shown(value)}") from None
    if not 0 <= size <= MAX_IMAGE_SIZE:
        raise RoiAlignError(name, "range", f"must be in [0, {MAX_IMAGE_SIZE}], got {size}")
    return size


def _check_boxes(corners: Array) -> None:
    within = np.abs(corners) <= MAX_COORDINATE  # False for NaN
    wrong = np.flatnonzero(~within.all(axis=1))
    if wrong.size:
        row = int(wrong[0])
        where = place(corners, row, int(within[row].argmin()))
        raise RoiAlignError("boxes", "range", f"must be finite and at most {MAX_COORDINATE:.0f} from zero, got {where}")
