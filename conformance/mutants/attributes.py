"""Errors in reading the attributes: defaults, ignored and exchanged attributes, spatial_scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from onnx_roialign.conformance.plain import Array, Node
from onnx_roialign.conformance.plain import PlainRoiAlign as Plain

from .making import Mutant, mutant

__all__ = ["attributes", "scales"]


def attributes() -> Iterator[Mutant]:
    """Yields wrong defaults, and ignored, exchanged or capped attributes."""
    yield from _defaults()
    yield from _ignored()
    yield from _changed()


def _defaults() -> Iterator[Mutant]:

    def default(name: str, **defaults: Any) -> Mutant:
        return mutant(f"default/{name}", node=lambda self, opset, given: Plain.node(self, opset, {**defaults, **given}))

    yield default("sampling-ratio-1", sampling_ratio=1)
    yield default("sampling-ratio-2", sampling_ratio=2)
    yield default("output-7x7", output_height=7, output_width=7)
    yield default("output-height-2", output_height=2)
    yield default("output-width-2", output_width=2)
    yield default("mode-max", mode="max")
    yield default("spatial-scale-1/16", spatial_scale=1 / 16)
    yield default("spatial-scale-0.25", spatial_scale=0.25)
    for opset, mode in ((10, "half_pixel"), (16, "output_half_pixel"), (22, "output_half_pixel")):
        yield mutant(
            f"default/{mode}-at-opset-{opset}",
            default_mode=lambda self, at, opset=opset, mode=mode: mode if at == opset else Plain.default_mode(self, at),
        )


def _ignored() -> Iterator[Mutant]:
    def forced(name: str, **values: Any) -> Mutant:
        return mutant(f"ignored/{name}", node=lambda self, opset, given: Plain.node(self, opset, {**given, **values}))

    yield forced("mode", mode="avg")
    yield forced("sampling-ratio", sampling_ratio=0)
    yield forced("spatial-scale", spatial_scale=1.0)
    yield forced("coordinate-mode", coordinate_transformation_mode="half_pixel")


def _changed() -> Iterator[Mutant]:
    def node(name: str, change: Callable[[Node], None]) -> Mutant:
        def changed(self: Plain, opset: int, given: Any) -> Node:
            result = Plain.node(self, opset, given)
            change(result)
            return result

        return mutant(f"attribute/{name}", node=changed)

    def exchanged(n: Node) -> None:
        n.output_height, n.output_width = n.output_width, n.output_height

    def square_of_height(n: Node) -> None:
        n.output_width = n.output_height

    def square_of_width(n: Node) -> None:
        n.output_height = n.output_width

    yield node("output-sides-exchanged", exchanged)
    yield node("output-square-of-height", square_of_height)
    yield node("output-square-of-width", square_of_width)

    def ratio(name: str, change: Callable[[int], int]) -> Mutant:
        def changed(n: Node) -> None:
            n.sampling_ratio = change(n.sampling_ratio)

        return node(f"sampling-ratio-{name}", changed)

    for cap in (1, 2, 3, 4, 8, 16, 32):
        yield ratio(f"at-most-{cap}", partial(min, cap))
    yield ratio("1-is-adaptive", lambda r: 0 if r == 1 else r)
    yield ratio("one-more", lambda r: r + 1 if r else 0)
    yield ratio("doubled", lambda r: 2 * r)
    yield ratio("is-the-total", lambda r: math.ceil(math.sqrt(r)))
    yield ratio("odd-is-rounded-up", lambda r: r + r % 2)


def scales() -> Iterator[Mutant]:
    """Yields the errors of spatial_scale."""

    def scale(name: str, change: Callable[[float], float]) -> Mutant:
        def node(self: Plain, opset: int, given: Any) -> Node:
            result = Plain.node(self, opset, given)
            result.spatial_scale = change(result.spatial_scale)
            return result

        return mutant(f"scale/{name}", node=node)

    yield scale("divides", lambda s: 1 / s)
    yield scale("twice", lambda s: s * s)
    yield scale("one-over-a-whole-stride", lambda s: 1 / max(round(1 / s), 1))
    yield scale("a-power-of-two", lambda s: 2.0 ** round(math.log2(s)))
    yield scale("in-float16", lambda s: float(np.float16(s)))
    yield scale("with-two-decimals", lambda s: round(s, 2))
    yield scale("at-most-1", lambda s: min(s, 1.0))
    for name in "yx":
        yield mutant(
            f"scale/not-along-{name}",
            scaled=lambda self, a, v, name=name: (
                v - a.real(a.node.meaning["offset"]) if a.name == name else Plain.scaled(self, a, v)
            ),
        )
    yield mutant("scale/rounds-to-whole-pixels", scaled=lambda self, a, v: np.round(Plain.scaled(self, a, v)))
    yield mutant("scale/not-of-the-end", axes=_unscaled_end)


def _unscaled_end(self: Plain, box: Array, shape: Any, node: Node, real: Any) -> Any:
    s = real(node.spatial_scale)
    return Plain.axes(self, np.asarray([box[0], box[1], box[2] / s, box[3] / s]), shape, node, real)
