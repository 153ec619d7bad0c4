"""RoiAlign in exact rational arithmetic: computes the expected results of the cases. Imports nothing of the package.

A RoI is cut into P bins along each axis, and each bin is sampled at g places. Along one axis, with exact numbers:

    start = roi_start * spatial_scale - offset               (pixels of the feature map)
    size  = roi_end * spatial_scale - roi_start * spatial_scale, at least `minimum`
    g     = sampling_ratio; if it is 0, ceil(size / P)
    the n-th of the P * g samples lies at start + size * (2 n + 1) / (2 P g)

A sample before -1 or beyond N, the number of pixels, is 0. Any other sample is clamped to the map and interpolated
between the two pixels around it. The mean is over all samples of the bin, including those that are 0.

Coordinates, features and spatial_scale are floats, hence fractions whose denominator is a power of two. Along an axis,
all positions and weights are therefore integers over a common denominator, and the mean is a product of three integer
matrices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["HALF_PIXEL", "OUTPUT_HALF_PIXEL", "Conditioning", "Rules", "conditioning", "roi_align", "rounded"]

Array = NDArray[Any]


class _Format(NamedTuple):
    """A float type: bits of the significand; every number is an integer times 2**smallest and less than 2**largest."""

    bits: int
    smallest: int
    largest: int


_FORMATS = {
    "float16": _Format(11, -24, 16),
    "bfloat16": _Format(8, -133, 128),
    "float32": _Format(24, -149, 128),
    "float64": _Format(53, -1074, 1024),
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The differences between RoiAligns besides their attributes. The defaults are ONNX's coordinate mode half_pixel.

    Attributes:
        offset: pixels of the feature map subtracted from every scaled coordinate.
        minimum: minimum width and height of a scaled RoI, in pixels of the feature map; None: no minimum.
        grid: rounding of the adaptive number of samples, "ceil" or "floor".
        empty: value of a bin without samples, 0.0 or NaN.
        maximum: mode max takes the maximum over the four weighted neighbours of every sample ("corners", as in ONNX's
            vector mode_max) or over the interpolated samples ("samples").
        floor: mode max returns no less than this; None: no bound.
        border: whether a sample exactly at -1 or N is "inside" or "outside".
        zero_weight: an infinite or NaN feature of weight 0 is "skipped" or "counted" (0 * infinity is NaN).
    """

    offset: Fraction = Fraction(1, 2)
    minimum: Fraction | None = None
    grid: str = "ceil"
    empty: float = 0.0
    maximum: str = "corners"
    floor: float | None = None
    border: str = "inside"
    zero_weight: str = "skipped"


HALF_PIXEL = Rules()
OUTPUT_HALF_PIXEL = Rules(offset=Fraction(0), minimum=Fraction(1))


@dataclass(frozen=True, slots=True)
class _Axis:
    """The samples of one RoI along one axis, positions in units of 1 / unit pixel.

    Attributes:
        positions: one list per bin.
        unit: the denominator.
        count: g; <= 0: no samples.
        size: size of the RoI in pixels of the feature map.
        length: N, pixels of the feature map.
    """

    positions: list[list[int]]
    unit: int
    count: int
    size: Fraction
    length: int


@dataclass(frozen=True, slots=True)
class Conditioning:
    """The distance of a call from the points at which a result is discontinuous.

    Attributes:
        cut: smallest distance of a sample from -1 or N, where its value jumps to 0, in pixels; infinite without
            samples.
        integer: smallest distance of size / P from an integer, where the adaptive grid jumps; infinite for a fixed
            grid.
        between: whether every sample lies between the centres of the first and the last pixel, so that none is clamped
            or dropped.
        reach: the largest absolute scaled coordinate, in pixels, to which rounding errors of positions are
            proportional.
        exact: whether P is a power of two, every position, step and size has at most 20 significant bits, and g is a
            power of two or divides the step as exactly, so that float32 rounds no position in any order of operations.
        samples: the largest number of samples in a bin.
    """

    cut: float
    integer: float
    between: bool
    reach: float
    exact: bool
    samples: int


