"""The probes of `identify`: small calls, each designed to give different outputs for the values of one field.

`FIELD_PROBES` determine the fields. `checks` then compare all other behaviour with the Semantics found.

All probes use one feature map, the ruler, whose channels turn an output into a length: the average of channel X over a
bin's samples is their mean x in pixels, that of FOLD_X is their mean distance from x = 8, and that of ONE is 1 for
samples that count and 0 for dropped ones. An unforeseen value (an offset of 0.25) can therefore also be measured. The
reference computes all expected readings; there are no separate formulas.

The order matters: a probe uses the fields found by the probes before it to place its samples. No probe has an adaptive
grid over a mirrored RoI, because Paddle 3.3.1 with aligned=True does not return from that call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.call import Call
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.identification.result import Value

__all__ = ["FIELD_PROBES", "Check", "Probe", "checks", "ruler"]

Box = tuple[float, float, float, float]

# Large enough that only samples of the border probe are near an edge; not square, so that swapped axes are noticed.
HEIGHT, WIDTH = 12, 16
MIDDLE_Y, MIDDLE_X = 6, 8
X, Y, FOLD_X, FOLD_Y, ONE = range(5)


@dataclass(frozen=True, slots=True)
class Check:
    """One call about behaviour that is the same for every Semantics; all its outputs are compared."""

    subject: str
    description: str
    call: Call


@dataclass(frozen=True, slots=True)
class Probe:
    """One field's probe.

    Attributes:
        field: the field of Semantics that it determines.
        description: the calls and the reason why they distinguish the values, in one sentence.
        calls: returns the calls for the Semantics found so far.
        read: converts the outputs into a few numbers with a meaning (the reading).
        hidden_by: the reason why readings of different values can be equal.
        measure: computes the field's value from the reading and the Semantics found so far, if the value is a length.
    """

    field: str
    description: str
    calls: Callable[[Semantics], tuple[Call, ...]]
    read: Callable[[Sequence[Array]], Array]
    hidden_by: str
    measure: Callable[[Array, Semantics], Value] | None = None


def ruler() -> Array:
    """Returns the (1, 5, 12, 16) float32 map that this module's docstring describes."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    return np.stack([x, y, np.abs(x - MIDDLE_X), np.abs(y - MIDDLE_Y), np.ones_like(x)])[None]


def _call(boxes: Sequence[Box], side: int = 1, **attributes: Any) -> Call:
    rois = np.array(boxes, np.float32)
    wanted = Attributes(output_height=side, output_width=side, **attributes)
    return Call(ruler(), rois, np.zeros(len(rois), np.int64), wanted)


def _around(centre: tuple[float, float], size: tuple[float, float], found: Semantics) -> Box:
    """Returns the box that has this centre and size (x, y) at scale 1 under the Semantics found so far."""
    (x, y), (width, height) = centre, size
    x1, y1 = x + found.offset - width / 2, y + found.offset - height / 2
    first, last = found.start_shift, found.end_shift
    return x1 - first, y1 - first, x1 + width - last, y1 + height - last


# Boxes of the position probes, at scale 1 and 0.5; their different fractions show whether coordinates are rounded.
_AT_ONE: Box = (4.25, 3.125, 12.625, 7.75)
_AT_HALF: Box = (9.25, 4.375, 25.75, 14.625)


def _corner_calls(_: Semantics) -> tuple[Call, ...]:
    return tuple(
        _call([box], side=2, sampling_ratio=1, spatial_scale=scale) for box, scale in ((_AT_ONE, 1.0), (_AT_HALF, 0.5))
    )


def _starts(outputs: Sequence[Array]) -> Array:
    # The two samples lie at a quarter and at three quarters of the RoI's size from its start.
    return np.concatenate([1.5 * _near(Y) - 0.5 * _far(Y) for Y in outputs])


def _shifts(outputs: Sequence[Array]) -> Array:
    # At scales 1 and 0.5 the offset is the same, but the shift counts half at scale 0.5.
    at_one, at_half = np.split(_starts(outputs), 2)
    return np.asarray(2 * (at_one - at_half))


def _sizes(outputs: Sequence[Array]) -> Array:
    return np.concatenate([2 * (_far(Y) - _near(Y)) for Y in outputs])


def _near(output: Array) -> Array:
    """Returns x and y of the sample of the first bin, for all RoIs in one row."""
    return np.column_stack([output[:, X, 0, 0], output[:, Y, 0, 0]]).ravel()


def _far(output: Array) -> Array:
    return np.column_stack([output[:, X, 1, 1], output[:, Y, 1, 1]]).ravel()


