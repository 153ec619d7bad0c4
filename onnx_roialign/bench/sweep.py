"""The sweep: compares this package's kernel with ONNX Runtime's on many shapes, from one value to thousands of RoIs.

All combinations of the values below are 5,760 cases. These run:

- three covering subsets: in each, any two values of two different parameters occur together in at least one case. Cases
  are drawn at random, and the case with the most new pairs is chosen, until every pair is covered. Cases of more than
  1.3 GB or about 6e8 reads, which would take as long as all others together, are omitted (no pair needs them);
- one covering subset of thousands of RoIs of 1 to 4 values with 1 to 64 channels (`MANY_AXES`), where the work per RoI
  costs more than the work per value;
- the smallest cases: 1 RoI of 1 image on a 7x7 map with few channels, where the call costs more than the pooling.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

from onnx_roialign.bench.peers import Contestant
from onnx_roialign.bench.race import Race, race
from onnx_roialign.bench.workloads import Workload, converted, random_workload

__all__ = ["AXES", "MANY_AXES", "Case", "all_cases", "corner_cases", "covering_cases", "pairs", "run_sweep"]


@dataclass(frozen=True, slots=True)
class Case:
    """The shapes of one RoiAlign. The fields are the sweep's parameters, in the order of AXES."""

    channels: int
    map_size: tuple[int, int]
    output: tuple[int, int]
    num_rois: int
    sampling_ratio: int
    images: int

    @property
    def name(self) -> str:
        """The name: all parameters in one word."""
        n, c, k = self.images, self.channels, self.num_rois
        size, output = ("x".join(map(str, pair)) for pair in (self.map_size, self.output))
        return f"N{n}_C{c}_{size}_K{k}_to{output}_s{self.sampling_ratio or 'adaptive'}"

    def workload(self) -> Workload:
        """Returns the workload of the case; its seed depends only on the case."""
        shape = (self.images, self.channels, *self.map_size)
        seed = math.prod(prime + value for prime, value in zip((3, 5, 7, 11, 13), self._numbers(), strict=True))
        return random_workload(self.name, shape, self.num_rois, self.output, self.sampling_ratio, seed)

    def _numbers(self) -> tuple[int, ...]:
        return self.channels, math.prod(self.map_size), math.prod(self.output), self.num_rois, self.sampling_ratio

    def cost(self) -> tuple[int, float]:
        """Returns the bytes of features and output in float32, and an estimate of the number of values to read."""
        planes = self.num_rois * self.channels
        bins = planes * math.prod(self.output)
        # A RoI is about a third of its map along each axis, so an adaptive grid has about this many samples per bin.
        adaptive = [max(1.0, side / 3 / number) for side, number in zip(self.map_size, self.output, strict=True)]
        rows, columns = [self.sampling_ratio or count for count in adaptive]
        naive = bins * rows * columns
        gathered = planes * self.output[0] * rows * 2 * self.map_size[1] / 3  # the reference reads whole rows of a RoI
        return 4 * (self.images * self.channels * math.prod(self.map_size) + bins), max(naive, gathered)


# One tuple of values per field of Case.
AXES: tuple[tuple[object, ...], ...] = (
    (1, 3, 8, 64, 256, 1024),
    ((7, 7), (14, 14), (50, 84), (200, 336), (400, 672)),
    ((1, 1), (2, 2), (7, 7), (14, 14), (28, 28), (7, 3)),
    (1, 10, 100, 1000),
    (1, 2, 4, 0),
    (1, 4),
)
# Numbers of channels just below and above the widths of vectors; a map that fits in the L2 cache and one that does not.
MANY_AXES: tuple[tuple[object, ...], ...] = (
    (1, 3, 8, 15, 16, 17, 24, 32, 33, 48, 64),
    ((20, 30), (200, 304)),
    ((1, 1), (2, 1), (1, 2), (2, 2)),
    (1000, 5000, 30000),
    (1, 2, 0),
    (1, 4),
)
_MOST_BYTES, _MOST_READS = 1.3e9, 6e8
_TRIES = 200  # cases drawn per chosen case
_SUBSETS = 3
_SECOND_LOOK = 16

Pair = tuple[tuple[int, object], tuple[int, object]]


def pairs(case: Case) -> set[Pair]:
    """Returns the pairs of (parameter, value) in the case."""
    values = [(i, getattr(case, field.name)) for i, field in enumerate(fields(case))]
    return set(itertools.combinations(values, 2))


