"""Errors that depend on two things, such as a mode, a type or an opset and a kind of box; and limits of integers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from onnx_roialign.conformance.plain import Array, Axis, Node
from onnx_roialign.conformance.plain import PlainRoiAlign as Plain

from .making import Mutant, changed, mutant

__all__ = ["beside_other_rois", "between_axes", "limits", "of_a_mode", "of_the_grid", "outside", "precision"]


def of_a_mode() -> Iterator[Mutant]:
    """Yields errors in only one mode, one opset, or one kind of grid."""

    def meaning(name: str, applies: Callable[[Node, int, Any], bool], **fields: Any) -> Mutant:
        def node(self: Plain, opset: int, given: Any) -> Node:
            made = Plain.node(self, opset, given)
            if applies(made, opset, given):
                made.meaning.update(fields)
            return made

        return mutant(f"only/{name}", node=node)

    yield meaning("max-without-half-pixel", lambda n, o, g: n.mode == "max", offset=0.0)
    yield meaning("avg-without-half-pixel", lambda n, o, g: n.mode == "avg", offset=0.0)
    yield meaning("max-always-half-pixel", lambda n, o, g: n.mode == "max", offset=0.5, min_size=None)
    yield meaning("max-with-least-size", lambda n, o, g: n.mode == "max", min_size=1.0)
    yield meaning("max-without-least-size", lambda n, o, g: n.mode == "max", min_size=None)
    yield meaning("max-with-floor", lambda n, o, g: n.mode == "max", adaptive="floor")
    yield meaning("adaptive-without-least-size", lambda n, o, g: n.sampling_ratio == 0, min_size=None)
    yield meaning("fixed-without-least-size", lambda n, o, g: n.sampling_ratio > 0, min_size=None)
    yield meaning("scaled-down-with-least-size", lambda n, o, g: n.spatial_scale < 1, min_size=1.0)
    yield meaning("explicit-mode-with-least-size", lambda n, o, g: _CTM in g, min_size=1.0)
    yield meaning("explicit-mode-without-offset", lambda n, o, g: _CTM in g, offset=0.0)
    yield meaning("opset-10-without-least-size", lambda n, o, g: o == 10, min_size=None)
    yield meaning("opset-22-without-least-size", lambda n, o, g: o == 22, min_size=None)

    def attribute(name: str, applies: Callable[[Node, int], bool], **values: Any) -> Mutant:
        def node(self: Plain, opset: int, given: Any) -> Node:
            made = Plain.node(self, opset, given)
            if applies(made, opset):
                for key, value in values.items():
                    setattr(made, key, value)
            return made

        return mutant(f"only/{name}", node=node)

    yield attribute("opset-22-without-scale", lambda n, o: o == 22, spatial_scale=1.0)
    yield attribute("opset-22-without-max", lambda n, o: o == 22, mode="avg")
    yield attribute("opset-10-without-max", lambda n, o: o == 10, mode="avg")
    yield attribute("opset-10-not-adaptive", lambda n, o: o == 10 and n.sampling_ratio == 0, sampling_ratio=2)
    yield mutant(
        "only/max-with-at-most-4-samples",
        count=lambda self, a: min(Plain.count(self, a), 4 if a.node.mode == "max" else 1 << 30),
    )
    yield mutant(
        "only/ratio-along-y",
        count=lambda self, a: Plain.count(self, a) if a.name == "y" else self.adaptive(a),
    )
    yield mutant(
        "only/ratio-along-x",
        count=lambda self, a: Plain.count(self, a) if a.name == "x" else self.adaptive(a),
    )


_CTM = "coordinate_transformation_mode"


def between_axes() -> Iterator[Mutant]:
    """Yields errors that use a number of the other axis."""

    def step(name: str, change: Callable[[Axis], Any]) -> Mutant:
        return mutant(f"axes/{name}", step=lambda self, a: change(a))

    def positions(name: str, place: Callable[[Axis, Array, Array], Array]) -> Mutant:
        def made(self: Plain, a: Axis) -> Array:
            bins = np.arange(a.bins).astype(a.real)[:, None]
            return place(a, bins, self.within(np.arange(a.count).astype(a.real), a))

        return mutant(f"axes/{name}", positions=made)

    yield step("bin-of-the-other-side", lambda a: a.other.size / a.real(a.bins))
    yield positions("start-of-the-other", lambda a, p, i: a.other.start + p * a.step + i * a.step)
    yield positions("bins-by-the-other-step", lambda a, p, i: a.start + p * a.other.step + i * a.step)
    yield positions("samples-by-the-other-step", lambda a, p, i: a.start + p * a.step + i * a.other.step)
    yield mutant("axes/counts-exchanged", count=lambda self, a: Plain.count(self, a.other))
    yield mutant("axes/size-scaled-twice-along-x", size=lambda self, a: Plain.size(self, a) * _only_x(a))
    yield mutant(
        "axes/absolute-along-x", size=lambda self, a: abs(Plain.size(self, a)) if a.name == "x" else Plain.size(self, a)
    )
    yield mutant(
        "axes/cut-at-the-longer",
        inside=lambda self, at, a: (at >= -1) & (at <= max(a.length, a.other.length)),
    )


def _only_x(a: Axis) -> Any:
    return a.real(a.node.spatial_scale if a.name == "x" else 1)


def of_the_grid() -> Iterator[Mutant]:
    """Yields adaptive grids that are wrong near an integer, for small steps, or for some scales."""

    def grid(name: str, change: Callable[[Axis], Any]) -> Mutant:
        return mutant(f"grid/{name}", adaptive=lambda self, a: int(change(a)))

    yield grid("ceil-of-a-little-more", lambda a: math.ceil(a.step + 1e-3))
    yield grid("ceil-of-a-little-less", lambda a: math.ceil(a.step - 1e-3))
    yield grid("ceil-in-float16", lambda a: math.ceil(float(np.float16(a.step))))
    yield grid("ceil-of-one-decimal", lambda a: math.ceil(round(float(a.step), 1)))
    yield grid("of-one-pixel-more", lambda a: math.ceil((a.size + 1) / a.bins))
    yield grid("scaled-twice", lambda a: math.ceil(a.step * a.node.spatial_scale))
    yield grid("at-most-the-map", lambda a: min(math.ceil(a.step), a.length))
    yield grid("of-the-part-on-the-map", lambda a: max(math.ceil((min(a.end, a.length) - max(a.start, 0)) / a.bins), 1))
    yield grid(
        "shared-where-the-output-is-square",
        lambda a: math.ceil(max(a.step, a.other.step) if a.bins == a.other.bins else a.step),
    )


def outside() -> Iterator[Mutant]:
    """Yields errors for boxes across the border, far away, or with exchanged corners."""
    yield mutant(
        "outside/cut-after-rounding", inside=lambda self, at, a: Plain.inside(self, np.asarray(np.round(at)), a)
    )
    yield mutant("outside/cut-after-truncating", inside=lambda self, at, a: Plain.inside(self, np.trunc(at), a))
    yield mutant(
        "outside/box-that-starts-outside", inside=lambda self, at, a: Plain.inside(self, at, a) & (a.start >= -2)
    )
    yield mutant("outside/one-pixel-maps", inside=lambda self, at, a: Plain.inside(self, at, a) & (a.length > 1))
    yield mutant("outside/inverted-is-empty", count=lambda self, a: Plain.count(self, a) if a.size >= 0 else 0)
    yield mutant("outside/inverted-bins-turned-round", **_turned())
    yield mutant("outside/scaled-at-least--1", scaled=lambda self, a, v: max(Plain.scaled(self, a, v), a.real(-1)))
    yield mutant(
        "outside/scaled-at-most-the-map", scaled=lambda self, a, v: min(Plain.scaled(self, a, v), a.real(a.length + 1))
    )
    yield mutant(
        "outside/scaled-within-1024", scaled=lambda self, a, v: a.real(np.clip(Plain.scaled(self, a, v), -1024, 1024))
    )
    yield mutant("outside/zero-padding", products=_zero_padded)
    yield mutant(
        "outside/max-is--1",
        maximum=lambda self, p, inside, y, x: np.where(inside, self.corners(p), y.real(-1)).max(axis=(2, 4)),
    )


def _turned() -> dict[str, Callable[..., Any]]:
    return changed("positions", lambda at, a: at[::-1] if a.size < 0 else at)


def _zero_padded(self: Plain, plane: Array, y: Axis, x: Axis, at_y: Array, at_x: Array) -> list[Array]:
    """Interpolates between the border and zeros around it."""
    padded = np.pad(plane, ((0, 0), (1, 1), (1, 1)))

    def taps(at: Array, length: int) -> tuple[Array, Array]:
        moved = np.clip(at + 1, 0, length + 1)
        low = np.minimum(np.floor(moved).astype(np.int64), length)
        return low, (moved - low).astype(y.real)

    (ly, fy), (lx, fx) = taps(at_y, y.length), taps(at_x, x.length)
    weights = self.weights(fy[:, None], fx)
    places = [(ly, lx), (ly, lx + 1), (ly + 1, lx), (ly + 1, lx + 1)]
    return [w * padded[:, r[:, None], c] for w, (r, c) in zip(weights, places, strict=True)]


def beside_other_rois() -> Iterator[Mutant]:
    """Yields errors that occur only with several RoIs, channels or bins."""

    def by_image(self: Plain, X: Array, rois: Array, images: Array, *rest: Any) -> Array:
        order = np.argsort(images, kind="stable")
        return Plain.run(self, X, rois[order], images[order], *rest)

    def of_equal_boxes(self: Plain, X: Array, rois: Array, images: Array, *rest: Any) -> Array:
        first = [int(np.flatnonzero((rois == roi).all(axis=1))[0]) for roi in rois]
        return Plain.run(self, X, rois, images[first], *rest)

    yield mutant("several/sorted-by-image", run=by_image)
    yield mutant("several/image-of-the-first-equal-box", run=of_equal_boxes)
    yield mutant(
        "several/maximum-goes-on-in-the-next-channel",
        maximum=lambda self, *arguments: np.maximum.accumulate(Plain.maximum(self, *arguments), axis=0),
    )
    yield mutant(
        "several/maximum-goes-on-in-the-next-bin",
        maximum=lambda self, *arguments: np.maximum.accumulate(Plain.maximum(self, *arguments), axis=2),
    )
    yield mutant(
        "several/sum-goes-on-in-the-next-channel",
        mean=lambda self, *arguments: np.cumsum(Plain.mean(self, *arguments), axis=0),
    )
    yield mutant("several/channels-repeat-after-8", plane=lambda self, X, image: X[image][np.arange(X.shape[1]) % 8])
    yield _missing("last-rois-of-no-full-4", lambda Y: np.s_[len(Y) // 4 * 4 :])


def _missing(name: str, place: Callable[[Array], Any]) -> Mutant:
    def finish(self: Plain, Y: Array, X: Array) -> Array:
        Y[place(Y)] = 0
        return Plain.finish(self, Y, X)

    return mutant(f"several/{name}-missing", finish=finish)


def limits() -> Iterator[Mutant]:
    """Yields integer types and buffers that are too small."""

    def as_type(dtype: Any) -> dict[str, Callable[..., Any]]:
        return changed("taps", lambda taps, a: (*(i.astype(dtype).astype(np.int64) for i in taps[:2]), taps[2]))

    yield mutant("limit/pixel-in-uint8", **as_type(np.uint8))
    yield mutant("limit/pixel-in-int8", **as_type(np.int8))
    yield mutant("limit/image-in-int8", image=lambda self, k, images, n: int(images[k].astype(np.int8)))
    yield mutant("limit/image-in-uint8", image=lambda self, k, images, n: int(images[k].astype(np.uint8)))
    yield mutant(
        "limit/divisor-in-uint8",
        divisor=lambda self, inside, y, x: y.real(np.int64(y.count * x.count).astype(np.uint8) or 1),
    )
    yield _missing("channels-beyond-64", lambda Y: np.s_[:, 64:])
    yield _missing("rois-beyond-255", lambda Y: np.s_[255:])
    yield _missing("rows-beyond-16", lambda Y: np.s_[:, :, 16:])
    yield _missing("columns-beyond-32", lambda Y: np.s_[:, :, :, 32:])


def precision() -> Iterator[Mutant]:
    """Yields numbers stored with too few bits."""

    def positions(name: str, change: Callable[[Array], Array]) -> Mutant:
        return mutant(f"bits/{name}", **changed("positions", lambda at, a: change(at).astype(a.real)))

    yield positions("positions-in-256ths", lambda at: np.floor(at * 256) / 256)
    yield positions("positions-in-4096ths", lambda at: np.floor(at * 4096) / 4096)
    yield positions("positions-in-int16", lambda at: np.round(at * 1024).astype(np.int64).astype(np.int16) / 1024)
    yield mutant("bits/weights-in-float16", **_fraction(np.float16))
    yield mutant("bits/weights-in-float32", **_fraction(np.float32))
    yield mutant(
        "bits/products-in-float16",
        **changed("products", lambda ps, a: [p.astype(np.float16).astype(p.dtype) for p in ps]),
    )
    yield mutant("bits/coordinates-in-32nds", box=lambda self, rois, k: np.round(rois[k].astype(np.float64) * 32) / 32)

    def scaled_in_the_type(self: Plain, X: Array, *rest: Any) -> Array:
        def scaled(a: Axis, value: Any) -> Any:
            return a.real(X.dtype.type(Plain.scaled(self, a, value)))

        self.scaled = scaled  # type: ignore[method-assign]
        return Plain.run(self, X, *rest)

    yield mutant("bits/scaled-coordinates-in-the-type-of-X", run=scaled_in_the_type)


def _fraction(dtype: Any) -> dict[str, Callable[..., Any]]:
    return changed("taps", lambda taps, a: (*taps[:2], taps[2].astype(dtype).astype(a.real)))
