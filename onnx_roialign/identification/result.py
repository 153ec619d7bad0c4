"""The result of an identification: a Semantics, the presets that match, and the evidence."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from onnx_roialign.definition import semantics
from onnx_roialign.definition.semantics import CHOICES, PRESETS, Semantics

__all__ = ["FIELDS", "PLACES", "Evidence", "Identified", "Value", "Verdict", "combinations", "conclude"]

Value = float | str | None
Verdict = Literal["decided", "hidden", "odd"]

# The fields that determine the position of a RoI on the map.
PLACES = ("start_shift", "offset", "end_shift")


def _values(field: str) -> tuple[Value, ...]:
    if field in CHOICES:
        return CHOICES[field]
    seen: dict[Value, None] = dict.fromkeys(getattr(meaning, field) for meaning in (*PRESETS.values(), Semantics()))
    return tuple(sorted(seen, key=lambda value: value is not None))


# The known values of each field (those of the presets), in the order in which they are tried.
FIELDS: Mapping[str, tuple[Value, ...]] = MappingProxyType(
    {field: _values(field) for field in (*PLACES, *(name for name in semantics.FIELDS if name not in PLACES))}
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The result of one probe.

    Attributes:
        subject: a field of Semantics, or the name of a check ("mirrored RoIs").
        verdict: "decided": one value fits; "hidden": several fit, or the call was refused; "odd": none fits.
        value: the field's value if it is decided (None is a value of min_size), else None.
        probe: the calls, and why their outputs distinguish the values.
        expected: for each value the reading that a RoIAlign with this value gives, comparable with `seen`.
        seen: the reading of the outputs, in units of the probe; empty if there was no output.
        reason: the reason of the verdict, in one line.
        fitting: the values of the field that the outputs do not rule out; empty for a check.
    """

    subject: str
    verdict: Verdict
    value: Value
    probe: str
    expected: tuple[tuple[Value, tuple[float, ...]], ...]
    seen: tuple[float, ...]
    reason: str
    fitting: tuple[Value, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Returns the evidence as JSON types; NaN and infinities are the strings "nan", "inf" and "-inf"."""
        expected = [{"value": value, "reading": _json(reading)} for value, reading in self.expected]
        return {
            "subject": self.subject,
            "verdict": self.verdict,
            "value": self.value,
            "probe": self.probe,
            "expected": expected,
            "seen": _json(self.seen),
            "reason": self.reason,
            "fitting": list(self.fitting),
        }


@dataclass(frozen=True, slots=True)
class Identified:
    """The identified meaning of a RoIAlign.

    Attributes:
        semantics: the meaning. A hidden field has the default of `Semantics`, unless the outputs rule that out. None if
            no value of some field fits.
        names: the presets that the outputs do not rule out, in the order of `PRESETS`.
        evidence: one entry per field of Semantics, in the order of the probes, then one per check.
    """

    semantics: Semantics | None
    names: tuple[str, ...]
    evidence: tuple[Evidence, ...]

    @property
    def fits(self) -> bool:
        """Whether some Semantics explains all outputs."""
        return self.semantics is not None and not self.odd

    @property
    def hidden(self) -> tuple[str, ...]:
        """The fields of Semantics that the outputs do not show."""
        return tuple(probe.subject for probe in self.evidence if probe.verdict == "hidden" and probe.subject in FIELDS)

    @property
    def odd(self) -> tuple[Evidence, ...]:
        """The evidence that no Semantics explains."""
        return tuple(probe for probe in self.evidence if probe.verdict == "odd")

    def differs_from(self, meant: Semantics) -> tuple[str, ...]:
        """Returns the fields whose value in `meant` is ruled out by the outputs."""
        fields = [probe for probe in self.evidence if probe.subject in FIELDS and probe.fitting]
        return tuple(probe.subject for probe in fields if getattr(meant, probe.subject) not in probe.fitting)

    def as_dict(self) -> dict[str, Any]:
        """Returns everything as JSON types: fits, semantics (field to value, or null), names, hidden, evidence."""
        return {
            "fits": self.fits,
            "semantics": None if self.semantics is None else dataclasses.asdict(self.semantics),
            "names": list(self.names),
            "hidden": list(self.hidden),
            "evidence": [probe.as_dict() for probe in self.evidence],
        }


def conclude(evidence: Sequence[Evidence], left: Collection[Semantics]) -> Identified:
    """Returns the result for this evidence; without semantics and names if no field was decided.

    Args:
        evidence: the evidence in the order of the probes.
        left: the meanings that the evidence does not rule out.
    """
    fields = [probe.verdict for probe in evidence if probe.subject in FIELDS]
    if "odd" in fields or "decided" not in fields:
        return Identified(None, (), tuple(evidence))
    names = tuple(name for name, preset in PRESETS.items() if preset in left)
    return Identified(min(left, key=_unusual), names, tuple(evidence))


def combinations(values: Mapping[str, Sequence[Value]]) -> list[Semantics]:
    """Returns every Semantics with one of these values in each of these fields."""
    combined: list[dict[str, Any]] = [
        dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())
    ]
    return [Semantics(**fields) for fields in combined]


def _unusual(semantics: Semantics) -> int:
    """Returns the number of fields that differ from the default."""
    return sum(getattr(semantics, name) != getattr(Semantics(), name) for name in FIELDS)


def _json(reading: Sequence[float]) -> list[float | str]:
    return [value if math.isfinite(value) else str(value) for value in reading]
