"""Calls for kernel_check.cpp with the reference's results: all types and rules, the tails of every vector's lanes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
import tolerances

from onnx_roialign.arrays import ordinal
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.element_types import element_type
from onnx_roialign.definition.semantics import PRESETS
from onnx_roialign.engines import native

SEED = 20261122
DTYPES = tuple(map(np.dtype, (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)))
RULES = (("avg", "onnx_half_pixel"), ("max", "onnx_half_pixel"), ("max", "openvino_half_pixel"))
# One less, as many and one more than the lanes of each vector: 2 and 4 (128 bits) to 8 and 16 (512 bits).
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17)
HEIGHT, WIDTH = 9, 96
SPECIAL = (np.nan, np.inf, -np.inf)

# What worst_differences() may return at most.
BARS = {
    "float32": tolerances.FLOAT32,
    "float64": tolerances.FLOAT64,
    "float16": tolerances.SIXTEEN_BIT_ULP,
    "bfloat16": tolerances.SIXTEEN_BIT_ULP,
    "float16, exact": 0,
    "bfloat16, exact": 0,
}


@dataclass(frozen=True)
class Call:
    """One call and the reference's result; exact: every sum is exact in float32, so the result is too."""

    X: np.ndarray
    rois: np.ndarray
    batch_indices: np.ndarray
    attributes: Attributes
    Y: np.ndarray
    exact: bool

    def pack(self) -> bytes:
        arguments = native._arguments(self.attributes)
        arguments.type = element_type(self.X.dtype).number
        arguments.N, arguments.C, arguments.H, arguments.W = self.X.shape
        arguments.num_rois = len(self.rois)
        return b"".join([bytes(arguments), self.X.tobytes(), self.rois.tobytes(), self.batch_indices.tobytes()])

    def difference(self, Y: np.ndarray) -> float:
        """Float32 and float64: in units of max|X|. 16-bit: in ULP, 0 where float32 sums cannot resolve one.

        Infinite where only one of the two is NaN.
        """
        with np.errstate(invalid="ignore"):
            X, want, got = (array.astype(np.float64) for array in (self.X, self.Y, Y))
            same = (want == got) | (np.isnan(want) & np.isnan(got))
            apart = np.where(same, 0.0, np.abs(want - got))
        apart[np.isnan(apart)] = np.inf
        largest = np.abs(X[np.isfinite(X)]).max(initial=0.0)
        if self.X.dtype.itemsize > 2:
            apart /= largest
        else:
            cancels = apart <= tolerances.FLOAT32 * largest
            ulp = np.abs(ordinal(self.Y) - ordinal(Y))
            apart = np.where(same | (cancels & (not self.exact)), 0.0, np.where(np.isfinite(apart), ulp, np.inf))
        return float(apart.max(initial=0.0))


def make_call(X, rois, batch_indices, attributes, exact=False) -> Call:
    return Call(X, rois, batch_indices, attributes, reference.roi_align(X, rois, batch_indices, attributes), exact)


def draw_rois(rng: np.random.Generator) -> np.ndarray:
    """Boxes inside, thin, as wide as the map and wider, half and wholly outside, without size, inverted, far away."""
    fixed = [
        (0, 0, WIDTH, HEIGHT),
        (-20, -3, WIDTH + 20, HEIGHT + 3),
        (-9, -9, 3, 3),
        (WIDTH + 5, 0, WIDTH + 9, 4),
        (WIDTH - 4, HEIGHT - 2, WIDTH + 1, HEIGHT + 1),
        (5, 5, 5, 5),
        (30, 7, 10, 2),
        (0, -3000, 3000, 3000),
        (-9.5, -0.5, 86.5, HEIGHT),  # five bins of one sample: far apart, the first on pixel 0
    ]
    start = rng.uniform(-1, 7, (6, 2)) * (WIDTH / HEIGHT, 1)
    drawn = np.hstack(
        [start, start + rng.uniform(0.2, 3, (6, 2)) * ((1, 1), (10, 1), (4, 1), (1, 2), (0.1, 2), (8, 2))]
    )
    return np.vstack([fixed, drawn])


