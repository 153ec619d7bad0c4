"""Measures the Semantics of an unknown RoIAlign by calling it.

Each field of Semantics has a probe (see `probes`): a few small calls, whose outputs are read as lengths and compared
with the reference's outputs for each value of the field. Further calls (`checks`) then find behaviour that no field
describes, such as coordinates that are rounded first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from onnx_roialign.arrays import LENGTHS, Array, close
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.call import Call
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.errors import RoiAlignError, one_line, shown
from onnx_roialign.identification.probes import FIELD_PROBES, Check, Probe, checks
from onnx_roialign.identification.recorded import RecordedCall, identify_recorded
from onnx_roialign.identification.result import (
    FIELDS,
    PLACES,
    Evidence,
    Identified,
    Value,
    Verdict,
    combinations,
    conclude,
)

__all__ = ["Evidence", "Identified", "RecordedCall", "Subject", "identify", "identify_recorded"]

Subject = Callable[[Array, Array, Array, Attributes], npt.ArrayLike]


class _NoOutputError(Exception):
    """The call returned no usable output; `odd` is true for a wrong output and false for a refused call."""

    def __init__(self, reason: str, *, odd: bool) -> None:
        super().__init__(reason)
        self.odd = odd


def identify(fn: Subject) -> Identified:
    """Measures the Semantics of a RoIAlign by 20 small calls, each made twice.

    Args:
        fn: the RoIAlign, called as ``fn(X, rois, batch_indices, attributes)``; returns Y. X is (N, C, H, W) float32,
            rois (num_rois, 4) float32, batch_indices (num_rois,) int64, Y (num_rois, C, output_height, output_width).
            fn reads the sizes, the ratio, the scale and the mode of `attributes`, an `Attributes`, and ignores its
            `semantics`. Exceptions of fn are recorded in the evidence and not raised.

    Returns:
        The meaning, the presets that have it, and the evidence. A field is hidden if the other fields leave it without
        effect (with a minimum size of 1 and `ceil` no bin is empty), or if fn refuses the call (mode "max").

    Raises:
        RoiAlignError: fn cannot be called.
    """
    if not callable(fn):
        raise RoiAlignError("fn", "type", f"must be a function of a call's arrays and attributes, got {shown(fn)}")
    found: dict[str, Value] = {}
    evidence: list[Evidence] = []
    for probe in FIELD_PROBES:
        result = _not_probed(probe, found) or _probe(fn, probe, _semantics(found))
        if result.verdict == "decided":
            found[probe.field] = result.value
        evidence.append(result)
    if all(result.verdict != "odd" for result in evidence) and found:
        evidence += [_check(fn, check, _semantics(found), "max_rule" in found) for check in checks()]
    fields = {result.subject: result.fitting for result in evidence if result.subject in FIELDS}
    return conclude(evidence, combinations(fields))


def _semantics(found: dict[str, Value]) -> Semantics:
    # Unknown fields have their defaults; the probes are ordered so that these do not matter.
    fields: dict[str, Any] = dict(found)
    return Semantics(**fields)


def _not_probed(probe: Probe, found: dict[str, Value]) -> Evidence | None:
    if probe.field in PLACES:
        return None
    if probe.field == "max_start" and "max_rule" not in found:
        return _unseen(probe, "not probed: max_rule is unknown")
    if all(field in found for field in PLACES):
        return None
    return _unseen(probe, "not probed: the positions of RoIs are unknown")


def _unseen(probe: Probe, reason: str, verdict: Verdict = "hidden") -> Evidence:
    return Evidence(probe.field, verdict, None, probe.description, (), (), reason, FIELDS[probe.field])


def _probe(fn: Subject, probe: Probe, found: Semantics) -> Evidence:
    calls = probe.calls(found)
    try:
        seen = probe.read([_output(fn, call) for call in calls])
    except _NoOutputError as error:
        return _unseen(probe, str(error), "odd" if error.odd else "hidden")
    expected = [(value, _expected(probe, calls, found, value)) for value in _values(probe, seen, found)]
    fitting = [value for value, reading in expected if _fits(reading, seen)]
    listed = set(FIELDS[probe.field])
    if any(value in listed for value in fitting):
        fitting = [value for value in fitting if value in listed]
    value, averaged = None, not fitting and _averages(probe, calls, found, seen)
    if averaged:
        reason = "mode 'max' returns the average: it is not supported"
    elif not fitting:
        reason = "no value fits"
    elif len(fitting) > 1:
        reason = f"{probe.hidden_by or 'the values give the same outputs'}: all of {_listed(fitting)} fit"
    else:
        value = fitting[0]
        reason = f"only {value!r} fits"
        if value not in listed:
            reason += ", a value that no preset has"
    verdict: Verdict = "decided" if len(fitting) == 1 else "hidden" if fitting or averaged else "odd"
    shown = [(value, reading) for value, reading in expected if value in listed or value in fitting]
    return Evidence(
        subject=probe.field,
        verdict=verdict,
        value=value,
        probe=probe.description,
        expected=tuple((value, _numbers(reading)) for value, reading in shown),
        seen=_numbers(seen),
        reason=reason,
        fitting=FIELDS[probe.field] if averaged else tuple(fitting),
    )


def _averages(probe: Probe, calls: tuple[Call, ...], found: Semantics, seen: Array) -> bool:
    """Returns whether calls in mode max returned averages."""
    if probe.field != "max_rule":
        return False
    averages = [replace(call, attributes=replace(call.attributes, mode="avg")) for call in calls]
    return _fits(probe.read([_ours(call, found) for call in averages]), seen)


def _values(probe: Probe, seen: Array, found: Semantics) -> Iterator[Value]:
    yield from FIELDS[probe.field]
    if probe.measure is not None and np.all(np.isfinite(seen)):
        measured = probe.measure(seen, found)
        if measured not in FIELDS[probe.field]:
            yield measured


def _expected(probe: Probe, calls: tuple[Call, ...], found: Semantics, value: Value) -> Array:
    meaning = replace(found, **{probe.field: value})  # type: ignore[arg-type]
    return probe.read([_ours(call, meaning) for call in calls])


def _ours(call: Call, semantics: Semantics) -> Array:
    return call.expected(semantics).astype(np.float64)


def _output(fn: Subject, call: Call) -> Array:
    first, second = _called(fn, call), _called(fn, call)
    if not np.all(close(first, second, LENGTHS)):
        difference = float(np.nanmax(np.abs(first - second), initial=0.0))
        raise _NoOutputError(f"two equal calls return outputs that differ by up to {difference:.2g}", odd=True)
    return first


def _called(fn: Subject, call: Call) -> Array:
    arrays = call.X.copy(), call.rois.copy(), call.batch_indices.copy()
    try:
        output = np.asarray(fn(*arrays, call.attributes))
    except Exception as error:  # any exception is a result of the probe
        text = one_line(error)
        raise _NoOutputError(f"raises {type(error).__name__}: {text}"[:300], odd=False) from error
    shape = call.output_shape
    if output.shape != shape:
        raise _NoOutputError(f"returns shape {output.shape}, not {shape}", odd=True)
    if output.dtype.kind not in "fiu" and str(output.dtype) != "bfloat16":
        raise _NoOutputError(f"returns {output.dtype}, not numbers", odd=True)
    return output.astype(np.float64)


def _fits(reading: Array, seen: Array) -> bool:
    return bool(np.all(close(reading, seen, LENGTHS)))


def _numbers(reading: Array) -> tuple[float, ...]:
    return tuple(round(float(number), 6) + 0.0 for number in reading)


def _listed(values: list[Value]) -> str:
    return ", ".join(repr(value) for value in values)


def _check(fn: Subject, check: Check, found: Semantics, max_known: bool) -> Evidence:
    name, description, call = check.subject, check.description, check.call
    if call.attributes.mode == "max" and not max_known:
        return Evidence(name, "hidden", None, description, (), (), "not probed: max_rule is unknown")
    try:
        seen = _output(fn, call)
    except _NoOutputError as error:
        return Evidence(name, "odd" if error.odd else "hidden", None, description, (), (), str(error))
    ours = _ours(call, found)
    wrong = ~close(ours, seen, LENGTHS)
    if not wrong.any():
        return Evidence(name, "decided", None, description, (), (), f"all {seen.size} outputs are as expected")
    gap = np.where(wrong, np.nan_to_num(np.abs(ours - seen), nan=np.inf), 0.0)
    k, c, p, q = (int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
    return Evidence(
        subject=name,
        verdict="odd",
        value=None,
        probe=description,
        expected=((None, _numbers(ours[k, c, p, q : q + 1])),),
        seen=_numbers(seen[k, c, p, q : q + 1]),
        reason=f"{int(wrong.sum())} of {seen.size} outputs differ, most in RoI {k}, channel {c}, bin ({p}, {q})",
    )
