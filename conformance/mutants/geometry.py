"""Errors in the geometry: half pixels, sizes, bins, grids, positions and the limits of samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from onnx_roialign.conformance.plain import Array, Axis
from onnx_roialign.conformance.plain import PlainRoiAlign as Plain

from .making import Mutant, changed, mutant

__all__ = ["cuts", "grids", "half_pixels", "positions", "sizes", "steps"]


def half_pixels() -> Iterator[Mutant]:
    """Yields the errors of the half-pixel offset."""

    def shifted(name: str, scaled: Callable[[Any, Axis, Any, Any], Any]) -> Mutant:
        return mutant(
            f"half-pixel/{name}",
            scaled=lambda self, a, v: scaled(v, a, a.real(a.node.spatial_scale), a.real(a.node.meaning["offset"])),
        )

    yield shifted("added", lambda v, a, s, o: v * s + o)
    yield shifted("before-the-scale", lambda v, a, s, o: (v - o) * s)
    yield shifted("a-whole-pixel", lambda v, a, s, o: v * s - 2 * o)
    yield shifted("a-quarter", lambda v, a, s, o: v * s - o / 2)
    yield shifted("not-along-x", lambda v, a, s, o: v * s - (o if a.name == "y" else 0))
    yield shifted("not-along-y", lambda v, a, s, o: v * s - (o if a.name == "x" else 0))
    yield shifted("not-below-0", lambda v, a, s, o: max(v * s - o, a.real(0)))
    yield shifted("both-ways", lambda v, a, s, o: (v + o) * s - o)

    def ends(name: str, start: float, end: float) -> Mutant:
        def size(self: Plain, a: Axis) -> Any:
            o = a.node.meaning["offset"]
            a.start, a.end = a.start + a.real(start * o), a.end + a.real(end * o)
            return Plain.size(self, a)

        return mutant(f"half-pixel/{name}", size=size)

    yield ends("not-of-the-start", 1, 0)
    yield ends("not-of-the-end", 0, 1)
    yield ends("end-outwards", 0, 2)


def sizes() -> Iterator[Mutant]:
    """Yields the errors of a RoI's size and its minimum size."""

    def least(name: str, size: Callable[[Axis, Any, Any], Any]) -> Mutant:
        """Replaces the size by size(axis, end - start, least) if there is a minimum size."""

        def changed(self: Plain, a: Axis) -> Any:
            smallest = a.node.meaning["min_size"]
            return a.end - a.start if smallest is None else size(a, a.end - a.start, a.real(smallest))

        return mutant(f"size/{name}", size=changed)

    yield least("least-before-the-scale", lambda a, d, m: max(a.last - a.first, m) * a.real(a.node.spatial_scale))
    yield least("least-of-a-bin", lambda a, d, m: max(d / a.bins, m) * a.bins)
    yield least("least-only-along-y", lambda a, d, m: max(d, m) if a.name == "y" else d)
    yield least("least-only-along-x", lambda a, d, m: max(d, m) if a.name == "x" else d)
    yield least("least-only-of-nothing", lambda a, d, m: d if d > 0 else m)
    yield least("least-added", lambda a, d, m: max(d, a.real(0)) + m)
    yield least("least-0.1", lambda a, d, m: max(d, a.real(0.1)))
    yield least("least-0", lambda a, d, m: max(d, a.real(0)))
    yield least("least-2", lambda a, d, m: max(d, 2 * m))
    yield least("least-of-the-absolute", lambda a, d, m: max(abs(d), m))
    yield least("both-where-one-is-small", lambda a, d, m: m if d < m or a.other.end - a.other.start < m else d)

    def small(name: str, change: Callable[[Axis, Any], Any]) -> Mutant:
        return mutant(f"size/{name}", size=lambda self, a: change(a, Plain.size(self, a)))

    yield small("absolute", lambda a, d: abs(d))
    yield small("not-below-0", lambda a, d: max(d, a.real(0)))
    yield small("one-more", lambda a, d: d + 1)
    yield small("one-more-along-x", lambda a, d: d + (a.name == "x"))
    yield small("one-less", lambda a, d: d - 1)
    yield small("whole", lambda a, d: np.round(d))
    yield small("at-most-the-map", lambda a, d: min(d, a.real(a.length)))
    yield small("of-the-other-axis", lambda a, d: a.other.end - a.other.start)
    yield small("the-end-itself", lambda a, d: a.end)

    def centred(self: Plain, a: Axis) -> Any:
        size = Plain.size(self, a)
        a.start = a.start - (size - (a.end - a.start)) / 2
        return size

    yield mutant("size/least-around-the-centre", size=centred)

    def from_the_end(self: Plain, a: Axis) -> Any:
        size = Plain.size(self, a)
        a.start = a.end - size
        return size

    yield mutant("size/least-before-the-end", size=from_the_end)


