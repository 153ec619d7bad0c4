"""The cases as data: one module per group of clauses."""

from __future__ import annotations

import functools

from onnx_roialign.conformance.case import Case

from . import (
    attributes,
    boxes,
    contested,
    edges,
    graphs,
    images,
    maxima,
    mixtures,
    neighbours,
    onnx_vectors,
    robust,
    sampling,
    types,
)

__all__ = ["all_cases"]

_GROUPS = (
    onnx_vectors,
    attributes,
    sampling,
    images,
    boxes,
    edges,
    maxima,
    types,
    mixtures,
    graphs,
    neighbours,
    contested,
    robust,
)


@functools.cache  # exact arithmetic: 0.8 s
def all_cases() -> tuple[Case, ...]:
    """Returns every case; ids are unique."""
    return tuple(case for group in _GROUPS for case in group.cases())
