"""The test of a rewrite: runs the old and the new part of the graph on the same inputs and compares the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from onnx_roialign.arrays import Array
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.sessions.run_apart import Apart

__all__ = ["Proof", "proved"]

Feed = Mapping[str, Array]

# Relative to the largest feature: the order in which RoIs are pooled changes the last bits.
_TOLERANCE = 2e-6
_TOLERANCE_16_BIT = 2e-3


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of running both parts.

    Attributes:
        wrong: how they differ; None where they agree.
        runs_on_more: whether the new part runs on boxes on which the old part fails.
    """

    wrong: str | None
    runs_on_more: bool = False


def proved(
    old: onnx.ModelProto,
    new: onnx.ModelProto,
    feeds: Sequence[Feed],
    least: Sequence[Feed],
    ends: tuple[str, str],
    apart: Apart,
) -> Proof:
    """Runs both parts on all feeds and compares them.

    An exporter may write a number of boxes of its example input into the model; the old part then runs only on feeds
    with that number. It may fail on some of `feeds` if it runs on all of `least` and there are any, and it may always
    fail on a feed without boxes. The new part must run on every feed.

    Args:
        old: the part before the rewrite.
        new: the part after it, with the same inputs.
        feeds: arrays by input name.
        least: the feeds on which the old part must run.
        ends: the names of the output of the old part and of the new part.
        apart: runs them in another process.
    """
    all_feeds = [*feeds, *least]
    try:
        old_outcomes, new_outcomes = apart.run([old, new], all_feeds, [[end] for end in ends])
    except RoiAlignError as error:
        return Proof(str(error))
    runs_on_more = False
    for place, (feed, before, after) in enumerate(zip(all_feeds, old_outcomes, new_outcomes, strict=True)):
        if isinstance(after, str):
            return Proof(f"the part itself {before}" if isinstance(before, str) else f"the fused operator {after}")
        if isinstance(before, str):
            empty = not all(array.size for array in feed.values())
            if not empty and (place >= len(feeds) or not least):
                return Proof(f"the part itself {before}", runs_on_more=True)
            runs_on_more = runs_on_more or not empty
            continue
        difference = _difference(before, after, feed)
        if difference is not None:
            return Proof(difference)
    return Proof(None, runs_on_more)


def _difference(before: list[Array], after: list[Array], feed: Feed) -> str | None:
    (old,), (new,) = before, after
    if old.dtype != new.dtype:
        return f"the outputs have types {old.dtype} and {new.dtype}"
    if old.shape != new.shape:
        return f"the outputs have shapes {old.shape} and {new.shape}"
    if not old.size:
        return None
    floats = [array for array in feed.values() if array.ndim == 4 and array.size]
    relative = _TOLERANCE_16_BIT if old.dtype.itemsize == 2 else _TOLERANCE
    tolerance = relative * max((float(np.abs(array.astype(np.float64)).max()) for array in floats), default=1.0)
    a, b = (output.astype(np.float64) for output in (old, new))
    wrong = ~((np.abs(a - b) <= tolerance) | (np.isnan(a) & np.isnan(b)))
    if not wrong.any():
        return None
    row = int(np.argwhere(wrong)[0][0])
    return f"the outputs differ by {np.nanmax(np.abs(a - b)):.3g} (row {row} of {len(a)})"