def roi_align(
    X: Array,
    rois: Array,
    batch_indices: Array,
    *,
    rules: Rules = HALF_PIXEL,
    mode: str = "avg",
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Array:
    """Returns the exact result, rounded once (ties to even) to X's type.

    Args:
        X: (N, C, H, W) features.
        rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image, finite.
        batch_indices: (num_rois,) image of each RoI.
        rules: see `Rules`.
        mode: "avg" or "max".
        output_height: bins along y.
        output_width: bins along x.
        sampling_ratio: samples per bin along each axis; 0: adaptive.
        spatial_scale: rounded to float32, like an ONNX attribute.

    Returns:
        (num_rois, C, output_height, output_width), of X's type.
    """
    Y = np.zeros((len(rois), X.shape[1], output_height, output_width), X.dtype)
    grid = (output_height, output_width, sampling_ratio, spatial_scale)
    for k, roi in enumerate(rois):
        y, x = _axes(roi, X.shape[2:], grid, rules)
        plane = X[int(batch_indices[k])]
        if y.count <= 0 or x.count <= 0:
            Y[k] = rules.empty if mode == "avg" or rules.floor is None else rules.floor
        elif mode == "avg":
            Y[k] = _mean(plane, y, x, rules)
        else:
            Y[k] = _maximum(plane, y, x, rules)
    return Y


def conditioning(
    rois: Array,
    shape: tuple[int, ...],
    *,
    rules: Rules = HALF_PIXEL,
    output_height: int = 1,
    output_width: int = 1,
    sampling_ratio: int = 0,
    spatial_scale: float = 1.0,
) -> Conditioning:
    """Returns the conditioning of a call; `shape` is X's shape, the other arguments are those of `roi_align`."""
    grid = (output_height, output_width, sampling_ratio, spatial_scale)
    axes = [axis for roi in rois for axis in _axes(roi, shape[2:], grid, rules)]
    steps = [axis.size / len(axis.positions) for axis in axes if axis.positions]
    cuts = [
        Fraction(min(abs(n + axis.unit), abs(n - axis.length * axis.unit)), axis.unit)
        for axis in axes
        for n in _flat(axis)
    ]
    numbers = [Fraction(n, axis.unit) for axis in axes for n in _flat(axis)]
    numbers += [*steps, *(axis.size for axis in axes)]
    scale = Fraction(float(np.float32(spatial_scale)))
    ends = [Fraction(float(value)) * scale for value in np.ravel(rois)]
    numbers += [end - rules.offset for end in ends]
    return Conditioning(
        cut=float(min(cuts, default=math.inf)),
        integer=math.inf if sampling_ratio else float(min((abs(s - round(s)) for s in steps), default=math.inf)),
        between=all(0 <= n <= (axis.length - 1) * axis.unit for axis in axes for n in _flat(axis)),
        reach=float(max((abs(end) for end in ends), default=0)) + float(rules.offset),
        exact=all(_is_short(number) for number in (*numbers, *ends))
        and all(_is_power_of_two(len(axis.positions)) and _divides_exactly(axis) for axis in axes),
        samples=max((y.count * x.count for y, x in zip(axes[::2], axes[1::2], strict=True)), default=0),
    )


def _flat(axis: _Axis) -> Iterator[int]:
    return (n for of_bin in axis.positions for n in of_bin)


def _is_short(number: Fraction) -> bool:
    # A dyadic fraction whose numerator has at most 20 bits; sums of two such numbers of similar size fit in 24 bits.
    return _is_power_of_two(number.denominator) and number.numerator.bit_length() <= 20


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0


def _divides_exactly(axis: _Axis) -> bool:
    """Whether float32 computes (i + 1/2) * step / g without an error, multiplied and divided in any order."""
    if axis.count <= 0 or _is_power_of_two(axis.count):
        return True
    exact = axis.size / len(axis.positions) / axis.count
    step, g = np.float32(float(axis.size / len(axis.positions))), np.float32(axis.count)
    i = np.arange(axis.count, dtype=np.float32) + np.float32(0.5)
    orders = (i * step / g, i / g * step, i * (step / g), i * step * (1 / g))
    want = [float(exact * (2 * n + 1) / 2) for n in range(axis.count)]
    return _is_short(exact) and all(order.tolist() == want for order in orders)


def _axes(
    roi: Sequence[float] | Array, size: tuple[int, ...], grid: tuple[int, int, int, float], rules: Rules
) -> tuple[_Axis, _Axis]:
    x1, y1, x2, y2 = (Fraction(float(value)) for value in roi)
    output_height, output_width, ratio, spatial_scale = grid
    scale = Fraction(float(np.float32(spatial_scale)))
    y = _axis(y1 * scale, y2 * scale, size[0], output_height, ratio, rules)
    x = _axis(x1 * scale, x2 * scale, size[1], output_width, ratio, rules)
    return y, x


def _axis(first: Fraction, last: Fraction, length: int, bins: int, ratio: int, rules: Rules) -> _Axis:
    start, size = first - rules.offset, last - first
    if rules.minimum is not None:
        size = max(size, rules.minimum)
    if bins == 0:
        return _Axis([], 1, 0, size, length)
    count = ratio or (math.ceil if rules.grid == "ceil" else math.floor)(size / bins)
    if count <= 0:
        return _Axis([[] for _ in range(bins)], 1, count, size, length)
    common = math.lcm(start.denominator, size.denominator)
    unit = common * 2 * bins * count
    origin, step = int(start * unit), int(size * common)
    positions = [[origin + step * (2 * (p * count + i) + 1) for i in range(count)] for p in range(bins)]
    return _Axis(positions, unit, count, size, length)


def _taps(position: int, axis: _Axis, rules: Rules) -> list[tuple[int, int]]:
    """Returns the two (pixel, weight) of a sample, weights in units of 1 / unit; an empty list if it lies outside."""
    unit, length = axis.unit, axis.length
    if not -unit <= position <= length * unit:
        return []
    if rules.border == "outside" and position in (-unit, length * unit):
        return []
    position = max(position, 0)
    low = position // unit
    if low >= length - 1:
        return [(length - 1, unit), (length - 1, 0)]
    return [(low, unit - position % unit), (low + 1, position % unit)]


def _mean(plane: Array, y: _Axis, x: _Axis, rules: Rules) -> Array:
    rows, weights_y = _weights(y, rules)
    columns, weights_x = _weights(x, rules)
    features, unit = _integers(plane[:, rows[:, None], columns])
    sums = np.matmul(np.matmul(weights_y, features), weights_x.T)
    divisor = unit * y.unit * y.count * x.unit * x.count
    kind = _FORMATS[str(plane.dtype)]
    means: Array = np.vectorize(lambda n: _nearest(n, divisor, kind), otypes=[float])(sums)
    if not np.isfinite(plane.astype(np.float64)).all():
        _put_special(means, plane, y, x, rules)
    return means


def _weights(axis: _Axis, rules: Rules) -> tuple[Array, Array]:
    """Returns the J pixels that samples touch, and (P, J) integers: the weights of each pixel, summed by bin."""
    taps = [[tap for position in of_bin for tap in _taps(position, axis, rules)] for of_bin in axis.positions]
    pixels = sorted({pixel for of_bin in taps for pixel, _ in of_bin})
    place = {pixel: j for j, pixel in enumerate(pixels)}
    weights = np.zeros((len(taps), len(pixels)), object)
    for p, of_bin in enumerate(taps):
        for pixel, weight in of_bin:
            weights[p, place[pixel]] += weight
    return np.array(pixels, np.int64), weights


def _integers(values: Array) -> tuple[Array, int]:
    """Returns the values as integers over a common denominator, and the denominator; 0 for infinities and NaN."""
    wide = values.astype(np.float64)
    finite = np.where(np.isfinite(wide), wide, 0.0)
    ratios = [value.as_integer_ratio() for value in finite.ravel().tolist()]
    unit = max((denominator for _, denominator in ratios), default=1)  # they are powers of two
    integers = np.empty(len(ratios), object)
    integers[:] = [numerator * (unit // denominator) for numerator, denominator in ratios]
    return integers.reshape(values.shape), unit


def _put_special(means: Array, plane: Array, y: _Axis, x: _Axis, rules: Rules) -> None:
    """Overwrites the means of bins that touch an infinite or NaN feature."""
    for p, q in np.ndindex(means.shape[1:]):
        taps = [tap for samples in _samples(y, x, p, q, rules) for tap in samples]
        for c, features in enumerate(plane):
            products = [_product(features[row, column], weight, rules) for row, column, weight in taps]
            special = {value for value in products if not math.isfinite(value)}
            if special:
                means[c, p, q] = special.pop() if len(special) == 1 else math.nan


def _samples(y: _Axis, x: _Axis, p: int, q: int, rules: Rules) -> Iterator[list[tuple[int, int, int]]]:
    """Yields the four (row, column, weight) of each sample of a bin; an empty list for a sample outside the map."""
    for at_y in y.positions[p]:
        rows = _taps(at_y, y, rules)
        for at_x in x.positions[q]:
            columns = _taps(at_x, x, rules)
            yield [(row, column, wy * wx) for row, wy in rows for column, wx in columns]


def _product(feature: Any, weight: int, rules: Rules) -> float:
    """Returns weight * feature where the feature is infinite or NaN, 0 otherwise."""
    value = float(feature)
    if math.isfinite(value):
        return 0.0
    if weight == 0:
        return math.nan if rules.zero_weight == "counted" else 0.0
    return value


def _maximum(plane: Array, y: _Axis, x: _Axis, rules: Rules) -> Array:
    if np.isnan(plane.astype(np.float64)).any():
        raise ValueError("a maximum over NaN depends on the order of comparisons")
    features, unit = _integers(plane)
    divisor = unit * y.unit * x.unit
    join = max if rules.maximum == "corners" else sum
    values = np.empty((len(plane), len(y.positions), len(x.positions)))
    for p, q in np.ndindex(values.shape[1:]):
        samples = list(_samples(y, x, p, q, rules))
        for c in range(len(plane)):
            best = max(
                join([_extended(plane[c], features[c], tap, rules) for tap in taps]) if taps else 0 for taps in samples
            )
            exact = best if isinstance(best, float) else Fraction(best, divisor)
            values[c, p, q] = exact if isinstance(exact, float) else rounded(exact, plane.dtype)
    return values if rules.floor is None else np.maximum(values, rules.floor)


def _extended(plane: Array, features: Array, tap: tuple[int, int, int], rules: Rules) -> Any:
    """Returns weight * feature as an integer, or an infinity."""
    row, column, weight = tap
    special = _product(plane[row, column], weight, rules)
    return special if special else weight * features[row, column]


def rounded(exact: Fraction, dtype: np.dtype[Any]) -> float:
    """Returns the number of a type nearest to an exact number, ties to even; infinite beyond the largest number."""
    return _nearest(exact.numerator, exact.denominator, _FORMATS[str(dtype)])


def _nearest(numerator: int, denominator: int, kind: _Format) -> float:
    magnitude = abs(numerator)
    exponent = magnitude.bit_length() - denominator.bit_length() - kind.bits
    exponent = max(exponent, kind.smallest)
    if magnitude << max(-exponent, 0) >= denominator << (kind.bits + max(exponent, 0)):
        exponent += 1  # the lengths are off by one bit at most
    unit = denominator << max(exponent, 0)
    units, rest = divmod(magnitude << max(-exponent, 0), unit)  # of magnitude / denominator in units of 2**exponent
    if 2 * rest > unit or (2 * rest == unit and units % 2 == 1):
        units += 1
    value = math.inf if units.bit_length() + exponent > kind.largest else math.ldexp(units, exponent)
    return -value if numerator < 0 else value