def _tiny_calls(_: Semantics) -> tuple[Call, ...]:
    # 1/16 by 1/4 pixel of the map, and 1.5 by 1.75. At this scale an end shift of 1 adds only 1/16.
    return (_call([(128, 96, 129, 100), (112, 80, 136, 108)], side=2, sampling_ratio=1, spatial_scale=1 / 16),)


# ceil gives 2, 2 and 3 samples, floor 1, 1 and 2, round 1, 2 and 2; a fixed default gives the same number each time.
_ADAPTIVE_SIZES = (1.25, 1.75, 2.5)


def _adaptive_calls(found: Semantics) -> tuple[Call, ...]:
    return (_call([_around((MIDDLE_X, MIDDLE_Y), (size, size), found) for size in _ADAPTIVE_SIZES]),)


def _folds(outputs: Sequence[Array]) -> Array:
    return np.concatenate([outputs[0][:, FOLD_X, 0, 0], outputs[0][:, FOLD_Y, 0, 0]])


def _empty_calls(found: Semantics) -> tuple[Call, ...]:
    centre = (MIDDLE_X, MIDDLE_Y)
    return _call([_around(centre, (0.0, 0.0), found)]), _call([_around(centre, (1.5, 1.5), found)], side=4)


def _ones(outputs: Sequence[Array]) -> Array:
    return np.concatenate([Y[:, ONE, 0, 0] for Y in outputs])


def _max_calls(found: Semantics) -> tuple[Call, ...]:
    box = _around((MIDDLE_X + 0.5, MIDDLE_Y + 0.5), (2.0, 2.0), found)
    return tuple(_call([box], sampling_ratio=ratio, mode="max") for ratio in (1, 2))


def _maxima(outputs: Sequence[Array]) -> Array:
    return np.array([outputs[0][0, ONE, 0, 0], outputs[1][0, X, 0, 0], outputs[1][0, Y, 0, 0]])


# Large enough that a maximum over corners of -_DEEP, a quarter of a pixel each, is below -10000.
_DEEP = 80000.0


def _start_calls(found: Semantics) -> tuple[Call, ...]:
    box = _around((MIDDLE_X + 0.5, MIDDLE_Y + 0.5), (2.0, 2.0), found)
    call = _call([box], sampling_ratio=1, mode="max")
    return (replace(call, X=np.full_like(call.X, -_DEEP)),)


def _deep(outputs: Sequence[Array]) -> Array:
    # asinh, so that start values of 0 and -2 differ as clearly as those of -10000 and none.
    return np.asarray(np.arcsinh(outputs[0][:, ONE, 0, 0]))


def _border_calls(found: Semantics) -> tuple[Call, ...]:
    xs = [(at, MIDDLE_Y) for at in (-1.25, -1, -0.5, WIDTH - 0.5, WIDTH, WIDTH + 0.25)]
    ys = [(MIDDLE_X, at) for at in (-1.25, -1, -0.5, HEIGHT - 0.5, HEIGHT, HEIGHT + 0.25)]
    return (_call([_around(centre, (2.0, 2.0), found) for centre in (*xs, *ys)], sampling_ratio=1),)


