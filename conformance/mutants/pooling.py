"""Errors in interpolation, means, maxima and number types, and in a runtime's state between calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from onnx_roialign.conformance.plain import Array, Axis
from onnx_roialign.conformance.plain import PlainRoiAlign as Plain

from .making import Mutant, mutant

__all__ = ["maxima", "means", "numbers", "state", "taps", "weights"]


def taps() -> Iterator[Mutant]:
    """Yields the errors of the two pixels of a sample along an axis."""

    def taps(name: str, change: Callable[..., Any]) -> Mutant:
        def changed(self: Plain, at: Array, a: Axis) -> Any:
            return change(*Plain.taps(self, at, a), at, a)

        return mutant(f"pixel/{name}", taps=changed)

    yield taps("nearest", lambda lo, hi, f, at, a: (lo, hi, np.round(f)))
    yield taps("low-only", lambda lo, hi, f, at, a: (lo, hi, 0 * f))
    yield taps("high-only", lambda lo, hi, f, at, a: (lo, hi, 0 * f + 1))
    yield taps("weights-exchanged", lambda lo, hi, f, at, a: (lo, hi, 1 - f))
    yield taps("smooth-step", lambda lo, hi, f, at, a: (lo, hi, f * f * (3 - 2 * f)))
    yield taps("weights-in-8-bits", lambda lo, hi, f, at, a: (lo, hi, (np.round(f * 16) / 16).astype(a.real)))
    yield taps(
        "last-never-read", lambda lo, hi, f, at, a: (*(np.minimum(i, max(a.length - 2, 0)) for i in (lo, hi)), f)
    )
    yield taps(
        "first-never-read", lambda lo, hi, f, at, a: (*(np.maximum(i, min(a.length - 1, 1)) for i in (lo, hi)), f)
    )
    yield taps("one-further", lambda lo, hi, f, at, a: (hi, np.minimum(hi + 1, a.length - 1), f))
    yield taps("mirrored", lambda lo, hi, f, at, a: (a.length - 1 - lo, a.length - 1 - hi, f))
    yield taps("high-is-low", lambda lo, hi, f, at, a: (lo, lo, f))
    yield taps(
        "wraps-around",
        lambda lo, hi, f, at, a: (
            np.where(at > a.length - 1, a.length - 1, lo),
            np.where(at > a.length - 1, 0, hi),
            np.where(at > a.length - 1, at - (a.length - 1), f).astype(a.real),
        ),
    )
    yield taps("zero-after-the-last", lambda lo, hi, f, at, a: (lo, hi, np.where(at > a.length - 1, f * 0, f)))
    yield taps(
        "fraction-of-the-position-outside",
        lambda lo, hi, f, at, a: (lo, hi, np.asarray(np.where(at < 0, at % 1, f), a.real)),
    )
    yield taps("extrapolates-before", lambda lo, hi, f, at, a: (lo, hi, np.asarray(np.where(at < 0, at, f), a.real)))
    yield taps(
        "extrapolates-beyond",
        lambda lo, hi, f, at, a: (lo, hi, np.where(at > a.length - 1, at - lo, f).astype(a.real)),
    )
    yield taps("reflected-before", lambda lo, hi, f, at, a: (lo, hi, np.where(at < 0, -at, f).astype(a.real)))
    yield taps(
        "half-of-the-only-one",
        lambda lo, hi, f, at, a: (lo, hi, np.where(a.length == 1, f + a.real(0.5), f).astype(a.real)),
    )
    yield taps(
        "length-of-the-other-axis",
        lambda lo, hi, f, at, a: (*(np.minimum(i, a.other.length - 1) for i in (lo, hi)), f),
    )


def weights() -> Iterator[Mutant]:
    """Yields the errors of the weights of a sample's four neighbours."""

    def weights(name: str, change: Callable[[Any, Any], list[Any]]) -> Mutant:
        return mutant(f"weight/{name}", weights=lambda self, fy, fx: change(fy + 0 * fx, fx + 0 * fy))

    yield weights("x-and-y-exchanged", lambda y, x: [(1 - y) * (1 - x), y * (1 - x), (1 - y) * x, y * x])
    yield weights("equal", lambda y, x: [y * 0 + 0.25] * 4)
    yield weights("last-without-x", lambda y, x: [(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y])
    yield weights("of-x-only", lambda y, x: [1 - x, x, 0 * x, 0 * x])
    yield weights("of-y-only", lambda y, x: [1 - y, 0 * y, y, 0 * y])
    yield weights("without-the-diagonal", lambda y, x: [1 - y - x, x, y, 0 * x])
    yield weights("reversed", lambda y, x: [y * x, y * (1 - x), (1 - y) * x, (1 - y) * (1 - x)])
    yield weights("first-missing", lambda y, x: [0 * y, (1 - y) * x, y * (1 - x), y * x])
    yield weights("last-missing", lambda y, x: [(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), 0 * y])


def means() -> Iterator[Mutant]:
    """Yields the errors of the mean."""

    def divisor(name: str, change: Callable[[Array, Axis, Axis], Any]) -> Mutant:
        return mutant(f"mean/{name}", divisor=lambda self, inside, y, x: np.asarray(change(inside, y, x), y.real))

    yield divisor("of-samples-inside", lambda i, y, x: np.maximum(i.sum(axis=(1, 3)), 1))
    yield divisor("a-sum", lambda i, y, x: 1)
    yield divisor("divided-by-4", lambda i, y, x: 4)
    yield divisor("divided-by-rows-squared", lambda i, y, x: y.count**2)
    yield divisor("divided-by-columns-squared", lambda i, y, x: x.count**2)
    yield divisor("divided-by-rows", lambda i, y, x: y.count)
    yield divisor("divided-by-rows-plus-columns", lambda i, y, x: y.count + x.count)
    yield divisor("divided-by-one-more", lambda i, y, x: y.count * x.count + 1)
    yield divisor("divided-by-the-area", lambda i, y, x: abs(y.step * x.step))
    yield divisor("divided-by-the-bins", lambda i, y, x: y.bins * x.bins)

    def mean(name: str, change: Callable[[Array], Any]) -> Mutant:
        """Changes (C, P, gy, Q, gx) samples before the mean."""
        return mutant(f"mean/{name}", mean=lambda self, products, inside, y, x: change(np.add.reduce(products)))

    yield mean("of-the-first-sample", lambda samples: samples[:, :, 0, :, 0])
    yield mean("of-the-last-sample", lambda samples: samples[:, :, -1, :, -1])
    yield mean("without-the-last-row", lambda samples: samples[:, :, : max(samples.shape[2] - 1, 1)].mean(axis=(2, 4)))
    yield mean("median", lambda samples: np.median(samples, axis=(2, 4)))
    yield mean("largest", lambda samples: samples.max(axis=(2, 4)))
    yield mean("not-below-0", lambda samples: np.maximum(samples.mean(axis=(2, 4)), 0))


def maxima() -> Iterator[Mutant]:
    """Yields the errors of the maximum."""

    def maximum(name: str, change: Callable[[Plain, list[Array], Array, Axis, Axis], Any]) -> Mutant:
        return mutant(f"max/{name}", maximum=change)

    yield maximum("smallest", lambda self, p, i, y, x: np.minimum.reduce(p).min(axis=(2, 4)))
    yield maximum("of-absolutes", lambda self, p, i, y, x: np.abs(self.corners(p)).max(axis=(2, 4)))
    yield maximum("largest-absolute", lambda self, p, i, y, x: _largest_absolute(p))
    yield maximum("of-the-first-sample", lambda self, p, i, y, x: self.corners(p)[:, :, 0, :, 0])
    yield maximum("of-the-last-sample", lambda self, p, i, y, x: self.corners(p)[:, :, -1, :, -1])
    yield maximum("without-the-first-sample", lambda self, p, i, y, x: _without(self.corners(p), (0, 0)))
    yield maximum("without-the-last-sample", lambda self, p, i, y, x: _without(self.corners(p), (-1, -1)))
    yield maximum(
        "divided-by-the-count", lambda self, p, i, y, x: self.corners(p).max(axis=(2, 4)) / (y.count * x.count)
    )
    yield maximum(
        "from-the-smallest-positive",
        lambda self, p, i, y, x: np.maximum(self.corners(p).max(axis=(2, 4)), np.finfo(np.float32).tiny),
    )
    yield maximum("without-samples-outside", lambda self, p, i, y, x: _inside_only(self.corners(p), i))
    yield maximum("of-rows-mean-of-columns", lambda self, p, i, y, x: self.corners(p).max(axis=2).mean(axis=3))
    yield maximum("of-samples-mean", lambda self, p, i, y, x: self.mean(p, i, y, x))
    yield maximum("of-two-neighbours", lambda self, p, i, y, x: np.maximum(p[0], p[3]).max(axis=(2, 4)))

    def unweighted(self: Plain, plane: Array, y: Axis, x: Axis, at_y: Array, at_x: Array) -> list[Array]:
        products = Plain.products(self, plane, y, x, at_y, at_x)
        if y.node.mode != "max":
            return products
        rows, columns = self.taps(at_y, y)[:2], self.taps(at_x, x)[:2]
        return [plane[:, r[:, None], c] for r in rows for c in columns]

    yield mutant("max/of-pixels-without-weights", products=unweighted)
    yield mutant(
        "max/with-the-sampling-of-avg-at-1",
        count=lambda self, a: 1 if a.node.mode == "max" else Plain.count(self, a),
    )
    yield mutant(
        "max/adaptive-grid-of-2",
        adaptive=lambda self, a: 2 if a.node.mode == "max" and a.step > 0 else Plain.adaptive(self, a),
    )


def _largest_absolute(products: list[Array]) -> Array:
    high, low = np.maximum.reduce(products).max(axis=(2, 4)), np.minimum.reduce(products).min(axis=(2, 4))
    return np.asarray(np.where(-low > high, low, high))


def _without(values: Array, at: tuple[int, int]) -> Array:
    if values.shape[2] * values.shape[4] == 1:
        return np.asarray(values.max(axis=(2, 4)))
    values = values.copy()
    values[:, :, at[0], :, at[1]] = -np.inf
    return np.asarray(values.max(axis=(2, 4)))


def _inside_only(values: Array, inside: Array) -> Array:
    kept = np.where(inside, values, -np.inf).max(axis=(2, 4))
    return np.asarray(np.where(np.isinf(kept), 0, kept))


def numbers() -> Iterator[Mutant]:
    """Yields the errors of number types and rounding."""
    yield mutant("type/float64-in-float32", real=lambda self, dtype: np.float32)
    yield mutant(
        "type/sums-in-the-type-of-X",
        run=lambda self, X, rois, b, opset, given: _halved(self, X, rois, b, opset, given),
    )
    yield mutant("type/features-in-float16", plane=lambda self, X, image: X[image].astype(np.float16).astype(X.dtype))
    yield mutant("type/result-in-float16", finish=lambda self, Y, X: Y.astype(np.float16).astype(X.dtype))
    yield mutant("type/result-in-bfloat16", finish=lambda self, Y, X: _cut(Y, 16).astype(X.dtype))
    yield mutant("type/result-always-float32", finish=lambda self, Y, X: Y.astype(np.float32))
    yield mutant("type/16-bit-results-truncated", finish=lambda self, Y, X: _truncated(Y, X))
    yield mutant("type/nothing-below-1e-6", finish=lambda self, Y, X: np.where(np.abs(Y) < 1e-6, 0, Y).astype(X.dtype))
    yield mutant("type/clipped-to-65504", finish=lambda self, Y, X: np.clip(Y, -65504, 65504).astype(X.dtype))
    yield mutant("type/result-whole", finish=lambda self, Y, X: np.round(Y).astype(X.dtype))
    yield mutant("type/not-below-0", finish=lambda self, Y, X: np.maximum(Y, 0).astype(X.dtype))


def _cut(Y: Array, bits: int) -> Array:
    made: Array = (Y.astype(np.float32).view(np.uint32) >> bits << bits).view(np.float32)
    return made


def _truncated(Y: Array, X: Array) -> Array:
    if X.dtype.itemsize != 2:
        return Plain().finish(Y, X)
    return _cut(Y, 13 if X.dtype == np.float16 else 16).astype(X.dtype)


def _halved(self: Plain, X: Array, rois: Array, batch_indices: Array, opset: int, given: Any) -> Array:
    def mean(products: list[Array], inside: Array, y: Axis, x: Axis) -> Array:
        values = np.add.reduce(products).astype(X.dtype)
        total = np.zeros((values.shape[0], y.bins, x.bins), X.dtype)
        for i in range(y.count):
            for j in range(x.count):
                total = (total + values[:, :, i, :, j]).astype(X.dtype)
        return np.asarray(total.astype(y.real) / self.divisor(inside, y, x))

    self.mean = mean  # type: ignore[method-assign]
    return Plain.run(self, X, rois, batch_indices, opset, given)


def state() -> Iterator[Mutant]:
    """Yields the errors of a state that is kept from one call to the next."""

    def kept(name: str, key: Callable[..., Any], step: str) -> Mutant:
        """Keeps the result of a step from one run of a session to the next."""
        right = getattr(Plain, step)

        def cached(self: Plain, *arguments: Any) -> Any:
            memory: dict[Any, Any] = self.__dict__.setdefault("memory", {})
            place = key(*arguments)
            if place not in memory:
                memory[place] = right(self, *arguments)
            return memory[place]

        return mutant(f"state/{name}", **{step: cached})

    yield kept("attributes-of-the-first-node", lambda opset, given: opset, "node")
    yield kept("result-of-the-first-rois", lambda X, rois, b, opset, given: (rois.shape, str(given)), "run")