def tail_calls(dtype: np.dtype, mode: str, semantics: str) -> Iterator[Call]:
    """Every channel count with every output width; every second call has pixels that are not finite."""
    rng = np.random.default_rng(SEED)
    for channels in (0, *SIZES):
        for i, output_width in enumerate(SIZES):
            X = rng.standard_normal((2, channels, HEIGHT, WIDTH))
            if i % 2:
                places = rng.random(X.shape) < 0.003
                X[places] = rng.choice(SPECIAL, places.sum())
            rois = draw_rois(rng).astype(dtype)
            attributes = Attributes(
                output_height=int(rng.choice(SIZES)),
                output_width=output_width,
                sampling_ratio=int(rng.integers(3)),
                mode=mode,
                semantics=PRESETS[semantics],
            )
            yield make_call(X.astype(dtype), rois, rng.integers(0, 2, len(rois)), attributes)


def crowded_calls(dtype: np.dtype, mode: str, semantics: str) -> Iterator[Call]:
    """So many RoIs on so much taller a map that they are pooled from a tile whose rows come and go."""
    rng = np.random.default_rng(SEED + 1)
    for channels in (4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 65):
        height, width = int(rng.integers(50, 70)), int(rng.choice((15, 16, 17, 31, 33, 50)))
        X = rng.standard_normal((2, channels, height, width))
        if channels % 2:
            places = rng.random(X.shape) < 0.0003
            X[places] = rng.choice(SPECIAL, places.sum())
        start = rng.uniform(-3, 1, (150, 2)) + rng.uniform(0, 1, (150, 2)) * (width, height)
        rois = np.hstack([start, start + rng.uniform(-1, 9, start.shape)])
        attributes = Attributes(
            output_height=int(rng.integers(1, 9)),
            output_width=int(rng.integers(1, 9)),
            sampling_ratio=int(rng.integers(4)),
            mode=mode,
            semantics=PRESETS[semantics],
        )
        yield make_call(X.astype(dtype), rois.astype(dtype), rng.integers(0, 2, len(rois)), attributes)


def many_calls(dtype: np.dtype, mode: str, semantics: str) -> Iterator[Call]:
    """So many RoIs of few bins that most are pooled as soon as they are planned; the large ones among them are not.

    Their number is about that of a block of plans (1024) and of one thread's share of it (128).
    """
    rng = np.random.default_rng(SEED + 5)
    counts, outputs = (1023, 1024, 1025, 127, 128, 129, 2049), ((1, 1), (2, 2), (2, 1), (1, 2), (3, 3))
    for i, channels in enumerate((0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 65)):
        X = rng.standard_normal((3, channels, 40, 50))
        if channels % 2:
            places = rng.random(X.shape) < 0.0003
            X[places] = rng.choice(SPECIAL, places.sum())
        count = counts[i % len(counts)]
        start = rng.uniform(-3, 1, (count, 2)) + rng.uniform(0, 1, (count, 2)) * (50, 40)
        side = rng.uniform(-1, 4, (count, 2)) * np.where(rng.random((count, 1)) < 0.1, 8, 1)
        attributes = Attributes(
            *outputs[i % len(outputs)], sampling_ratio=(1, 2, 0)[i % 3], mode=mode, semantics=PRESETS[semantics]
        )
        yield make_call(
            X.astype(dtype), np.hstack([start, start + side]).astype(dtype), rng.integers(0, 3, count), attributes
        )


def large_calls(dtype: np.dtype, mode: str, semantics: str) -> Iterator[Call]:
    """So many bins that a RoI's are transposed in parts: the last of one row, of few bins, or of many."""
    rng = np.random.default_rng(SEED + 2)
    for channels, output in ((16, (85, 3)), (17, (130, 7)), (33, (9, 65)), (65, (29, 29)), (16, (1, 1000))):
        X = rng.standard_normal((1, channels, 60, 50))
        start = rng.uniform(0, 9, (12, 2))
        rois = np.hstack([start, start + rng.uniform(20, 45, start.shape)])
        attributes = Attributes(*output, sampling_ratio=1, mode=mode, semantics=PRESETS[semantics])
        yield make_call(X.astype(dtype), rois.astype(dtype), np.zeros(len(rois), np.int64), attributes)


