"""Errors that only few inputs show: many samples, large numbers, unusual boxes, and a session's state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from onnx_roialign.conformance.plain import Array, Axis, Node
from onnx_roialign.conformance.plain import PlainRoiAlign as Plain

from .making import Mutant, changed, mutant

__all__ = ["boxes", "maxima", "memory", "numbers", "of_a_type"]


def maxima() -> Iterator[Mutant]:
    """Yields errors of mode max with many samples, at one opset, or at the limit of samples."""

    def count(name: str, change: Callable[[int, Axis], int]) -> Mutant:
        def counted(self: Plain, a: Axis) -> int:
            right = Plain.count(self, a)
            return change(right, a) if a.node.mode == "max" else right

        return mutant(f"max/{name}", count=counted)

    yield count("ratio-at-most-4", lambda n, a: min(n, 4) if a.node.sampling_ratio else n)
    for most in (32, 255):
        yield count(f"adaptive-at-most-{most}", partial(_adaptive_at_most, most))
    yield mutant("max/of-no-samples-the-lowest", without_samples=_lowest)
    yield mutant("max/first-64-samples", maximum=_of_64)
    yield _node("max/opset-10-not-adaptive", _without_adaptive)
    yield mutant(
        "max/cut-at--1-excluded",
        inside=lambda self, at, a: Plain.inside(self, at, a) & ((a.node.mode == "avg") | (at > -1)),
    )
    yield mutant(
        "max/cut-at-N-excluded",
        inside=lambda self, at, a: Plain.inside(self, at, a) & ((a.node.mode == "avg") | (at < a.length)),
    )
    for dtype, least in (("float64", -3e38), ("float16", -1000.0), ("bfloat16", 0.0)):
        yield mutant(f"max/{dtype}-from-{least:g}", finish=_at_least(dtype, least))


def _adaptive_at_most(most: int, samples: int, a: Axis) -> int:
    return samples if a.node.sampling_ratio else min(samples, most)


def _lowest(self: Plain, y: Axis, x: Axis) -> Any:
    return np.finfo(np.float32).min if y.node.mode == "max" else Plain.without_samples(self, y, x)


def _node(name: str, change: Callable[[Node, int], None]) -> Mutant:
    def node(self: Plain, opset: int, given: Any) -> Node:
        made = Plain.node(self, opset, given)
        change(made, opset)
        return made

    return mutant(name, node=node)


def _without_adaptive(node: Node, opset: int) -> None:
    if opset == 10 and node.mode == "max" and node.sampling_ratio == 0:
        node.sampling_ratio = 2


def _of_64(self: Plain, products: list[Array], inside: Array, y: Axis, x: Axis) -> Array:
    values = self.corners(products).transpose(0, 1, 3, 2, 4)
    made: Array = values.reshape(*values.shape[:3], -1)[..., :64].max(axis=-1)
    return made


def _at_least(dtype: str, least: float) -> Callable[..., Array]:
    """Returns a last step in which the maxima of a type start from a number."""

    def finish(self: Plain, Y: Array, X: Array) -> Array:
        starts = str(X.dtype) == dtype and bool((X < 0).all())
        return Plain.finish(self, np.maximum(Y, Y.dtype.type(least)) if starts else Y, X)

    return finish


def boxes() -> Iterator[Mutant]:
    """Yields errors for boxes with exchanged corners, empty, tiny, beyond the map or far away."""

    def skipped(name: str, empty: Callable[[Axis, Axis], Any]) -> Mutant:
        def pool(self: Plain, plane: Array, y: Axis, x: Axis) -> Any:
            return 0.0 if empty(y, x) else Plain.pool(self, plane, y, x)

        return mutant(f"skipped/{name}", pool=pool)

    for scaled, applies in {"down": lambda s: s < 1, "up": lambda s: s > 1}.items():
        yield mutant(f"box/corners-sorted-where-scaled-{scaled}-in-max", axes=_sorted_where(applies))
    yield skipped("inverted-max", lambda y, x: y.node.mode == "max" and y.last < y.first)
    yield skipped("max-without-width", lambda y, x: x.node.mode == "max" and x.last == x.first)
    yield skipped("zeros-as-padding", lambda y, x: y.first == y.last == x.first == x.last == 0)
    yield skipped("less-than-a-hundredth", lambda y, x: 0 < x.end - x.start < 0.01)
    yield skipped("from-the-last-y-on", lambda y, x: _start_beyond(y))
    yield skipped("from-the-last-x-on", lambda y, x: _start_beyond(x))
    yield skipped("from-a-first-corner-beyond-the-map", lambda y, x: y.start > y.length or x.start > x.length)
    yield skipped("to-the-first-y", lambda y, x: y.last <= 0)
    yield skipped("to-the-first-x", lambda y, x: x.last <= 0)
    for bits in (16, 32):
        yield mutant(f"limit/position-in-int{bits}", **_wrapped(bits))
    yield mutant("box/at-most-10000", box=lambda self, rois, k: np.clip(rois[k].astype(np.float64), -1e4, 1e4))
    yield mutant("box/normalized-up-to-1", run=_of_parts)
    yield mutant("several/empty-as-the-roi-before", pool=_kept_pool, without_samples=_as_before)


def _sorted_where(applies: Callable[[float], bool]) -> Callable[..., Any]:
    def axes(self: Plain, box: Array, shape: tuple[int, ...], node: Node, real: Any) -> tuple[Axis, Axis]:
        wrong = node.mode == "max" and applies(node.spatial_scale)
        return Plain.axes(self, _sorted(box) if wrong else box, shape, node, real)

    return axes


def _of_parts(self: Plain, X: Array, rois: Array, *rest: Any) -> Array:
    """Takes coordinates of at most 1 as parts of the map."""
    height, width = X.shape[2:]
    parts = len(rois) > 0 and bool((np.abs(rois.astype(np.float64)) <= 1).all())
    boxes_ = rois * np.array([width, height] * 2, rois.dtype) if parts else rois
    return Plain.run(self, X, boxes_, *rest)


def _kept_pool(self: Plain, *arguments: Any) -> Array:
    made = Plain.pool(self, *arguments)
    self.__dict__["before"] = made
    return made


def _as_before(self: Plain, y: Axis, x: Axis) -> Any:
    before = self.__dict__.get("before")
    return Plain.without_samples(self, y, x) if before is None else before


def _start_beyond(a: Axis) -> bool:
    return bool(a.first * a.node.spatial_scale >= a.length)


def _wrapped(bits: int) -> dict[str, Callable[..., Any]]:
    """Converts positions to integers of a size, which wrap around."""

    def wrap(at: Array, a: Axis) -> Array:
        whole = np.trunc(np.clip(at.astype(np.float64), -(2.0**62), 2.0**62)).astype(np.int64)
        wrapped = (whole + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
        return np.where(whole == wrapped, at, wrapped).astype(a.real)

    return changed("positions", wrap)


def numbers() -> Iterator[Mutant]:
    """Yields numbers that are stored in too small a type, or replaced."""
    yield mutant("type/bfloat16-in-float16", plane=_in_float16)
    yield mutant("type/NaN-features-as-0", plane=lambda self, X, image: np.where(np.isnan(X[image]), 0, X[image]))
    yield mutant("type/infinite-features-clipped", plane=lambda self, X, image: _finite(X[image]))
    yield mutant(
        "type/scale-as-a-decimal",
        scaled=lambda self, a, value: value * a.real(str(np.float32(a.node.spatial_scale))) - a.real(_offset(a)),
    )
    yield mutant("limit/65535-numbers", finish=_first_65535)
    yield mutant("type/float16-results-at-most-60000", finish=_at_most_60000)
    yield mutant("type/divisor-as-a-reciprocal-in-the-type-of-X", mean=_times_the_reciprocal, run=_with_type)
    yield mutant("type/weights-in-the-type-of-X", taps=_taps_in_the_type, run=_with_type)
    yield mutant("type/adaptive-grid-in-the-type-of-X", adaptive=_grid_in_the_type, run=_with_type)
    yield mutant("order/rois-in-the-order-of-memory", box=lambda self, rois, k: rois.ravel(order="K").reshape(-1, 4)[k])
    yield mutant("type/subnormal-features-as-0", plane=lambda self, X, image: _normal(X[image]))
    yield mutant("type/subnormal-results-as-0", finish=lambda self, Y, X: _normal(Plain.finish(self, Y, X)))
    yield mutant(
        "type/16-bit-samples-rounded",
        mean=lambda self, products, inside, y, x: Plain.mean(self, _rounded_samples(self, products), inside, y, x),
        run=_with_type,
    )


def _offset(a: Axis) -> float:
    return float(a.node.meaning["offset"])


def _in_float16(self: Plain, X: Array, image: int) -> Array:
    half: Array = X[image].astype(np.float16).astype(X.dtype) if str(X.dtype) == "bfloat16" else X[image]
    return half


def _normal(numbers_: Array) -> Array:
    least = np.float64(2.0**-14 if numbers_.dtype == np.float16 else 2.0**-126)
    return np.where(np.abs(numbers_.astype(np.float64)) < least, 0, numbers_).astype(numbers_.dtype)


def _at_most_60000(self: Plain, Y: Array, X: Array) -> Array:
    return Plain.finish(self, np.clip(Y, -60000, 60000) if X.dtype == np.float16 else Y, X)


def _times_the_reciprocal(self: Plain, products: list[Array], inside: Array, y: Axis, x: Axis) -> Array:
    factor = self.__dict__["type"].type(1 / (y.count * x.count))
    made: Array = np.add.reduce(products).sum(axis=(2, 4), dtype=y.real) * y.real(factor)
    return made


def _taps_in_the_type(self: Plain, at: Array, a: Axis) -> tuple[Array, Array, Array]:
    low, high, weight = Plain.taps(self, at, a)
    return low, high, weight.astype(self.__dict__["type"]).astype(a.real)


def _grid_in_the_type(self: Plain, a: Axis) -> int:
    return int(np.ceil(np.float64(self.__dict__["type"].type(a.step))))


def _with_type(self: Plain, X: Array, *rest: Any) -> Array:
    self.__dict__["type"] = X.dtype
    return Plain.run(self, X, *rest)


def _rounded_samples(self: Plain, products: list[Array]) -> list[Array]:
    """The sum of the four products as the first, rounded to X's type."""
    sums = np.add.reduce(products)
    if self.__dict__["type"].itemsize > 2:
        return products
    return [sums.astype(self.__dict__["type"]).astype(sums.dtype), *(np.zeros_like(sums) for _ in products[1:])]


