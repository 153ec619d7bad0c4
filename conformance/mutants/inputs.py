"""Errors in reading the inputs and placing the outputs: boxes, images, channels, strides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from onnx_roialign.conformance.plain import Array, Node
from onnx_roialign.conformance.plain import PlainRoiAlign as Plain

from .making import Mutant, mutant

__all__ = ["boxes", "order"]


def boxes() -> Iterator[Mutant]:
    """Yields the errors of the corners of RoIs."""

    def reordered(name: str, order: Callable[[Array], Any]) -> Mutant:
        return mutant(f"box/{name}", box=lambda self, rois, k: np.asarray(order(rois[k])))

    yield reordered("y1-x1-y2-x2", lambda r: r[[1, 0, 3, 2]])
    yield reordered("x1-x2-y1-y2", lambda r: r[[0, 2, 1, 3]])
    yield reordered("corner-and-size", lambda r: [r[0], r[1], r[0] + r[2], r[1] + r[3]])
    yield reordered("centre-and-size", lambda r: [r[0] - r[2] / 2, r[1] - r[3] / 2, r[0] + r[2] / 2, r[1] + r[3] / 2])
    yield reordered("corners-exchanged", lambda r: r[[2, 3, 0, 1]])
    yield reordered("corners-sorted", lambda r: [*np.minimum(r[:2], r[2:]), *np.maximum(r[:2], r[2:])])
    yield reordered("not-below-0", lambda r: np.maximum(r, r.dtype.type(0)))
    yield reordered("y2-from-x2", lambda r: r[[0, 1, 2, 2]])
    yield reordered("y1-from-x1", lambda r: r[[0, 0, 2, 3]])
    for rounding in (np.round, np.floor, np.ceil, np.trunc):
        yield reordered(f"{rounding.__name__}-of-coordinates", rounding)
    yield reordered("outwards-to-whole-pixels", lambda r: [*np.floor(r[:2]), *np.ceil(r[2:])])
    yield reordered("coordinates-in-float16", lambda r: r.astype(np.float16))
    yield reordered("coordinates-in-float32", lambda r: r.astype(np.float32))
    yield reordered("one-more-at-the-end", lambda r: [*r[:2], *(r[2:] + r.dtype.type(1))])
    yield reordered("one-less-at-the-end", lambda r: [*r[:2], *(r[2:] - r.dtype.type(1))])
    yield mutant("box/always-the-first", box=lambda self, rois, k: rois[0])
    yield mutant("box/reversed", box=lambda self, rois, k: rois[len(rois) - 1 - k])
    yield mutant("box/next", box=lambda self, rois, k: rois[(k + 1) % len(rois)])

    def clipped(self: Plain, box: Array, shape: Any, node: Node, real: Any) -> Any:
        limits = np.array([shape[1], shape[0], shape[1], shape[0]]) / node.spatial_scale
        return Plain.axes(self, np.clip(box.astype(np.float64), 0, limits), shape, node, real)

    yield mutant("box/cut-to-the-map", axes=clipped)


def order() -> Iterator[Mutant]:
    """Yields the errors of the order of RoIs, images and channels."""
    yield from _images()
    yield from _missing_outputs()
    yield from _moved_outputs()
    yield from _planes()


def _images() -> Iterator[Mutant]:

    def images(name: str, image: Callable[[int, Array, int], int]) -> Mutant:
        return mutant(f"image/{name}", image=lambda self, k, indices, n: image(k, indices, n))

    yield images("always-0", lambda k, indices, n: 0)
    yield images("always-the-last", lambda k, indices, n: n - 1)
    yield images("by-position", lambda k, indices, n: k % n)
    yield images("reversed", lambda k, indices, n: n - 1 - int(indices[k]))
    yield images("of-the-first-roi", lambda k, indices, n: int(indices[0]))
    yield images("of-the-previous-roi", lambda k, indices, n: int(indices[k - 1]))
    yield images("of-the-roi-from-the-end", lambda k, indices, n: int(indices[-1 - k]))
    yield images("one-further", lambda k, indices, n: (int(indices[k]) + 1) % n)
    yield images("sorted", lambda k, indices, n: int(np.sort(indices)[k]))
    yield images("at-most-1", lambda k, indices, n: min(int(indices[k]), 1))


def _missing_outputs() -> Iterator[Mutant]:
    def only(name: str, change: Callable[[Array], None]) -> Mutant:
        def finish(self: Plain, Y: Array, X: Array) -> Array:
            change(Y)
            return Plain.finish(self, Y, X)

        return mutant(f"output/{name}", finish=finish)

    def zero(*places: Any) -> Callable[[Array], None]:
        def change(Y: Array) -> None:
            for place in places:
                Y[place] = 0

        return change

    yield only("first-roi-only", zero(np.s_[1:]))
    yield only("last-roi-missing", zero(np.s_[-1:]))
    yield only("first-channel-only", zero(np.s_[:, 1:]))
    yield only("last-channel-missing", zero(np.s_[:, -1:]))
    yield only("last-bins-missing", zero(np.s_[:, :, -1:], np.s_[:, :, :, -1:]))
    yield only("channels-beyond-16-missing", zero(np.s_[:, 16:]))
    yield only("channels-of-no-full-4-missing", lambda Y: zero(np.s_[:, Y.shape[1] - Y.shape[1] % 4 :])(Y))
    yield only("rois-beyond-64-missing", zero(np.s_[64:]))


def _moved_outputs() -> Iterator[Mutant]:
    def moved(name: str, move: Callable[[Array], Array]) -> Mutant:
        return mutant(f"output/{name}", finish=lambda self, Y, X: Plain.finish(self, np.ascontiguousarray(move(Y)), X))

    yield moved("bins-transposed", lambda Y: np.swapaxes(Y, 2, 3))
    yield moved("bins-transposed-in-the-same-shape", lambda Y: np.swapaxes(Y, 2, 3).reshape(Y.shape))
    yield moved("rows-upside-down", lambda Y: Y[:, :, ::-1])
    yield moved("columns-mirrored", lambda Y: Y[:, :, :, ::-1])
    yield moved("channels-reversed", lambda Y: Y[:, ::-1])
    yield moved("channels-rotated", lambda Y: np.roll(Y, 1, axis=1))
    yield moved("channels-last", lambda Y: np.moveaxis(Y, 1, 3))
    yield moved("channels-last-in-the-same-shape", lambda Y: np.moveaxis(Y, 1, 3).reshape(Y.shape))
    yield moved("rois-and-channels-exchanged", lambda Y: np.swapaxes(Y, 0, 1).reshape(Y.shape))
    yield moved("rois-reversed", lambda Y: Y[::-1])
    yield moved("one-row-for-no-rois", lambda Y: Y if len(Y) else np.zeros((1, *Y.shape[1:]), Y.dtype))


def _planes() -> Iterator[Mutant]:
    def read(name: str, change: Callable[[Array], Array]) -> Mutant:
        return mutant(f"plane/{name}", plane=lambda self, X, image: change(X[image]))

    yield read("transposed", lambda p: np.swapaxes(p, 1, 2).reshape(p.shape))
    yield read("channels-last", lambda p: p.reshape(p.shape[1], p.shape[2], p.shape[0]).transpose(2, 0, 1))
    yield read("first-channel-for-all", lambda p: np.repeat(p[:1], len(p), axis=0))
    yield mutant("plane/stride-of-H-times-H", plane=lambda self, X, image: _strided(X, image, X.shape[2] ** 2))
    yield mutant("plane/stride-without-channels", plane=lambda self, X, image: _strided(X, image, None))


def _strided(X: Array, image: int, plane: int | None) -> Array:
    """Reads an image with a wrong plane size; None: as if images had one channel."""
    _, C, H, W = X.shape
    begin = image * H * W if plane is None else image * C * plane
    index = begin + np.arange(C)[:, None] * (plane or H * W) + np.arange(H * W)
    flat = np.concatenate([X.ravel(), np.zeros(1, X.dtype)])
    return np.asarray(flat[np.minimum(index, X.size)].reshape(C, H, W))
