"""Splits the taps of a RoI's axis into pieces of bounded size, for bins with many samples and for many bins.

Sums and maxima over a bin's samples can be computed piece by piece, so no array holds all pixels that a RoI touches. An
ordinary RoI is one piece, and the taps of many ordinary RoIs are computed at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from onnx_roialign.arrays import Array
from onnx_roialign.definition.geometry import Ranges, Samples, first_taps, samples_in
from onnx_roialign.definition.taps import Taps

__all__ = ["Axis", "Piece", "axes_of", "channels_at_once", "piece_pairs", "rois_at_once", "rows_at_once"]

_Rule = Callable[[Samples], Taps]
_Columns = tuple[Array, Array, Array]  # T taps: (T,) bins, counted over all RoIs; (J, T) pixels; (J, T) weights

# Elements of one temporary array: 1 MB of float32, which stays in the second-level cache and bounds a call's memory.
_CHUNK = 1 << 18
# Samples along one axis for which geometry is computed at once.
_BLOCK = 1 << 14
# Up to this many taps along one axis are kept instead of being computed again for each piece of the other axis.
_KEPT = 1 << 17
# Pairs of a tap along y and a tap along x that are pooled at once, and the least number of taps of a piece along y.
_PAIRS = 1 << 19
_ROWS = 1 << 10


@dataclass(frozen=True, slots=True)
class Piece:
    """The bins of an axis that have taps in this piece, and these taps, as in `Taps`."""

    bins: Array  # (B,) counted from the axis's first bin
    starts: Array  # (B,) the first tap of each bin
    pixel: Array  # (J, T)
    weight: Array  # (J, T)


class _Lists:
    """The taps of the bins of a block of RoIs along one axis, by pooling rule."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges
        self._kept: dict[_Rule, _Columns | None] = {}

    def columns(self, rule: _Rule, first: int, last: int) -> Iterator[_Columns]:
        """The taps of the bins first to last - 1, counted over all RoIs."""
        if rule not in self._kept:
            self._kept[rule] = self._all(rule)
        if (kept := self._kept[rule]) is None:
            yield from self._computed(rule, *self._ranges.offsets[[first, last]])
            return
        taps = slice(*np.searchsorted(kept[0], (first, last)))
        yield kept[0][taps], kept[1][:, taps], kept[2][:, taps]

    def _computed(self, rule: _Rule, begin: int, end: int) -> Iterator[_Columns]:
        for number in range(begin, end, _BLOCK):
            yield _columns(rule(samples_in(self._ranges, number, min(number + _BLOCK, end))))

    def _all(self, rule: _Rule) -> _Columns | None:
        """All taps of the rule; None if they are too many to be kept."""
        parts = [_columns(rule(samples_in(self._ranges, 0, 0)))]
        count = 0
        for columns in self._computed(rule, 0, int(self._ranges.offsets[-1])):
            parts.append(columns)
            count += len(columns[0])
            if count > _KEPT:
                return None
        return _joined(parts)


def _columns(taps: Taps) -> _Columns:
    return np.repeat(np.arange(len(taps.offsets) - 1), np.diff(taps.offsets)), taps.pixel, taps.weight


def _joined(columns: list[_Columns]) -> _Columns:
    bins, pixels, weights = zip(*columns, strict=True)
    return np.concatenate(bins), np.concatenate(pixels, axis=1), np.concatenate(weights, axis=1)


@dataclass(frozen=True, slots=True)
class Axis:
    """Some or all bins of one RoI along one axis.

    Attributes:
        ranges: the ranges of a block of RoIs that includes this one.
        roi: its number in the block.
        bins: the first bin and the bin after the last.
        lists: the taps of all bins of the block.
    """

    ranges: Ranges
    roi: int
    bins: tuple[int, int]
    lists: _Lists

    @property
    def count(self) -> float:
        """g, samples per bin, inside and outside the map."""
        return float(self.ranges.grid.count[self.roi])

    @property
    def complete(self) -> Array:
        """(P,) whether all samples of a bin lie inside the map."""
        return self.ranges.complete[self.roi, slice(*self.bins)]

    @property
    def begins(self) -> Array:
        """(P,) whether the first sample of a bin lies inside the map."""
        return self.ranges.begins[self.roi, slice(*self.bins)]

    def first_taps(self) -> tuple[Array, Array]:
        """(2, P) pixels and weights of the first sample of each bin; pixel 0 where it lies outside the map."""
        pixel, weight = first_taps(self.ranges, self.roi)
        return pixel[:, slice(*self.bins)], weight[:, slice(*self.bins)]

    @property
    def samples(self) -> int:
        """The number of samples inside the map."""
        first, last = self._bin_numbers()
        return int(self.ranges.offsets[last] - self.ranges.offsets[first])

    def _bin_numbers(self) -> tuple[int, int]:
        before = self.roi * self.ranges.first.shape[1]
        return before + self.bins[0], before + self.bins[1]

    def parts(self, most: int) -> Iterator[Axis]:
        """Splits the axis into parts of at most this number of bins."""
        for first in range(self.bins[0], self.bins[1], most):
            yield replace(self, bins=(first, min(first + most, self.bins[1])))

    def pieces(self, rule: _Rule, most: int) -> Iterator[Piece]:
        """The taps of the bins in pieces of at most this number of taps."""
        first, last = self._bin_numbers()
        for bins, pixel, weight in self.lists.columns(rule, first, last):
            for begin in range(0, len(bins), most):
                taps = slice(begin, begin + most)
                starts = np.flatnonzero(np.diff(bins[taps], prepend=-1))
                yield Piece(bins[taps][starts] - first, starts, pixel[:, taps], weight[:, taps])


def axes_of(ranges: Ranges) -> list[Axis]:
    """The axis of each RoI of a block."""
    rois, bins = ranges.first.shape
    lists = _Lists(ranges)
    return [Axis(ranges, roi, (0, bins), lists) for roi in range(rois)]


def rois_at_once(samples: int) -> int:
    """The number of RoIs whose geometry is computed at once, given the largest number of samples along an axis."""
    return max(1, _BLOCK // samples)


def rows_at_once(values: int) -> int:
    """The number of rows of bins that are pooled at once, given the number of values of a row."""
    return max(1, _CHUNK // values)


def channels_at_once(count: int, elements: int) -> Iterator[slice]:
    """Splits channels into parts with a small temporary array of `elements` per channel, at least one channel each."""
    most = max(1, _CHUNK // max(elements, 1))
    return (slice(first, min(first + most, count)) for first in range(0, count, most))


def piece_pairs(y: Axis, x: Axis, rule: _Rule) -> Iterator[tuple[Piece, Piece]]:
    """Every piece of y with every piece of x."""
    rows = max(_ROWS, _PAIRS // max(2 * x.samples, 1))
    for down in y.pieces(rule, rows):
        for across in x.pieces(rule, max(_PAIRS // down.pixel.shape[1], 1)):
            yield down, across