def wide_calls(dtype: np.dtype, mode: str, semantics: str) -> Iterator[Call]:
    """A map so wide that a tile of AVX2 or the baseline holds single vectors of channels only, not pairs."""
    rng = np.random.default_rng(SEED + 3)
    X = rng.standard_normal((1, 16, 60, 800))
    start = rng.uniform(0, 1, (60, 2)) * (760, 29)
    rois = np.hstack([start, np.add(start, (40, 30))])
    attributes = Attributes(7, 7, sampling_ratio=2, mode=mode, semantics=PRESETS[semantics])
    yield make_call(X.astype(dtype), rois.astype(dtype), np.zeros(len(rois), np.int64), attributes)


def few_calls(dtype: np.dtype) -> Iterator[Call]:
    """One RoI of about as many samples as are computed without a plan: a few, up to the limit of 64, and one more."""
    rng = np.random.default_rng(SEED + 4)
    shapes = (
        *((1, (1, 1), 1), (1, (1, 1), 8), (1, (1, 1), 9), (1, (8, 8), 1), (1, (13, 5), 1), (64, (1, 1), 1)),
        *((65, (1, 1), 1), (3, (2, 2), 2), (5, (2, 3), 1), (1, (1, 1), 0), (2, (1, 3), 0), (8, (1, 1), 0)),
    )
    on_the_cuts = [(-2, -2, 0, 0), (-1, -1, 0, 0), (11, 8, 13, 10), (12, 9, 13, 10)]  # their middles, less 0 or 0.5
    for semantics in dict.fromkeys(PRESETS.values()):
        for i, roi in enumerate([*on_the_cuts, *draw_rois(rng) * (0.125, 1, 0.125, 1)]):
            for channels, output, sampling_ratio in (shapes[(i + j) % len(shapes)] for j in (0, 4, 9)):
                X = rng.standard_normal((2, channels, HEIGHT, 12))
                places = rng.random(X.shape) < 0.03
                X[places] = rng.choice(SPECIAL, places.sum())
                attributes = Attributes(*output, sampling_ratio=sampling_ratio, semantics=semantics)
                yield make_call(X.astype(dtype), np.array([roi], dtype), rng.integers(0, 2, 1), attributes)


def every_value_call(dtype: np.dtype, channels: int, height: int) -> Call:
    """Each of the 65,536 values of a 16-bit type, and the mean of each two neighbours, which covers every tie."""
    X = np.arange(2**16).astype(np.uint16).view(dtype).reshape(1, channels, height, 64)
    rois = np.array([(0, 0, 64, height), (0.5, 0, 64.5, height)], dtype)
    return make_call(X, rois, np.zeros(2, np.int64), Attributes(height, 64, sampling_ratio=1), exact=True)


def all_calls() -> list[Call]:
    drawn = ((dtype, *rule) for dtype in DTYPES for rule in RULES)
    makers = (tail_calls, crowded_calls, many_calls, large_calls, wide_calls)
    calls = [call for one in drawn for make in makers for call in make(*one)]
    calls += [call for dtype in DTYPES for call in few_calls(dtype)]
    # The first shape is pooled pixel by pixel, the second from a tile.
    shapes = [(dtype, *shape) for dtype in DTYPES if dtype.itemsize == 2 for shape in ((1024, 1), (64, 16))]
    return calls + [every_value_call(*shape) for shape in shapes]


def read_answers(calls: list[Call], path: Path) -> list[np.ndarray]:
    data = path.read_bytes()
    assert len(data) == sum(call.Y.nbytes for call in calls)
    answers, at = [], 0
    for call in calls:
        answers.append(np.frombuffer(data, call.Y.dtype, call.Y.size, at).reshape(call.Y.shape))
        at += call.Y.nbytes
    return answers


def worst_differences(calls: list[Call], answers: list[np.ndarray]) -> dict[str, float]:
    """By type, in the units of Call.difference; a call that must be exact counts as the type's "exact"."""
    worst: dict[str, float] = {}
    for call, answer in zip(calls, answers, strict=True):
        name = f"{call.X.dtype.name}{', exact' if call.exact else ''}"
        worst[name] = max(worst.get(name, 0.0), call.difference(answer))
    return worst