FIELD_PROBES: tuple[Probe, ...] = (
    Probe(
        field="start_shift",
        description="twice the difference of a RoI's start on the map at scale 1 and at scale 0.5: the offset "
        "cancels, a shift before scaling remains",
        calls=_corner_calls,
        read=_shifts,
        hidden_by="",
        measure=lambda seen, _: round(float(seen[0]) - (2 * _AT_ONE[0] - _AT_HALF[0]), 3),
    ),
    Probe(
        field="offset",
        description="x and y of a RoI's start on the map, at scales 1 and 0.5: the scaled corner minus the offset",
        calls=_corner_calls,
        read=_starts,
        hidden_by="",
        measure=lambda seen, found: round(_AT_ONE[0] + found.start_shift - float(seen[0]), 3),
    ),
    Probe(
        field="end_shift",
        description="width and height of the same RoIs on the map: a shift of the ends adds the shift times the "
        "scale, a shift of the starts subtracts it",
        calls=_corner_calls,
        read=_sizes,
        hidden_by="",
        measure=lambda seen, found: round(float(seen[0]) - (_AT_ONE[2] - _AT_ONE[0]) + found.start_shift, 3),
    ),
    Probe(
        field="min_size",
        description="width and height of a RoI of 1/16 x 1/4 pixel of the map and of a RoI of 1.5 x 1.75: a minimum "
        "size changes only the first",
        calls=_tiny_calls,
        read=_sizes,
        hidden_by="",
        measure=lambda seen, _: round(float(seen[0]), 3),
    ),
    Probe(
        field="adaptive",
        description="mean distance of the samples from the middle of RoIs of 1.25, 1.75 and 2.5 pixels, x then y, "
        "with sampling_ratio 0: it depends on the number of samples",
        calls=_adaptive_calls,
        read=_folds,
        hidden_by="the minimum size makes all these RoIs equal",
    ),
    Probe(
        field="empty",
        description="a map of ones pooled over a RoI of size 0, then over a RoI of 1.5 pixels in 4 x 4 bins, with "
        "sampling_ratio 0: ceil gives no samples in the first, floor none in both",
        calls=_empty_calls,
        read=_ones,
        hidden_by="no bin is without samples, because of the minimum size",
    ),
    Probe(
        field="max_rule",
        description="mode 'max' over a map of ones, one sample between four pixels: 0.25 over corners, 1 over "
        "samples; then x and y of the farthest of 2 x 2 samples",
        calls=_max_calls,
        read=_maxima,
        hidden_by="",
    ),
    Probe(
        field="max_start",
        description="asinh of mode 'max' over a map of -80000, one sample between four pixels: at least the start "
        "value of the maximum",
        calls=_start_calls,
        read=_deep,
        hidden_by="",
        measure=lambda seen, _: round(float(np.sinh(seen[0])), 3),
    ),
    Probe(
        field="border",
        description="a map of ones, one sample at x = -1.25, -1, -0.5, W - 0.5, W, W + 0.25, then the same in y: 1 "
        "if the sample counts; the second and the fifth distinguish the values",
        calls=_border_calls,
        read=_ones,
        hidden_by="",
    ),
)


def _check(boxes: Sequence[Box], images: Sequence[int] | None = None, low: float = 0.0, **attributes: Any) -> Call:
    """Returns a call on two images of seeded noise in [low, low + 1)."""
    noise = np.random.default_rng(0).random((2, 2, HEIGHT, WIDTH), np.float32) + np.float32(low)
    indices = np.zeros(len(boxes)) if images is None else np.array(images)
    return Call(noise, np.array(boxes, np.float32), indices.astype(np.int64), Attributes(**attributes))


# The coordinates have fractions such that no sample lies on a limit: no output depends on the rounding of a sample.
_INSIDE: tuple[Box, ...] = ((2.13, 1.37, 11.71, 8.29), (5.41, 3.17, 6.83, 4.91))
_BEYOND: tuple[Box, ...] = ((-4.37, 2.13, 3.29, 9.71), (9.83, 6.41, 19.17, 15.37), (30.7, 2.3, 34.9, 8.1))


@functools.cache
def checks() -> tuple[Check, ...]:
    """Returns the checks: made when they are asked for, because importing numpy.random takes long."""
    return (
        Check(
            "images",
            "RoIs of the second, the first and the second image",
            _check([*_INSIDE, _INSIDE[0]], [1, 0, 1], output_height=2, output_width=2, sampling_ratio=2),
        ),
        Check(
            "bins and grids",
            "2 x 5 bins of 3 x 3 samples at scale 0.5",
            _check(
                [(4.26, 2.74, 23.42, 16.58), (9.82, 5.14, 14.66, 9.32)],
                output_height=2,
                output_width=5,
                sampling_ratio=3,
                spatial_scale=0.5,
            ),
        ),
        Check(
            "adaptive grids",
            "3 x 2 bins, sampling_ratio 0: the number of samples along each axis follows from the bin's length",
            _check(_INSIDE, output_height=3, output_width=2),
        ),
        Check(
            "samples outside",
            "RoIs partly and wholly outside the map: samples past the limit add 0 and still count in the mean",
            _check(_BEYOND, output_height=3, output_width=3, sampling_ratio=2),
        ),
        Check(
            "mirrored RoIs",
            "x2 < x1, then y2 < y1, on a fixed grid: sampled backwards, or enlarged to the minimum size",
            _check(
                [(9.31, 2.13, 3.57, 8.71), (3.57, 8.71, 9.31, 2.13)], output_height=2, output_width=3, sampling_ratio=2
            ),
        ),
        Check(
            "maxima",
            "mode 'max' over positive features, inside and partly outside",
            _check([*_INSIDE, *_BEYOND], output_height=2, output_width=2, sampling_ratio=2, mode="max"),
        ),
        Check(
            "maxima of negatives",
            "mode 'max' over negative features: no sample inside counts as 0",
            _check(_INSIDE, low=-1.5, output_height=2, output_width=2, sampling_ratio=2, mode="max"),
        ),
    )
