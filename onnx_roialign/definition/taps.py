"""The taps of each bin along one axis: the pixels that its samples read, and their weights, for each pooling rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition.geometry import Samples

__all__ = ["Taps", "corner_taps", "mean_taps", "sample_taps"]


@dataclass(frozen=True, slots=True)
class Taps:
    """The pixels that each bin reads along one axis: bin b of ``K * P`` has the taps ``offsets[b]:offsets[b + 1]``.

    Attributes:
        offsets: (K * P + 1,) first tap of each bin.
        pixel: (J, T) the pixels; each value is computed from J of them.
        weight: (J, T) their weights, in the coordinate type.
    """

    offsets: Array
    pixel: Array
    weight: Array


def mean_taps(samples: Samples) -> Taps:
    """Returns the taps of the average: each pixel of a bin once, J = 1, with the sum of its weights over the samples.

    The weight of a pixel is a product of one weight per axis, and the average sums over all pairs of a y and an x: the
    sum of products is the product of sums, so one weight per pixel and axis is enough, ``Y = Wy @ X @ Wx.T``.
    """
    order, start, offsets = _by_bin_and_pixel(samples, np.concatenate([samples.low, samples.high]))
    high = samples.fraction.astype(np.float64) * samples.share
    low = (1 - samples.fraction).astype(np.float64) * samples.share
    weight = np.add.reduceat(np.concatenate([low, high])[order], start)
    pixel = np.concatenate([samples.low, samples.high])[order][start]
    return Taps(offsets, pixel[None], weight[None].astype(samples.fraction.dtype))


def corner_taps(samples: Samples) -> Taps:
    """Returns the taps of the maximum over weighted pixels: each pixel of a bin, J = 2, with its two extreme weights.

    The maximum of ``w * v`` over weights w >= 0 of one pixel v is at the largest w, or at the smallest if v < 0.
    """
    order, start, offsets = _by_bin_and_pixel(samples, np.concatenate([samples.low, samples.high]))
    weight = np.concatenate([1 - samples.fraction, samples.fraction])[order]
    pixel = np.concatenate([samples.low, samples.high])[order][start]
    extremes = np.stack([np.minimum.reduceat(weight, start), np.maximum.reduceat(weight, start)])
    return Taps(offsets, np.stack([pixel, pixel]), extremes)


def sample_taps(samples: Samples) -> Taps:
    """Returns the taps of the maximum over interpolated samples: the two pixels of a sample, J = 2, with their weights.

    Interpolation between two pixels is linear and has its maximum at an end: of the samples of a bin with the same
    ``low``, the two with the smallest and the largest weight are enough.
    """
    order, start, offsets = _by_bin_and_pixel(samples, samples.low)
    fraction = samples.fraction[order]
    ends = np.stack([np.minimum.reduceat(fraction, start), np.maximum.reduceat(fraction, start)], axis=1).ravel()
    low, high = (np.repeat(pixel[order][start], 2) for pixel in (samples.low, samples.high))
    return Taps(2 * offsets, np.stack([low, high]), np.stack([1 - ends, ends]))


def _by_bin_and_pixel(samples: Samples, pixel: Array) -> tuple[Array, Array, Array]:
    """Groups taps by bin and pixel; returns their order, each group's start, and each bin's first group."""
    bin_ = np.tile(samples.bin, pixel.size // max(samples.bin.size, 1))
    key = bin_ * samples.length + pixel
    order = np.argsort(key, kind="stable")
    key = key[order]
    start = np.flatnonzero(np.diff(key, prepend=-1))
    offsets = np.searchsorted(key[start] // samples.length, np.arange(samples.complete.size + 1))
    return order, start, offsets
