"""Bad and unusual inputs: an error or a right result, within bounded time and memory, and never in silence."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from onnx_roialign.arrays import Array

from ..case import Case, Tier
from .building import features, refused_case, roi_case

__all__ = ["cases"]

TEXT = "ONNX's text of RoiAlign"
INDEX = f'{TEXT}, batch_indices: "the index of the corresponding image in the batch"'

robust = partial(roi_case, tier=Tier.ROBUST)


def cases() -> Iterator[Case]:
    """Yields the cases of this group."""
    yield from _batch_indices()


def good_inputs() -> dict[str, Array]:
    """Returns the inputs of a call that is right, for a case to spoil one."""
    return {
        "X": features(2, 2, 5, 6),
        "rois": np.array([[0.5, 0.5, 3.5, 2.5], [1, 1, 4, 4]], np.float32),
        "batch_indices": np.array([0, 1], np.int64),
    }


def _batch_indices() -> Iterator[Case]:
    for index in (-1, 2, 2**31, 2**32, -(2**63)):
        yield refused_case(
            f"robust/batch-index-{index}-of-2-images",
            f"A batch index of {index} names no image of two: it must not wrap, be read outside or be ignored.",
            {**good_inputs(), "batch_indices": np.array([0, index], np.int64)},
            source=INDEX,
            sampling_ratio=2,
        )
    yield refused_case(
        "robust/batch-index-without-images",
        "Without images every batch index is out of range.",
        {**good_inputs(), "X": features(0, 2, 5, 6)},
        source=INDEX,
        sampling_ratio=2,
    )