def covering_cases(seed: int = 0, axes: Sequence[tuple[object, ...]] = AXES) -> tuple[Case, ...]:
    """Returns cases within the limits on bytes and reads in which every pair of values occurs.

    Args:
        seed: seed of the random cases.
        axes: the values of each field of Case.
    """
    rng = random.Random(seed)
    missing: list[Pair] = [
        ((i, a), (j, b))
        for (i, first), (j, second) in itertools.combinations(enumerate(axes), 2)
        for a, b in itertools.product(first, second)
    ]
    cases = []
    while missing:
        wanted, left = missing[0], set(missing)
        candidates = [case for case in _drawn_with(wanted, axes, rng) if _affordable(case)]
        if not candidates:
            raise RuntimeError(f"no affordable case has {wanted}")
        # A new pair counts as much as 0.1 GB: this reduces the maps of all cases together from 13 to 6 GB.
        best = max(candidates, key=lambda case: len(pairs(case) & left) - case.cost()[0] / 1e8)
        cases.append(best)
        covered = pairs(best)
        missing = [pair for pair in missing if pair not in covered]
    return tuple(cases)


def _drawn_with(pair: Pair, axes: Sequence[tuple[object, ...]], rng: random.Random) -> Iterator[Case]:
    for _ in range(_TRIES):
        values = [rng.choice(axis) for axis in axes]
        for i, value in pair:
            values[i] = value
        yield Case(*values)  # type: ignore[arg-type]


def _affordable(case: Case) -> bool:
    size, reads = case.cost()
    return size <= _MOST_BYTES and reads <= _MOST_READS


def corner_cases() -> tuple[Case, ...]:
    """Returns the cases of 1 RoI on one 7x7 map: 1, 3 or 8 channels with every output size and sampling ratio."""
    grids = itertools.product(AXES[2], AXES[4])
    return tuple(
        Case(channels, (7, 7), output, 1, ratio, 1)  # type: ignore[arg-type]
        for (output, ratio), channels in itertools.product(grids, (1, 3, 8))
    )


def all_cases() -> tuple[Case, ...]:
    """Returns the cases of all subsets (see the module), each once, the smallest first."""
    cases = {
        *corner_cases(),
        *covering_cases(0, MANY_AXES),
        *itertools.chain.from_iterable(map(covering_cases, range(_SUBSETS))),
    }
    return tuple(sorted(cases, key=lambda case: (case.cost(), case.name)))


def run_sweep(
    cases: Sequence[Case],
    contestants: Sequence[Contestant],
    rival: str,
    *,
    dtypes: Sequence[str],
    mode: str,
    threads: Sequence[int],
    repeat: int,
    bandwidth: Callable[[int], float],
    seconds: float,
    after_case: Callable[[], None] = lambda: None,
) -> list[Race]:
    """Races the contestants on every case, type and number of threads.

    A case in which this package's kernel is slower is timed again with 16 times the samples and seconds, and the second
    result counts: among hundreds of ratios near 1, some are below 1 by chance. (The ratios of two sessions of the same
    engine, 9 samples each, were 0.88 to 1.38 on a shared host.)

    Args:
        cases: the cases.
        contestants: the contestants.
        rival: name of the contestant to compare with.
        dtypes: some of DTYPES.
        mode: "avg" or "max".
        threads: numbers of threads.
        repeat: samples per contestant.
        bandwidth: as for `race`.
        seconds: time per race after which no further sample is taken, once there are 3 samples.
        after_case: called after each race.
    """
    races = []
    for case in cases:
        original = case.workload()
        for dtype, number in itertools.product(dtypes, threads):
            workload = converted(original, dtype, mode)
            for more in (1, _SECOND_LOOK):
                result = race(
                    workload,
                    contestants,
                    threads=number,
                    repeat=more * repeat,
                    bandwidth=bandwidth,
                    seconds=more * seconds,
                )
                if not slower(result, rival):
                    break
            races.append(result)
            after_case()
    return races


def slower(result: Race, rival: str) -> bool:
    """Returns whether this package's kernel took longer than the rival on some instruction set."""
    ratios = [result.faster(ours, rival) for ours in result.results if ours.contestant.isa is not None]
    return any(ratio is not None and ratio < 1 for ratio in ratios)
