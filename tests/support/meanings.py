"""Random Semantics: every field with the values of existing RoIAligns, and a number that none has."""

from __future__ import annotations

import dataclasses

from hypothesis import strategies as st

from onnx_roialign import Semantics
from onnx_roialign.definition.semantics import CHOICES

_NUMBERS = {
    "offset": (0.5, 0.0, 0.3),
    "min_size": (None, 1.0, 0.4),
    "start_shift": (0.0, 0.5, -0.7),
    "end_shift": (0.0, 1.0, 0.5),
    "max_start": (None, 0.0, -10000.0, 0.25),
}

# A field that is missing above is a KeyError here.
any_semantics = st.builds(
    Semantics,
    **{
        field.name: st.sampled_from(CHOICES[field.name] if field.name in CHOICES else _NUMBERS[field.name])
        for field in dataclasses.fields(Semantics)
    },
)
