"""One axis of a RoI a bounded piece at a time: what a bin of many samples, or a great many bins, take of the map.

Sums and maxima over a bin's samples can be taken piece by piece, so no array needs to hold all that a RoI touches. An
ordinary RoI is one piece, and the taps of many of those are made at once.
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
_Columns = tuple[Array, Array, Array]  # of T taps: (T,) the bin of each, counted over all RoIs, (J, T) pixel and weight

# Elements of one temporary array: 1 MB of float32 stays in the second-level cache, and bounds the memory of a call.
_CHUNK = 1 << 18
# Samples along one axis for which geometry is computed at once.
_BLOCK = 1 << 14
# Taps along one axis that are kept, rather than made anew for each piece of the other axis: 4 for each of most bins.
_KEPT = 1 << 17
# Pairs of a tap along y and one along x that are pooled at once, and taps of a piece along y where x has many.
_PAIRS = 1 << 19
_ROWS = 1 << 10


@dataclass(frozen=True, slots=True)
class Piece:
    """Those bins of an axis that have taps in this piece, and what they read; as in `Taps`."""

    bins: Array  # (B,) counted from the axis's first
    starts: Array  # (B,) where each one's taps begin
    pixel: Array  # (J, T)
    weight: Array  # (J, T)


class _Lists:
    """What the bins of a block of RoIs read along one axis, by rule."""

    def __init__(self, ranges: Ranges) -> None:
        self._ranges = ranges
        self._kept: dict[_Rule, _Columns | None] = {}

    def columns(self, rule: _Rule, first: int, last: int) -> Iterator[_Columns]:
        """The taps of the bins first to last, less one, counted over all RoIs."""
        if rule not in self._kept:
            self._kept[rule] = self._all(rule)
        if (kept := self._kept[rule]) is None:
            yield from self._made(rule, *self._ranges.offsets[[first, last]])
            return
        own = slice(*np.searchsorted(kept[0], (first, last)))
        yield kept[0][own], kept[1][:, own], kept[2][:, own]

    def _made(self, rule: _Rule, begin: int, end: int) -> Iterator[_Columns]:
        for number in range(begin, end, _BLOCK):
            yield _columns(rule(samples_in(self._ranges, number, min(number + _BLOCK, end))))

    def _all(self, rule: _Rule) -> _Columns | None:
        """None where they are too many to be kept."""
        made = [_columns(rule(samples_in(self._ranges, 0, 0)))]
        count = 0
        for columns in self._made(rule, 0, int(self._ranges.offsets[-1])):
            made.append(columns)
            count += len(columns[0])
            if count > _KEPT:
                return None
        return _joined(made)


def _columns(taps: Taps) -> _Columns:
    return np.repeat(np.arange(len(taps.offsets) - 1), np.diff(taps.offsets)), taps.pixel, taps.weight


def _joined(columns: list[_Columns]) -> _Columns:
    bins, pixels, weights = zip(*columns, strict=True)
    return np.concatenate(bins), np.concatenate(pixels, axis=1), np.concatenate(weights, axis=1)


@dataclass(frozen=True, slots=True)
class Axis:
    """Some or all of the bins of one RoI along one axis.

    Attributes:
        ranges: of the RoIs that it was computed with.
        roi: its number among them.
        bins: the first, and the one after the last.
        lists: what all bins of all these RoIs read.
    """

    ranges: Ranges
    roi: int
    bins: tuple[int, int]
    lists: _Lists

    @property
    def count(self) -> float:
        """g, samples per bin, those outside the map included."""
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
        """(2, P) pixels and weights of the first sample of each bin; of pixel 0 where it lies outside the map."""
        pixel, weight = first_taps(self.ranges, self.roi)
        return pixel[:, slice(*self.bins)], weight[:, slice(*self.bins)]

    @property
    def samples(self) -> int:
        """How many lie inside the map."""
        first, last = self._bin_numbers()
        return int(self.ranges.offsets[last] - self.ranges.offsets[first])

    def _bin_numbers(self) -> tuple[int, int]:
        before = self.roi * self.ranges.first.shape[1]
        return before + self.bins[0], before + self.bins[1]

    def parts(self, most: int) -> Iterator[Axis]:
        """So many of its bins at a time."""
        for first in range(self.bins[0], self.bins[1], most):
            yield replace(self, bins=(first, min(first + most, self.bins[1])))

    def pieces(self, rule: _Rule, most: int) -> Iterator[Piece]:
        """What the bins read, so many taps at a time."""
        first, last = self._bin_numbers()
        for bins, pixel, weight in self.lists.columns(rule, first, last):
            for begin in range(0, len(bins), most):
                own = slice(begin, begin + most)
                starts = np.flatnonzero(np.diff(bins[own], prepend=-1))
                yield Piece(bins[own][starts] - first, starts, pixel[:, own], weight[:, own])


def axes_of(ranges: Ranges) -> list[Axis]:
    """That of each RoI."""
    rois, bins = ranges.first.shape
    lists = _Lists(ranges)
    return [Axis(ranges, roi, (0, bins), lists) for roi in range(rois)]


def rois_at_once(samples: int) -> int:
    """For how many RoIs geometry is computed at once that have up to so many samples along an axis."""
    return max(1, _BLOCK // samples)


def rows_at_once(values: int) -> int:
    """How many rows of bins are pooled at once that have so many values each."""
    return max(1, _CHUNK // values)


def channels_at_once(count: int, elements: int) -> Iterator[slice]:
    """Cuts so many channels into parts of which each has few elements in one temporary array, or is one channel."""
    most = max(1, _CHUNK // max(elements, 1))
    return (slice(first, min(first + most, count)) for first in range(0, count, most))


def piece_pairs(y: Axis, x: Axis, rule: _Rule) -> Iterator[tuple[Piece, Piece]]:
    """Every piece of y with every piece of x."""
    rows = max(_ROWS, _PAIRS // max(2 * x.samples, 1))
    for down in y.pieces(rule, rows):
        for across in x.pieces(rule, max(_PAIRS // down.pixel.shape[1], 1)):
            yield down, across
