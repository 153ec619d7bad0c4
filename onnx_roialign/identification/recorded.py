"""Finds the Semantics that explains recorded calls of an unknown RoIAlign, by elimination.

Every combination of the known values of the fields is a candidate. Each call eliminates the candidates that compute
another output. Two rules make this work on real recordings:

1. Ill-conditioned bins eliminate nothing. If a sample is within rounding of a limit (-1, H, W), or a bin's length
   within rounding of a whole number of samples, the output is discontinuous, and its side depends on the order of
   additions in the framework: Paddle 3.3.1 adds the terms of a position in another order, so its output can differ by a
   whole value. But only samples exactly on a limit show `border`. Fields that are still open after the elimination are
   therefore decided by the majority of the bins in which their values differ; rounding changes only a few of them.
2. A field without effect in a call (max_rule in an average, adaptive in a fixed grid) does not split its candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from onnx_roialign.arrays import RECORDED, Array, close, largest_finite
from onnx_roialign.definition.call import Call
from onnx_roialign.definition.element_types import coordinate_type
from onnx_roialign.definition.geometry import RoiAxis, axis_samples, roi_axes
from onnx_roialign.definition.onnx_form import ADAPTIVE_FIELDS, MAX_FIELDS, relevant
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.identification.result import FIELDS, Evidence, Identified, Value, combinations, conclude

__all__ = ["RecordedCall", "identify_recorded"]

# How far another order of additions can move a sample, in units in the last place of the RoI's largest coordinate:
# Paddle's order moves it by 2, and the RoI's end and size are rounded once each. 1 % of recorded bins are that near.
ULPS = 4
# The share of the bins that distinguish two values which the better value must explain.
MAJORITY = 0.75


@dataclass(frozen=True, slots=True)
class RecordedCall(Call):
    """One call and its output.

    Attributes:
        attributes: attributes of the call; their `semantics` are ignored.
        Y: (num_rois, C, output_height, output_width) output.
        name: name of the call in the evidence.
    """

    Y: Array
    name: str = ""


def identify_recorded(calls: Iterable[RecordedCall]) -> Identified:
    """Finds the Semantics that explains recorded calls, with any number of RoIs and images.

    Args:
        calls: at least one call, all of the same RoIAlign.

    Returns:
        The meaning; a field that no call shows is hidden. If no combination of known values explains all calls, the
        evidence has an odd entry "recorded calls", which names the first call that contradicts the calls before it.

    Raises:
        RoiAlignError: there are no calls, an input is invalid, or an output has the wrong shape.
    """
    table = [_Table(_named(call, i)) for i, call in enumerate(_checked(calls))]
    if not table:
        raise RoiAlignError("calls", "range", "must be at least one, got none")
    alive = combinations(FIELDS)
    for entry in table:
        left = [semantics for semantics in alive if entry.explains(semantics)]
        if not left:
            return conclude([*_not_judged(), _unexplained(entry, alive[0])], [])
        alive = left
    evidence: list[Evidence] = []
    for field in FIELDS:
        weighed = _weigh(field, alive, table)
        if weighed.verdict == "decided":
            alive = [semantics for semantics in alive if getattr(semantics, field) == weighed.value]
        evidence.append(weighed)
    kept = {field: {getattr(semantics, field) for semantics in alive} for field in FIELDS}
    fitting = {field: tuple(value for value in values if value in kept[field]) for field, values in FIELDS.items()}
    return conclude([replace(entry, fitting=fitting[entry.subject]) for entry in evidence], alive)


def _checked(calls: Iterable[RecordedCall]) -> Iterator[RecordedCall]:
    try:
        iterator: Iterator[Any] = iter(calls)
    except TypeError:
        iterator = iter((calls,))
    for call in iterator:
        if not isinstance(call, RecordedCall):
            raise RoiAlignError("calls", "type", f"must be a list of RecordedCall, got {shown(call)}")
        yield call


def _named(call: RecordedCall, index: int) -> RecordedCall:
    shape = call.output_shape
    name = call.name or f"call {index}"
    if call.Y.shape != shape:
        raise RoiAlignError("Y", "shape", f"must have shape {shape}, got shape {call.Y.shape} ({name})")
    return replace(call, name=name)


class _Table:
    """One recorded call with the reference's output for each Semantics, computed once for equal effects."""

    def __init__(self, call: RecordedCall) -> None:
        self.call = call
        self.tolerance = RECORDED * (largest_finite(call.X) or 1.0)
        self._outputs: dict[Semantics, Array] = {}
        self._steady: dict[Semantics, Array] = {}

    def output(self, semantics: Semantics) -> Array:
        shown = relevant(replace(self.call.attributes, semantics=semantics))
        if shown not in self._outputs:
            self._outputs[shown] = self.call.expected(shown).astype(np.float64)
        return self._outputs[shown]

    def steady(self, semantics: Semantics) -> Array:
        """Returns (num_rois, 1, output_height, output_width): whether bins do not depend on the last bits."""
        shown = relevant(replace(self.call.attributes, semantics=semantics))
        if shown not in self._steady:
            self._steady[shown] = _steady(self.call, shown)
        return self._steady[shown]

    def agrees(self, semantics: Semantics) -> Array:
        return close(self.output(semantics), self.call.Y, self.tolerance)

    def explains(self, semantics: Semantics) -> bool:
        agrees = self.agrees(semantics)
        return bool(agrees.all()) or bool(np.all(agrees | ~self.steady(semantics)))


