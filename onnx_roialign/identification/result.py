"""What an identification answers: a Semantics, the presets that share it as far as it shows, and the evidence."""

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

# The fields that say where a RoI lies on the map, whatever its size.
PLACES = ("start_shift", "offset", "end_shift")


def _values(field: str) -> tuple[Value, ...]:
    if field in CHOICES:
        return CHOICES[field]
    seen: dict[Value, None] = dict.fromkeys(getattr(meaning, field) for meaning in (*PRESETS.values(), Semantics()))
    return tuple(sorted(seen, key=lambda value: value is not None))


# The values of each field that a RoIAlign is known to have (those of the presets), in the order in which they are
# tried.
FIELDS: Mapping[str, tuple[Value, ...]] = MappingProxyType(
    {field: _values(field) for field in (*PLACES, *(name for name in semantics.FIELDS if name not in PLACES))}
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one probe showed.

    Attributes:
        subject: a field of Semantics, or what else was checked ("mirrored RoIs").
        verdict: "decided": one value fits; "hidden": several do, or the call was refused; "odd": none does.
        value: the field's value where it is decided (None is a value of min_size), else None.
        probe: what was asked, and why that tells the values apart.
        expected: for each value what a RoIAlign with it answers, as `seen`.
        seen: what was answered, in the probe's own terms; empty where there was no answer.
        reason: why that is the verdict, in one line.
        fitting: the field's values that what was seen does not rule out; empty for what is no field.
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
        """The evidence in JSON's types; numbers that JSON lacks are the strings "nan", "inf" and "-inf"."""
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
    """What a RoIAlign turned out to be.

    Attributes:
        semantics: its meaning, with the default of `Semantics` in every field that stayed hidden, unless that is ruled
            out; None where a field has no value that fits.
        names: the presets that nothing which was seen rules out, in the order of `PRESETS`.
        evidence: one entry per field of Semantics, in the order in which they were found, then one per other check.
    """

    semantics: Semantics | None
    names: tuple[str, ...]
    evidence: tuple[Evidence, ...]

    @property
    def fits(self) -> bool:
        """Whether some Semantics explains all that was seen."""
        return self.semantics is not None and not self.odd

    @property
    def hidden(self) -> tuple[str, ...]:
        """The fields of Semantics that could not be seen."""
        return tuple(one.subject for one in self.evidence if one.verdict == "hidden" and one.subject in FIELDS)

    @property
    def odd(self) -> tuple[Evidence, ...]:
        """The evidence that no Semantics explains."""
        return tuple(one for one in self.evidence if one.verdict == "odd")

    def differs_from(self, meant: Semantics) -> tuple[str, ...]:
        """The fields in which what was seen rules out what was meant."""
        fields = [one for one in self.evidence if one.subject in FIELDS and one.fitting]
        return tuple(one.subject for one in fields if getattr(meant, one.subject) not in one.fitting)

    def as_dict(self) -> dict[str, Any]:
        """All of it in JSON's types: fits, semantics (field to value, or null), names, hidden, evidence."""
        return {
            "fits": self.fits,
            "semantics": None if self.semantics is None else dataclasses.asdict(self.semantics),
            "names": list(self.names),
            "hidden": list(self.hidden),
            "evidence": [one.as_dict() for one in self.evidence],
        }


def conclude(evidence: Sequence[Evidence], left: Collection[Semantics]) -> Identified:
    """Puts the evidence together; nothing is named where no field at all was decided.

    Args:
        evidence: in the order in which it was found.
        left: the meanings that it does not rule out.
    """
    fields = [one.verdict for one in evidence if one.subject in FIELDS]
    if "odd" in fields or "decided" not in fields:
        return Identified(None, (), tuple(evidence))
    names = tuple(name for name, preset in PRESETS.items() if preset in left)
    return Identified(min(left, key=_unusual), names, tuple(evidence))


def combinations(values: Mapping[str, Sequence[Value]]) -> list[Semantics]:
    """Every Semantics that has one of these values in each of these fields."""
    combined: list[dict[str, Any]] = [
        dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())
    ]
    return [Semantics(**fields) for fields in combined]


def _unusual(semantics: Semantics) -> int:
    """In how many fields it departs from the default."""
    return sum(getattr(semantics, name) != getattr(Semantics(), name) for name in FIELDS)


def _json(reading: Sequence[float]) -> list[float | str]:
    return [value if math.isfinite(value) else str(value) for value in reading]
