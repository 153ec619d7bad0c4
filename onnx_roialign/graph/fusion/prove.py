"""The proof of a rewrite: the old part of the graph and the new one side by side, on inputs that tell them apart."""

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

# Of the largest feature: RoIs that are pooled together in another order differ in the last bits.
_TOLERANCE = 2e-6
_TOLERANCE_16_BIT = 2e-3


@dataclass(frozen=True, slots=True)
class Proof:
    """What running both parts has shown.

    Attributes:
        wrong: what tells them apart; None where they agree.
        mended: whether the new part runs on boxes on which the old one does not.
    """

    wrong: str | None
    mended: bool = False


def proved(
    old: onnx.ModelProto,
    new: onnx.ModelProto,
    feeds: Sequence[Feed],
    least: Sequence[Feed],
    ends: tuple[str, str],
    apart: Apart,
) -> Proof:
    """Runs both parts on all feeds and compares them.

    An exporter may fix a number that its example had: then the old part runs only where that number comes in. Where it
    does not run on some feeds, it must on all of the least ones, if there are any; where it does not run on a feed
    without boxes, nothing is asked of it. The new part must run on every feed.

    Args:
        old: the part as it was.
        new: as it would be, of the same inputs.
        feeds: array by name.
        least: those that the old part must run on.
        ends: the output of each.
        apart: runs them.
    """
    given = [*feeds, *least]
    try:
        before, after = apart.run([old, new], given, [[end] for end in ends])
    except RoiAlignError as error:
        return Proof(str(error))
    mended = False
    for place, (feed, one, other) in enumerate(zip(given, before, after, strict=True)):
        if isinstance(other, str):
            return Proof(f"the new node {other}" if not isinstance(one, str) else f"the part that would be fused {one}")
        if isinstance(one, str):
            empty = not all(array.size for array in feed.values())
            if not empty and (place >= len(feeds) or not least):
                return Proof(f"the part that would be fused {one}", mended=True)
            mended = mended or not empty
            continue
        text = _differ(one, other, feed)
        if text is not None:
            return Proof(text)
    return Proof(None, mended)


def _differ(one: list[Array], other: list[Array], feed: Feed) -> str | None:
    if one[0].dtype != other[0].dtype:
        return f"outputs of {one[0].dtype} and {other[0].dtype}"
    if one[0].shape != other[0].shape:
        return f"outputs of shapes {one[0].shape} and {other[0].shape}"
    if not one[0].size:
        return None
    floats = [array for array in feed.values() if array.ndim == 4 and array.size]
    bar = _TOLERANCE_16_BIT if one[0].dtype.itemsize == 2 else _TOLERANCE
    most = bar * max((float(np.abs(array.astype(np.float64)).max()) for array in floats), default=1.0)
    a, b = (outcome[0].astype(np.float64) for outcome in (one, other))
    wrong = ~((np.abs(a - b) <= most) | (np.isnan(a) & np.isnan(b)))
    if not wrong.any():
        return None
    row = int(np.argwhere(wrong)[0][0])
    return f"outputs that differ by {np.nanmax(np.abs(a - b)):.3g} (row {row} of {len(a)})"
