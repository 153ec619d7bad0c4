"""The uniform numbers that torch.rand draws on the CPU, from NumPy alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["torch_rand"]


def torch_rand(seed: int, skip: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Returns what `torch.rand(shape)` returns after `torch.manual_seed(seed)` and `skip` earlier draws.

    PyTorch and NumPy's RandomState share the Mersenne twister and its seeding; PyTorch keeps the low 24 bits of each
    32-bit draw as a fraction. So recorded inputs of several 100 KB, which no compressor makes smaller, are a seed.

    Args:
        seed: the generator's seed.
        skip: draws taken from the generator before, by a model's random weights for one.
        shape: shape of the answer.

    Returns:
        float32 numbers in [0, 1), multiples of 2**-24.
    """
    generator = np.random.RandomState(seed)  # NumPy guarantees the same stream for ever
    draws = generator.randint(0, 2**32, size=skip + math.prod(shape), dtype=np.uint32)[skip:]
    return ((draws & 0xFFFFFF).astype(np.float32) / np.float32(2**24)).reshape(shape)
