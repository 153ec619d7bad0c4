"""Draws scenes of discs, squares and triangles, with boxes and masks, using NumPy alone: equal bytes on any machine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnx_roialign.arrays import Array

__all__ = [
    "CLASSES",
    "GOOD",
    "HEIGHT",
    "SHAPES",
    "SIZES",
    "WIDTH",
    "Scene",
    "demo_scene",
    "draw_scene",
    "found",
    "summary",
]

CLASSES = ("background", "disc", "square", "triangle")  # by label
# The demo's scene. The detector was trained on other scenes, with seeds from 1,000,000 on.
_SEED, HEIGHT, WIDTH, SHAPES = 13, 480, 640, 24
MASK_STEP = 4  # PyTorch's masks are recorded at every fourth row and column: all pixels would take more than 1 MB
GOOD = 0.7  # a shape counts as found if the IoU of the masks is at least this
SIZES = (16, 160)  # smallest and largest diameter of a disc, or side of a square or triangle, in pixels

# Scenes are drawn in integers, which are equal on every machine: coordinates in 1/1024 pixel, coverage in 1/16.
_UNIT = 1024
_SAMPLES = 4  # per pixel and axis, for smooth edges
_MARGIN = 2  # pixels between a shape's circle and the image's edge
_CONTRAST = 70  # least difference between a shape and the background, in one channel of 0 to 255
_APART = 0.8  # least distance of two shapes' centres, by the sum of their circles' radii
_TRIES = 60  # places that are tried for a shape before it is made smaller
_SMALLER = 0.75  # the factor by which it is made smaller
# The distance from the centre to the corners or the edge, in units of the size.
_RADII = {"disc": 1 / 2, "square": 1 / math.sqrt(2), "triangle": 1 / math.sqrt(3)}
_PATCHES = ((64, 5), (16, 2), (4, 1))  # the background's patches: side in pixels, weight
_GRAIN = 7  # largest noise per pixel, of 0 to 255


@dataclass(frozen=True, slots=True)
class Scene:
    """An image of K shapes.

    Attributes:
        image: (3, H, W) float32, multiples of 1/255 in [0, 1].
        boxes: (K, 4) float32: x1, y1, x2, y2 of the pixels of each shape, in pixels.
        labels: (K,) int64: index into CLASSES.
        masks: (K, H, W) bool: the pixels of each shape that no later shape covers.
    """

    image: NDArray[np.float32]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Shape:
    """A shape: its label, its circumscribed circle's radius in pixels, its angle, and its centre in 1/1024 pixel."""

    label: int
    radius: float
    angle: float
    x: int
    y: int


def demo_scene() -> Scene:
    """Returns the demo's scene, for whose image PyTorch's outputs are recorded."""
    return draw_scene(_SEED, HEIGHT, WIDTH, SHAPES)