def _finite(plane: Array) -> Array:
    return np.where(np.isinf(plane), np.sign(plane) * np.float32(3e38), plane)


def _first_65535(self: Plain, Y: Array, X: Array) -> Array:
    Y.reshape(-1)[65535:] = 0
    return Plain.finish(self, Y, X)


def of_a_type() -> Iterator[Mutant]:
    """Yields errors in the code for one type, where that for float32 is right."""

    def only(name: str, dtype: str, **steps: Callable[..., Any]) -> Mutant:
        wrong = type("Wrong", (Plain,), steps)

        def run(self: Plain, X: Array, *rest: Any) -> Array:
            return Plain.run(wrong() if str(X.dtype) == dtype else self, X, *rest)

        return mutant(f"only/{dtype}-{name}", run=run)

    for dtype in ("float64", "float16", "bfloat16"):
        yield only("cut-exclusive", dtype, inside=lambda self, at, a: (at > -1) & (at < a.length))
        yield only("corners-sorted", dtype, box=_sorted_corners)
    yield only("coordinates-in-float16", "bfloat16", box=lambda self, rois, k: rois[k].astype(np.float16))


def _sorted_corners(self: Plain, rois: Array, k: int) -> Array:
    return _sorted(rois[k])


def _sorted(box: Array) -> Array:
    first, last = box[:2], box[2:]
    return np.concatenate([np.minimum(first, last), np.maximum(first, last)])


def memory() -> Iterator[Mutant]:
    """Yields sessions that reuse an input or a plan of the first call in later calls."""

    def kept(name: str, place: int) -> Mutant:
        def run(self: Plain, *arguments: Any) -> Array:
            first: dict[Any, Any] = self.__dict__.setdefault("first", {})
            given = list(arguments)
            given[place] = first.setdefault(tuple(np.shape(array) for array in given[:3]), given[place])
            return Plain.run(self, *given)

        return mutant(f"kept/{name}", run=run)

    yield kept("features", 0)
    yield kept("rois", 1)
    yield kept("batch-indices", 2)

    def counted(self: Plain, X: Array, rois: Array, images: Array, *rest: Any) -> Array:
        first = self.__dict__.setdefault("count", len(rois))
        return Plain.run(self, X, rois[:first], images[:first], *rest)

    yield mutant("kept/number-of-rois", run=counted)

    def taps(self: Plain, at: Array, a: Axis) -> Any:
        plans: dict[Any, Any] = self.__dict__.setdefault("plans", {})
        return plans.setdefault((a.name, at.tobytes()), Plain.taps(self, at, a))

    yield mutant("kept/plan-of-another-map", taps=taps)
