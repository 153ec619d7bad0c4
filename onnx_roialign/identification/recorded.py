"""Recorded calls of an unknown RoIAlign -> the Semantics that explains them all, by elimination.

Every combination of the known values of the fields starts as a candidate, and each call strikes out those that would
have answered something else. Two things keep that from going wrong on real recordings:

Ill-conditioned bins. Where a sample lies within rounding of a cut (-1, H, W), or a bin within rounding of a whole
number of samples, the answer jumps, and which way depends on the order in which the framework adds: Paddle 3.3.1 orders
the position's terms otherwise, and so its answer can differ by a whole value there. Such a bin strikes out nothing. But
samples exactly on a cut are also all that can show `border`: so what is still open after the elimination is put to the
vote of the bins that tell the values apart, and a few that rounding turned do not outvote the rest.

Fields that a call cannot show (max_rule in an average, adaptive in a fixed grid) do not split its candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from onnx_roialign.arrays import RECORDED, Array, close, largest_finite
from onnx_roialign.definition.call import Call
from onnx_roialign.definition.element_types import coordinate_type
from onnx_roialign.definition.geometry import RoiAxis, axis_samples, roi_axes
from onnx_roialign.definition.onnx_form import ADAPTIVE_FIELDS, MAX_FIELDS, relevant
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.identification.result import FIELDS, Evidence, Identified, Value, combinations, conclude

__all__ = ["RecordedCall", "identify_recorded"]

# How far another order of adding can move a sample, in units in the last place of the RoI's farthest coordinate:
# Paddle's moves it by 2, and the RoI's end and size round once each. 1 % of all recorded bins lie that near.
ULPS = 4
# The part of the bins that tell two values apart which the better one must explain.
MAJORITY = 0.75


@dataclass(frozen=True, slots=True)
class RecordedCall(Call):
    """One call and its answer.

    Attributes:
        attributes: of the call; their `semantics` are not looked at.
        Y: (num_rois, C, output_height, output_width), the answer.
        name: what the evidence calls it.
    """

    Y: Array
    name: str = ""


def identify_recorded(calls: Iterable[RecordedCall]) -> Identified:
    """Finds the Semantics that explains recorded answers, however many RoIs and images each call has.

    Args:
        calls: at least one. All are taken to come from one RoIAlign with one meaning.

    Returns:
        The meaning; a field that no call shows is hidden. Where no combination of known values explains all calls, the
        evidence has an odd entry "recorded calls", which names the first call that the others rule out.

    Raises:
        RoiAlignError: no calls, an input that RoiAlign cannot answer, or an answer of the wrong shape.
    """
    table = [_Table(_named(call, i)) for i, call in enumerate(calls)]
    if not table:
        raise RoiAlignError("calls must be at least one, got none")
    alive = combinations(FIELDS)
    for one in table:
        left = [semantics for semantics in alive if one.explains(semantics)]
        if not left:
            return conclude([*_not_judged(), _unexplained(one, alive[0])], [])
        alive = left
    evidence: list[Evidence] = []
    for field in FIELDS:
        one_evidence = _weigh(field, alive, table)
        if one_evidence.verdict == "decided":
            alive = [semantics for semantics in alive if getattr(semantics, field) == one_evidence.value]
        evidence.append(one_evidence)
    kept = {field: {getattr(semantics, field) for semantics in alive} for field in FIELDS}
    fitting = {field: tuple(value for value in values if value in kept[field]) for field, values in FIELDS.items()}
    return conclude([replace(one, fitting=fitting[one.subject]) for one in evidence], alive)


def _named(call: RecordedCall, index: int) -> RecordedCall:
    shape = call.output_shape
    name = call.name or f"call {index}"
    if call.Y.shape != shape:
        raise RoiAlignError(f"Y must have shape {shape}, got shape {call.Y.shape} ({name})")
    return replace(call, name=name)


class _Table:
    """One call with what each Semantics would have answered, computed once for all that agree on this call."""

    def __init__(self, call: RecordedCall) -> None:
        self.call = call
        self.tolerance = RECORDED * (largest_finite(call.X) or 1.0)
        self._answers: dict[Semantics, Array] = {}
        self._steady: dict[Semantics, Array] = {}

    def answer(self, semantics: Semantics) -> Array:
        shown = relevant(replace(self.call.attributes, semantics=semantics))
        if shown not in self._answers:
            self._answers[shown] = self.call.expected(shown).astype(np.float64)
        return self._answers[shown]

    def steady(self, semantics: Semantics) -> Array:
        """(num_rois, 1, output_height, output_width): bins whose samples do not depend on the last bits."""
        shown = relevant(replace(self.call.attributes, semantics=semantics))
        if shown not in self._steady:
            self._steady[shown] = _steady(self.call, shown)
        return self._steady[shown]

    def agrees(self, semantics: Semantics) -> Array:
        return close(self.answer(semantics), self.call.Y, self.tolerance)

    def explains(self, semantics: Semantics) -> bool:
        return bool(np.all(self.agrees(semantics) | ~self.steady(semantics)))


def _steady(call: RecordedCall, semantics: Semantics) -> Array:
    corners = call.rois.astype(coordinate_type(call.X.dtype))
    size, attributes = call.X.shape[2:], replace(call.attributes, semantics=semantics)
    unscaled = roi_axes(corners, size, replace(attributes, spatial_scale=1.0, semantics=Semantics(offset=0.0)))
    y, x = (_steady_bins(*pair) for pair in zip(roi_axes(corners, size, attributes), unscaled, strict=True))
    mask: Array = y[:, None, :, None] & x[:, None, None, :]
    return mask


def _steady_bins(axis: RoiAxis, unscaled: RoiAxis) -> Array:
    """(K, P): bins of one axis whose samples do not depend on the last bits."""
    first, last, semantics = axis.start, axis.end, axis.semantics
    # Equal corners make a size of exactly 0 in any order of operations.
    point = (unscaled.start == unscaled.end) & (semantics.end_shift == semantics.start_shift)
    least = 0.0 if semantics.min_size is None else semantics.min_size
    reach = np.maximum(np.abs(first) + np.abs(least), np.maximum(np.abs(first), np.abs(last)))
    move = ULPS * np.spacing(reach)
    counts = []
    for a, b in ((0, 0), (-1, -1), (1, 1), (-1, 1), (1, -1)):
        moved = replace(axis, start=first + a * move, end=last + np.where(point, a, b).astype(move.dtype) * move)
        with np.errstate(all="ignore"):  # as in reference.py: a grid of 0 samples, a position that overflows
            samples = axis_samples(moved)
        inside = np.bincount(samples.bin, minlength=len(first) * axis.bins).reshape(len(first), axis.bins)
        counts.append(np.column_stack([inside, np.maximum(samples.count, 0)]))
    same = np.all([counts[0] == other for other in counts], axis=0)
    return np.asarray(same[:, :-1] & same[:, -1:])


def _weigh(field: str, alive: Sequence[Semantics], table: Sequence[_Table]) -> Evidence:
    """What the calls show of one field, all fields before it being settled as far as they can be."""
    kept = {getattr(semantics, field) for semantics in alive}
    base = alive[0]
    alone = {value: replace(base, **{field: value}) for value in FIELDS[field]}  # type: ignore[arg-type]
    # A value that is open only with other values of other fields is taken with those.
    meant = {
        value: one if value not in kept or one in alive else next(s for s in alive if getattr(s, field) == value)
        for value, one in alone.items()
    }
    # A value that is still open against another one that is; where none is, against those that are not.
    first, *others = sorted(FIELDS[field], key=lambda value: value not in kept)
    for second in others[: len(kept) - 1] or others:
        chosen, other = sorted((first, second), key=FIELDS[field].index)
        pair = [meant[chosen], meant[other]]
        telling, votes, best = _vote(pair, table)
        if best is not None:
            break
    else:
        bound = "several of its values fit, each with another value of another field"
        why = _why_hidden(field, base, table) if meant == alone else bound
        return Evidence(field, "hidden", None, "all recorded calls", (), (), why)
    one, place = best
    expected = tuple(
        (value, (float(one.answer(semantics)[place]),)) for value, semantics in zip((chosen, other), pair, strict=True)
    )
    seen = (float(one.call.Y[place]),)
    k, c, p, q = (int(i) for i in place)
    probe = f"{one.call.name}: RoI {k}, channel {c}, bin ({p}, {q}), where the values differ most"
    counts = f"{votes[0]} of the {telling} outputs that tell them apart fit {chosen!r}, {votes[1]} fit {other!r}"
    winner = int(votes[1] > votes[0])
    value: Value = (chosen, other)[winner] if len(kept) > 1 else kept.pop()
    if len(kept) < 2 or votes[winner] >= MAJORITY * telling:
        return Evidence(field, "decided", value, probe, expected, seen, counts)
    return Evidence(field, "hidden", None, probe, expected, seen, f"no clear majority: {counts}")


def _vote(
    pair: Sequence[Semantics], table: Sequence[_Table]
) -> tuple[int, tuple[int, int], tuple[_Table, tuple[int, ...]] | None]:
    """Outputs that tell the two apart, how many fit each, and the one that tells best."""
    telling, votes, best, widest = 0, [0, 0], None, 0.0
    for one in table:
        a, b = (one.answer(semantics) for semantics in pair)
        differ = ~close(a, b, one.tolerance)
        telling += int(differ.sum())
        for i, semantics in enumerate(pair):
            votes[i] += int((one.agrees(semantics) & differ).sum())
        # An output of NaN on one side tells as much as there is to tell; one that is ill-conditioned tells least.
        gap = np.where(differ, np.nan_to_num(np.abs(a - b) / one.tolerance, nan=1e30), 0.0)
        gap = gap * np.where(one.steady(pair[0]) & one.steady(pair[1]), 1.0, 1e-6)
        if gap.size and gap.max() > widest:
            widest = float(gap.max())
            best = one, tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
    return telling, (votes[0], votes[1]), best


def _why_hidden(field: str, base: Semantics, table: Sequence[_Table]) -> str:
    attributes = [one.call.attributes for one in table]
    if field in MAX_FIELDS and all(each.mode == "avg" for each in attributes):
        return "no call has mode 'max'"
    if field in ADAPTIVE_FIELDS and all(each.sampling_ratio > 0 for each in attributes):
        return "no call has an adaptive grid"
    if field == "max_start":
        return "no call has a maximum less than what it could start from"
    if field == "empty":
        return "no call has a bin without samples" + _never_empty(base)
    if field == "border":
        return "no call has a sample exactly at -1 or at H (W)"
    return "no call tells its values apart"


def _never_empty(semantics: Semantics) -> str:
    bounded = semantics.adaptive == "ceil" and semantics.min_size is not None and semantics.min_size > 0
    return f": with a minimum size of {semantics.min_size:g} and ceil there never is one" if bounded else ""


def _not_judged() -> list[Evidence]:
    reason = "not judged: no combination of known values explains all calls"
    return [Evidence(field, "hidden", None, "all recorded calls", (), (), reason) for field in FIELDS]


def _unexplained(one: _Table, nearest: Semantics) -> Evidence:
    wrong = ~one.agrees(nearest) & one.steady(nearest)
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    k, c, p, q = place
    return Evidence(
        subject="recorded calls",
        verdict="odd",
        value=None,
        probe=f"{one.call.name}: RoI {k}, channel {c}, bin ({p}, {q})",
        expected=((str(nearest), (float(one.answer(nearest)[place]),)),),
        seen=(float(one.call.Y[place]),),
        reason=f"nothing that explains the calls before {one.call.name} explains this one",
    )