def _steady(call: RecordedCall, semantics: Semantics) -> Array:
    corners = call.rois.astype(coordinate_type(call.X.dtype))
    size, attributes = call.X.shape[2:], replace(call.attributes, semantics=semantics)
    unscaled = roi_axes(corners, size, replace(attributes, spatial_scale=1.0, semantics=Semantics(offset=0.0)))
    y, x = (_steady_bins(*pair) for pair in zip(roi_axes(corners, size, attributes), unscaled, strict=True))
    mask: Array = y[:, None, :, None] & x[:, None, None, :]
    return mask


def _steady_bins(axis: RoiAxis, unscaled: RoiAxis) -> Array:
    """Returns (K, P) bool: bins of one axis whose samples do not depend on the last bits."""
    first, last, semantics = axis.start, axis.end, axis.semantics
    # Equal corners give a size of exactly 0 in any order of operations.
    point = (unscaled.start == unscaled.end) & (semantics.end_shift == semantics.start_shift)
    least = 0.0 if semantics.min_size is None else semantics.min_size
    reach = np.maximum(np.abs(first) + np.abs(least), np.maximum(np.abs(first), np.abs(last)))
    move = ULPS * np.spacing(reach)
    # All five positions in one axis of 5 K RoIs: for the few RoIs of a recorded call NumPy's calls are what costs time.
    begin, end = np.array([(0, 0), (-1, -1), (1, 1), (-1, 1), (1, -1)], move.dtype).T[:, :, None]
    moved = replace(axis, start=np.ravel(first + begin * move), end=np.ravel(last + np.where(point, begin, end) * move))
    with np.errstate(all="ignore"):  # as in reference.py, for grids of 0 samples and positions that overflow
        samples = axis_samples(moved)
    inside = np.bincount(samples.bin, minlength=len(moved.start) * axis.bins).reshape(-1, len(first), axis.bins)
    totals = np.maximum(samples.count, 0).reshape(-1, len(first))
    steady: Array = np.all(inside == inside[0], axis=0) & np.all(totals == totals[0], axis=0)[:, None]
    return steady