def draw_scene(seed: int, height: int, width: int, count: int) -> Scene:
    """Draws `count` shapes of random class, size, angle, colour and place on a textured background."""
    rng = np.random.RandomState(seed)  # draws the same numbers in every version of NumPy
    low, high = rng.randint(30, 226, (2, 3))
    blend = _texture(rng, height, width)
    image = (low[:, None, None] * (255 - blend) + high[:, None, None] * blend) // 255
    masks, labels = np.zeros((count, height, width), np.bool_), np.zeros(count, np.int64)
    for i, shape in enumerate(_shapes(rng, height, width, count)):
        at, coverage = _coverage(shape)
        colour = _colour(rng, (low + high) // 2)[:, None, None]
        part = (slice(None), *at)
        image[part] = (image[part] * (_SAMPLES**2 - coverage) + colour * coverage) // _SAMPLES**2
        inside = coverage * 2 >= _SAMPLES**2
        masks[part] &= ~inside
        masks[(i, *at)] = inside
        labels[i] = shape.label
    image = np.clip(image + rng.randint(-_GRAIN, _GRAIN + 1, (3, height, width)), 0, 255)
    return Scene(
        image=image.astype(np.float32) / np.float32(255),
        boxes=np.array([_box(mask) for mask in masks], np.float32).reshape(count, 4),
        labels=labels,
        masks=masks,
    )


def _texture(rng: np.random.RandomState, height: int, width: int) -> NDArray[np.int64]:
    """Returns (height, width) smooth noise of 0 to 255: random numbers on coarse grids, interpolated linearly."""
    total = np.zeros((height, width), np.int64)
    for side, weight in _PATCHES:
        grid = rng.randint(0, 256, (height // side + 2, width // side + 2)).astype(np.int64)
        (top, y), (left, x) = np.divmod(np.arange(height), side), np.divmod(np.arange(width), side)
        rows = (grid[top] * (side - y)[:, None] + grid[top + 1] * y[:, None]) // side
        total += weight * ((rows[:, left] * (side - x) + rows[:, left + 1] * x) // side)
    return total // sum(weight for _, weight in _PATCHES)


def _shapes(rng: np.random.RandomState, height: int, width: int, count: int) -> Iterator[_Shape]:
    """Yields random shapes, large ones first, each at a place where it covers little of the shapes before."""
    drawn: list[_Shape] = []
    for size in sorted(np.exp(rng.uniform(math.log(SIZES[0]), math.log(SIZES[1]), count)), reverse=True):
        label = int(rng.randint(1, len(CLASSES)))
        radius = size * _RADII[CLASSES[label]]
        while True:
            for _ in range(_TRIES):
                reach = math.ceil(radius) + _MARGIN
                x, y = (int(rng.randint(reach * _UNIT, (length - reach) * _UNIT)) for length in (width, height))
                if all(
                    math.hypot(x - other.x, y - other.y) >= _APART * (radius + other.radius) * _UNIT for other in drawn
                ):
                    break
            else:
                radius *= _SMALLER
                continue
            break
        drawn.append(_Shape(label, radius, rng.uniform(0, 2 * math.pi), x, y))
        yield drawn[-1]


def _coverage(shape: _Shape) -> tuple[tuple[slice, slice], NDArray[np.int64]]:
    """Returns the rows and columns of an image around a shape, and the number of samples of each pixel inside it."""
    reach = math.ceil(shape.radius) + _MARGIN
    left, top, side = shape.x // _UNIT - reach, shape.y // _UNIT - reach, 2 * reach + 1
    samples = (np.arange(side * _SAMPLES) * 2 + 1) * (_UNIT // _SAMPLES // 2)
    x, y = (samples + left * _UNIT - shape.x)[None, :], (samples + top * _UNIT - shape.y)[:, None]
    radius = shape.radius * _UNIT
    if CLASSES[shape.label] == "disc":
        inside = x**2 + y**2 <= round(radius) ** 2
    else:
        corners = 4 if CLASSES[shape.label] == "square" else 3
        turns = shape.angle + 2 * np.pi * np.arange(corners + 1) / corners
        xs, ys = (np.rint(radius * wave(turns)).astype(np.int64) for wave in (np.cos, np.sin))
        inside = np.ones((side * _SAMPLES, side * _SAMPLES), np.bool_)
        for i in range(corners):
            inside &= (xs[i + 1] - xs[i]) * (y - ys[i]) - (ys[i + 1] - ys[i]) * (x - xs[i]) >= 0
    coverage = inside.reshape(side, _SAMPLES, side, _SAMPLES).sum((1, 3))
    return (slice(top, top + side), slice(left, left + side)), coverage


def _colour(rng: np.random.RandomState, background: NDArray[np.int64]) -> NDArray[np.int64]:
    while True:
        colour = rng.randint(0, 256, 3).astype(np.int64)
        if np.abs(colour - background).max() >= _CONTRAST:
            return colour


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    (rows,), (columns,) = (np.nonzero(mask.any(axis)) for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def found(scene: Scene, labels: Array, masks: Array) -> tuple[Array, Array]:
    """Compares detections with the shapes of a scene, by the intersection over union (IoU) of their masks.

    Args:
        scene: a scene with K shapes.
        labels: (N,) labels of the detections.
        masks: (N, 1, H, W) probabilities; a pixel belongs to a mask if its probability is at least 0.5.

    Returns:
        (K,) the largest IoU of each shape with a detection of its class, 0 if there is none, and (N,) the largest IoU
        of each detection with a shape of its class.
    """
    inside = masks[:, 0] >= 0.5
    pixels = math.prod(scene.masks.shape[1:])
    drawn, detected = (some.reshape(len(some), pixels).astype(np.float32) for some in (scene.masks, inside))
    both = drawn @ detected.T
    either = drawn.sum(1)[:, None] + detected.sum(1) - both
    iou = both / np.maximum(either, 1) * (scene.labels[:, None] == labels)
    return iou.max(1, initial=0), iou.max(0, initial=0)


def summary(scene: Scene, outputs: Mapping[str, Array]) -> str:
    """Returns a line with the numbers of found shapes and of detections that are no shape.

    Args:
        scene: the scene.
        outputs: the detector's outputs, with labels and masks.
    """
    shapes, detections = found(scene, outputs["labels"], outputs["masks"])
    hits = shapes[shapes >= GOOD]
    between = f" (IoU {hits.min():.2f} to {hits.max():.2f})" if len(hits) else ""
    wrong = int(np.count_nonzero(detections < GOOD)) or "no"
    return f"{len(hits)} of {len(shapes)} shapes found with their class and mask{between}; {wrong} other detections"