def steps() -> Iterator[Mutant]:
    """Yields the errors of a bin's size."""

    def step(name: str, change: Callable[[Axis], Any]) -> Mutant:
        return mutant(f"bin/{name}", step=lambda self, a: change(a))

    yield step("of-the-other-number-of-bins", lambda a: a.size / a.real(a.other.bins))
    yield step("of-one-bin-less", lambda a: a.size / a.real(max(a.bins - 1, 1)))
    yield step("of-one-bin-more", lambda a: a.size / a.real(a.bins + 1))
    yield step("whole-pixels", lambda a: max(np.round(a.size / a.bins), a.real(1)))
    yield step("rounded-up", lambda a: np.ceil(a.size / a.bins))
    yield step("at-least-1", lambda a: max(a.size / a.real(a.bins), a.real(1)))
    yield step("of-the-larger-side", lambda a: max(a.size, a.other.size) / a.real(a.bins))
    yield step("size-itself", lambda a: a.size)


def grids() -> Iterator[Mutant]:
    """Yields the errors of the adaptive grid."""

    def grid(name: str, change: Callable[[Axis], Any]) -> Mutant:
        return mutant(f"grid/{name}", adaptive=lambda self, a: int(change(a)))

    yield grid("round", lambda a: np.round(a.step))
    yield grid("at-least-1", lambda a: max(np.ceil(a.step), 1))
    yield grid("floor-at-least-1", lambda a: max(np.floor(a.step), 1))
    yield grid("floor-and-one-more", lambda a: np.floor(a.step) + 1)
    yield grid("ceil-and-one-more", lambda a: np.ceil(a.step) + 1)
    yield grid("of-unscaled-coordinates", lambda a: np.ceil((a.last - a.first) / a.bins))
    yield grid("of-the-whole-roi", lambda a: np.ceil(a.size))
    yield grid("of-the-other-axis", lambda a: np.ceil(a.other.step))
    yield grid("of-the-larger-axis", lambda a: np.ceil(max(a.step, a.other.step)))
    yield grid("of-the-smaller-axis", lambda a: np.ceil(min(a.step, a.other.step)))
    yield grid("of-the-height", lambda a: np.ceil((a if a.name == "y" else a.other).step))
    yield grid("of-the-width", lambda a: np.ceil((a if a.name == "x" else a.other).step))
    yield grid("of-the-other-number-of-bins", lambda a: np.ceil(a.size / a.other.bins))
    yield grid("whole-division", lambda a: max(int(a.size) // a.bins, 1))
    yield grid("of-the-end", lambda a: np.ceil(a.end / a.bins))
    yield grid("of-the-map", lambda a: np.ceil(a.length / a.bins))
    yield grid("even", lambda a: 2 * np.ceil(a.step / 2))
    yield grid("a-power-of-two", lambda a: 2 ** max(math.ceil(math.log2(max(a.step, 1e-3))), 0) if a.step > 0 else 0)
    yield grid("doubled", lambda a: 2 * np.ceil(a.step))
    yield grid("at-least-2", lambda a: max(np.ceil(a.step), 2))
    for cap in (1, 2, 3, 4, 8, 16, 32, 64, 128):
        yield mutant(f"grid/at-most-{cap}", adaptive=lambda self, a, cap=cap: min(Plain.adaptive(self, a), cap))

    def of_the_first(self: Plain, a: Axis) -> int:
        kept: dict[str, int] = self.__dict__.setdefault("kept", {})
        return kept.setdefault(a.name, Plain.adaptive(self, a))

    def fresh(self: Plain, *arguments: Any) -> Array:
        self.__dict__.pop("kept", None)
        return Plain.run(self, *arguments)

    yield mutant("grid/of-the-first-roi", adaptive=of_the_first, run=fresh)


def positions() -> Iterator[Mutant]:
    """Yields the errors of the positions of samples in a bin."""

    def within(name: str, place: Callable[[Array, Any], Array]) -> Mutant:
        return mutant(f"sample/{name}", within=lambda self, i, a: place(i, a.real(a.count)).astype(a.real))

    yield within("at-the-corner", lambda i, n: i / n)
    yield within("at-the-far-corner", lambda i, n: (i + 1) / n)
    yield within("spread-to-the-ends", lambda i, n: i / max(n - 1, 1))
    yield within("spread-to-the-ends-one-in-the-centre", lambda i, n: i / (n - 1) if n > 1 else i + 0.5)
    yield within("between-the-ends", lambda i, n: (i + 1) / (n + 1))
    yield within("half-a-bin-not-divided", lambda i, n: i / n + 0.5)
    yield within("all-in-the-centre", lambda i, n: 0 * i + 0.5)
    yield within("a-quarter", lambda i, n: (i + 0.25) / n)
    yield within("at-most-2-places", lambda i, n: (np.minimum(i, 1) + 0.5) / n)
    yield within("of-one-more", lambda i, n: (i + 0.5) / (n + 1))

    def positions(name: str, change: Callable[[Array, Axis], Array]) -> Mutant:
        return mutant(f"sample/{name}", **changed("positions", change))

    yield positions("whole-pixels", lambda at, a: np.floor(at))
    yield positions("nearest-pixels", lambda at, a: np.round(at))
    yield positions("in-float16", lambda at, a: at.astype(np.float16).astype(a.real))
    yield positions("bins-on-whole-pixels", lambda at, a: at - at[:, :1] + np.floor(at[:, :1]))
    yield positions("bins-of-the-last-first", lambda at, a: at[::-1])
    yield positions("from-0", lambda at, a: at - a.start)
    yield positions("from-the-end", lambda at, a: at - a.start + a.end)
    yield positions("half-a-pixel-later", lambda at, a: at + a.real(0.5))
    yield positions("in-64ths", lambda at, a: (np.round(at * 64) / 64).astype(a.real))
    yield positions("the-first-bin-for-all", lambda at, a: np.repeat(at[:1], a.bins, axis=0))


def cuts() -> Iterator[Mutant]:
    """Yields the errors of the limits of samples."""

    def inside(name: str, test: Callable[[Array, Axis], Array]) -> Mutant:
        return mutant(f"cut/{name}", inside=lambda self, at, a: np.asarray(test(at, a)))

    yield inside("none", lambda at, a: np.ones(at.shape, bool))
    yield inside("none-before", lambda at, a: at <= a.length)
    yield inside("none-beyond", lambda at, a: at >= -1)
    yield inside("at-0-and-the-last", lambda at, a: (at >= 0) & (at <= a.length - 1))
    yield inside("at-0", lambda at, a: (at >= 0) & (at <= a.length))
    yield inside("at-the-last", lambda at, a: (at >= -1) & (at <= a.length - 1))
    yield inside("half-a-pixel-outside", lambda at, a: (at >= -0.5) & (at <= a.length - 0.5))
    yield inside("two-pixels-outside", lambda at, a: (at >= -2) & (at <= a.length + 1))
    yield inside("one-further-beyond", lambda at, a: (at >= -1) & (at <= a.length + 1))
    yield inside("exclusive-before", lambda at, a: (at > -1) & (at <= a.length))
    yield inside("exclusive-beyond", lambda at, a: (at >= -1) & (at < a.length))
    for ratio in (0, 1, 2, 3, 4):
        grid = f"grid-of-{ratio}" if ratio else "an-adaptive-grid"
        yield inside(f"exclusive-before-in-{grid}", _exclusive_before(partial(_has_grid, ratio)))
        yield inside(f"exclusive-beyond-in-{grid}", _exclusive_beyond(partial(_has_grid, ratio)))
    yield inside("exclusive-before-of-exchanged-corners", _exclusive_before(lambda a: a.size < 0))
    yield inside("exclusive-beyond-of-exchanged-corners", _exclusive_beyond(lambda a: a.size < 0))
    yield inside("of-the-other-axis", lambda at, a: (at >= -1) & (at <= a.other.length))
    yield inside("not-along-x", lambda at, a: (at >= -1) & (at <= a.length) if a.name == "y" else at == at)
    yield inside("not-along-y", lambda at, a: (at >= -1) & (at <= a.length) if a.name == "x" else at == at)
    yield inside("at-float32-0", lambda at, a: (at > -1) & (at < a.length - 1))


def _has_grid(ratio: int, a: Axis) -> bool:
    return a.node.sampling_ratio == ratio


def _exclusive_before(applies: Callable[[Axis], bool]) -> Callable[[Array, Axis], Array]:
    return lambda at, a: ((at > -1) if applies(a) else (at >= -1)) & (at <= a.length)


def _exclusive_beyond(applies: Callable[[Axis], bool]) -> Callable[[Array, Axis], Array]:
    return lambda at, a: (at >= -1) & ((at < a.length) if applies(a) else (at <= a.length))
