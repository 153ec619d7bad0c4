"""Random attributes and arrays of each op, many of them malformed in one or two places."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from malformed_calls import UGLY_COORDINATES, UGLY_FEATURES, UGLY_FLOATS, UGLY_INDICES, UGLY_INT64, pick
from onnx import AttributeProto

from onnx_roialign.definition.semantics import CHOICES
from onnx_roialign.ops.table import ANY_ROI_ALIGN, MULTISCALE_ROI_ALIGN, PASTE_MASKS, QLINEAR_ROI_ALIGN, Op

Types = Mapping[str, np.dtype]
Arrays = dict[str, np.ndarray]
Choices = Mapping[str, tuple[int, tuple[Any, ...]]]  # by name, the type in a node and good values

UGLY_TEXTS = ("", "median", "AVG", "x" * 300, "a'b", "\u00e9" * 40)
GOOD: dict[str, tuple[Any, ...]] = {
    "output_height": (1, 2, 7),
    "output_width": (1, 2, 7),
    "sampling_ratio": (0, 1, 2, 3),
    "spatial_scale": (1.0, 0.5, 0.25),
    "mode": ("avg", "max"),
    "offset": (0.0, 0.5),
    "min_size": (1.0,),
    "start_shift": (0.0, 0.5),
    "end_shift": (0.0, 1.0),
    "max_start": (0.0, -1e4),
    **CHOICES,
    "min_level": (0, 2, -3),
    "max_level": (4, 5, 7),
    "canonical_level": (0, 4),
    "canonical_scale": (224.0, 56.0, 10.0),
    "log_epsilon": (0.0, 1e-8),
    "floor_epsilon": (0.0, 1e-6),
    "level_areas": ([0.0, 100.0, 400.0], [10.0], [0.0, 0.0, 50.0, 50.0, 900.0]),
}
UGLY: dict[int, tuple[Any, ...]] = {
    AttributeProto.INT: UGLY_INT64,
    AttributeProto.FLOAT: UGLY_FLOATS,
    AttributeProto.STRING: UGLY_TEXTS,
    AttributeProto.FLOATS: (
        [1.0] * 17,
        [2.0, 1.0],
        *([1.0, element, 2.0] for element in UGLY_FLOATS),
        *([element] for element in UGLY_FLOATS),
    ),
}
UGLY_LENGTHS = (0, -1, 2**22, 2**22 + 1, 2**31, 2**40, 2**62, 2**63 - 1, -(2**63))


def attribute_values(rng: np.random.Generator, choices: Choices) -> dict[str, Any]:
    """Some attributes by name; a float as a node holds it."""
    values = {name: pick(rng, good) for name, (_, good) in choices.items() if name in _NEEDED or rng.random() < 0.6}
    if choices and rng.random() < 0.4:
        name = pick(rng, list(choices))
        values[name] = pick(rng, UGLY[choices[name][0]])
        if rng.random() < 0.1:
            values[name] = pick(rng, (1, 1.5, "one", [1, 2], [1.5]))  # of another type, mostly
    return {name: as_in_a_node(value) for name, value in values.items()}


_NEEDED = ("spatial_scales",)  # one for each map


def as_in_a_node(value: Any) -> Any:
    if isinstance(value, list):
        return [as_in_a_node(one) for one in value]
    with np.errstate(over="ignore"):
        return float(np.float32(value)) if isinstance(value, float) else value


def roi_align_attributes(kinds: Mapping[str, int]) -> Choices:
    return {name: (kind, GOOD[name]) for name, kind in kinds.items() if name in GOOD}


# ---- arrays ----


def draw_one_map(rng: np.random.Generator, types: Types) -> Arrays:
    """X, rois and batch_indices of one run, in one or two places of the wrong shape, count or value."""
    shape = tuple(int(rng.integers(1, most)) for most in (3, 6, 20, 20))
    arrays = {"X": draw_map(rng, shape, types["X"])} | draw_rois(rng, shape[0], types)
    return spoiled(rng, arrays)


def draw_map(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    values = rng.standard_normal(shape) if dtype.kind not in "iu" else rng.integers(-128, 128, shape)
    return values.astype(dtype)


def draw_rois(rng: np.random.Generator, images: int, types: Types) -> Arrays:
    count = int(rng.integers(0, 5))
    start = rng.uniform(-10, 30, (count, 2))
    rois = np.hstack([start, start + rng.uniform(-3, 30, (count, 2))]).astype(types["rois"])
    return {"rois": rois, "batch_indices": rng.integers(0, images, count)}


_UGLY_VALUES = {
    "rois": UGLY_COORDINATES,
    "boxes": UGLY_COORDINATES,
    "batch_indices": UGLY_INDICES,
    "levels": UGLY_INT64,
}


def spoiled(rng: np.random.Generator, arrays: Arrays) -> Arrays:
    """One of the arrays has, in half of the calls, another shape or an ugly value."""
    name = pick(rng, list(arrays))
    array = arrays[name]
    kind = rng.random()
    if kind < 0.12 and array.ndim:
        arrays[name] = pick(rng, (array[None], array.reshape(-1)[:3], array[:1], array[..., :0], array[:0]))
    elif kind < 0.5 and array.size and (array.dtype.kind not in "iu" or name in _UGLY_VALUES):
        with np.errstate(all="ignore"):
            array.flat[rng.integers(array.size)] = pick(rng, _UGLY_VALUES.get(name, UGLY_FEATURES))
    return arrays


def draw_quantized(rng: np.random.Generator, types: Types) -> Arrays:
    drawn = draw_one_map(rng, types)
    scale, zero_point = pick(rng, (0.1, 2.0)), pick(rng, (0, 5, 127))
    if rng.random() < 0.3:
        scale = pick(rng, (*UGLY_FLOATS, 3e38, 1e-38, 3e-39))
    with np.errstate(over="ignore"):
        scalars = {"x_scale": np.float32(scale), "x_zero_point": np.array(zero_point, types["X"])}
    drawn |= {name: scalar_of(rng, number) for name, number in scalars.items()}
    return {name: drawn[name] for name in types}


def scalar_of(rng: np.random.Generator, number: Any) -> np.ndarray:
    """A scalar, or another shape of it."""
    shapes = ((), (1,)) if rng.random() < 0.85 else ((1, 1), (0,), (2,))
    return np.full(pick(rng, shapes), number)


def draw_pyramid(rng: np.random.Generator, types: Types) -> Arrays:
    maps = [name for name in types if name.startswith("features")]
    images, channels = (int(rng.integers(1, most)) for most in (3, 6))
    drawn = {
        name: draw_map(rng, (images, channels, *rng.integers(1, 20, 2)), types[name]) for name in maps
    } | draw_rois(rng, images, types)
    drawn["levels"] = rng.integers(-1, len(maps) + 1, len(drawn["rois"]))
    return spoiled(rng, {name: drawn[name] for name in types})


def draw_masks(rng: np.random.Generator, types: Types) -> Arrays:
    count, side = int(rng.integers(0, 4)), pick(rng, (1, 2, 5, 28))
    boxes = draw_rois(rng, 1, {"rois": types["boxes"]})["rois"]
    boxes = np.resize(boxes, (count, 4)) if boxes.size else np.ones((count, 4), types["boxes"])
    arrays = spoiled(rng, {"masks": draw_map(rng, (count, 1, side, side), types["masks"]), "boxes": boxes})
    sizes = [int(one) for one in rng.integers(0, 60, 2)]
    if rng.random() < 0.25:
        sizes = [pick(rng, UGLY_LENGTHS), 1]
        rng.shuffle(sizes)
    return arrays | {
        name: scalar_of(rng, np.int64(size)) for name, size in zip(("height", "width"), sizes, strict=True)
    }


# ---- by op ----


@dataclass(frozen=True)
class Drawer:
    """How the calls of an op are drawn.

    Attributes:
        arrays: draws one run's arrays, for the types of the inputs that the node has.
        attributes: what a node with so many of the last input has.
    """

    arrays: Callable[[np.random.Generator, Types], Arrays]
    attributes: Callable[[np.random.Generator, Op, int], Choices]


def known_attributes(rng: np.random.Generator, op: Op, _: int = 1, left_out: Iterable[str] = ()) -> Choices:
    return {name: (kind, GOOD[name]) for name, kind in op.attributes if name not in left_out}


def quantized_attributes(rng: np.random.Generator, op: Op, _: int) -> Choices:
    # half of the values of these are refused
    return known_attributes(rng, op, left_out=("mode", "empty") if rng.random() < 0.8 else ())


def pyramid_attributes(rng: np.random.Generator, op: Op, maps: int) -> Choices:
    count = maps if rng.random() < 0.9 else pick(rng, range(1, 10))
    scales = [2.0 ** -pick(rng, range(6)) for _ in range(count)]
    kinds = dict(op.attributes)
    common = known_attributes(rng, op, left_out=("spatial_scales",))
    return {"spatial_scales": (kinds["spatial_scales"], (scales,)), **common}


# A row for each op of the table (ops/table.py).
DRAWERS: Mapping[str, Drawer] = {
    ANY_ROI_ALIGN.name: Drawer(draw_one_map, known_attributes),
    QLINEAR_ROI_ALIGN.name: Drawer(draw_quantized, quantized_attributes),
    MULTISCALE_ROI_ALIGN.name: Drawer(draw_pyramid, pyramid_attributes),
    PASTE_MASKS.name: Drawer(draw_masks, known_attributes),
}