def _weigh(field: str, alive: Sequence[Semantics], table: Sequence[_Table]) -> Evidence:
    """Returns the evidence about one field, after the fields before it have been decided as far as possible."""
    kept = {getattr(semantics, field) for semantics in alive}
    base = alive[0]
    alone = {value: replace(base, **{field: value}) for value in FIELDS[field]}  # type: ignore[arg-type]
    # A value that fits only together with other values of other fields is compared with those values.
    meant = {
        value: candidate
        if value not in kept or candidate in alive
        else next(semantics for semantics in alive if getattr(semantics, field) == value)
        for value, candidate in alone.items()
    }
    # Compare two values that are still open; if only one is open, compare it with the values that are not.
    first, *rest = sorted(FIELDS[field], key=lambda value: value not in kept)
    for second in rest[: len(kept) - 1] or rest:
        chosen, other = sorted((first, second), key=FIELDS[field].index)
        pair = [meant[chosen], meant[other]]
        telling, votes, best = _vote(pair, table)
        if best is not None:
            break
    else:
        bound = "several values fit, each with another value of another field"
        why = _why_hidden(field, base, table) if meant == alone else bound
        return Evidence(field, "hidden", None, "all recorded calls", (), (), why)
    entry, place = best
    expected = tuple(
        (value, (float(entry.output(semantics)[place]),))
        for value, semantics in zip((chosen, other), pair, strict=True)
    )
    seen = (float(entry.call.Y[place]),)
    k, c, p, q = (int(i) for i in place)
    probe = f"{entry.call.name}: RoI {k}, channel {c}, bin ({p}, {q}), where the values differ most"
    counts = f"{votes[0]} of the {telling} outputs that distinguish them fit {chosen!r}, {votes[1]} fit {other!r}"
    winner = int(votes[1] > votes[0])
    value: Value = (chosen, other)[winner] if len(kept) > 1 else kept.pop()
    if len(kept) < 2 or votes[winner] >= MAJORITY * telling:
        return Evidence(field, "decided", value, probe, expected, seen, counts)
    return Evidence(field, "hidden", None, probe, expected, seen, f"no clear majority: {counts}")


def _vote(
    pair: Sequence[Semantics], table: Sequence[_Table]
) -> tuple[int, tuple[int, int], tuple[_Table, tuple[int, ...]] | None]:
    """Returns the number of outputs that distinguish the two, how many fit each, and the most distinct output."""
    telling, votes, best, widest = 0, [0, 0], None, 0.0
    for entry in table:
        a, b = (entry.output(semantics) for semantics in pair)
        differ = ~close(a, b, entry.tolerance)
        telling += int(differ.sum())
        for i, semantics in enumerate(pair):
            votes[i] += int((entry.agrees(semantics) & differ).sum())
        # An output that is NaN on one side only is the most distinct; ill-conditioned outputs are the least.
        gap = np.where(differ, np.nan_to_num(np.abs(a - b) / entry.tolerance, nan=1e30), 0.0)
        gap = gap * np.where(entry.steady(pair[0]) & entry.steady(pair[1]), 1.0, 1e-6)
        if gap.size and gap.max() > widest:
            widest = float(gap.max())
            best = entry, tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
    return telling, (votes[0], votes[1]), best


def _why_hidden(field: str, base: Semantics, table: Sequence[_Table]) -> str:
    attributes = [entry.call.attributes for entry in table]
    if field in MAX_FIELDS and all(each.mode == "avg" for each in attributes):
        return "no call has mode 'max'"
    if field in ADAPTIVE_FIELDS and all(each.sampling_ratio > 0 for each in attributes):
        return "no call has an adaptive grid"
    if field == "max_start":
        return "no call has a maximum below the possible start values"
    if field == "empty":
        return "no call has a bin without samples" + _never_empty(base)
    if field == "border":
        return "no call has a sample exactly at -1 or at H (W)"
    return "no call distinguishes its values"


def _never_empty(semantics: Semantics) -> str:
    bounded = semantics.adaptive == "ceil" and semantics.min_size is not None and semantics.min_size > 0
    return f": with a minimum size of {semantics.min_size:g} and ceil no bin is empty" if bounded else ""


def _not_judged() -> list[Evidence]:
    reason = "not decided: no combination of known values explains all calls"
    return [Evidence(field, "hidden", None, "all recorded calls", (), (), reason) for field in FIELDS]


def _unexplained(entry: _Table, nearest: Semantics) -> Evidence:
    wrong = ~entry.agrees(nearest) & entry.steady(nearest)
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    k, c, p, q = place
    return Evidence(
        subject="recorded calls",
        verdict="odd",
        value=None,
        probe=f"{entry.call.name}: RoI {k}, channel {c}, bin ({p}, {q})",
        expected=((str(nearest), (float(entry.output(nearest)[place]),)),),
        seen=(float(entry.call.Y[place]),),
        reason=f"no meaning that explains the calls before {entry.call.name} explains this call",
    )
