"""Inputs of a RoiAlign that are of another type than it takes: what each has to become, to mean what it meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx import helper

from onnx_roialign.definition.checks import Given
from onnx_roialign.definition.element_types import TYPES, coordinate_type
from onnx_roialign.graph.reading.sites import Site
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.onnx_model.operators import can_be_cast

__all__ = ["Fit", "fit", "given", "needs_private"]


@dataclass(frozen=True, slots=True)
class Fit:
    """How the inputs of one RoiAlign come to have types that it takes; nothing to do where they have them.

    Attributes:
        casts: name of the input -> name of the type to cast it to.
        private: whether the node has to become the private op, which takes rois of another float type than X.
    """

    casts: Mapping[str, str]
    private: bool = False


def given(value: ir.Value | None, known: Known) -> Given:
    """What is known of a value, as the rules on inputs take it."""
    kind = known.type(value)
    return Given(str(helper.tensor_dtype_to_np_dtype(kind)) if kind else None, known.shape(value))


def fit(site: Site, known: Known) -> Fit:
    """What makes the types of a node's inputs fit, where that loses nothing.

    batch_indices of any integer type become int64. Rois of another type than X's are rounded, once, to the type that
    coordinates are computed in, as the private op and calls on arrays do: by a Cast where X itself is of that type; of
    16 bits, or in an opset without that Cast, only the private op can read them. What is no number, X of a type that
    RoiAlign does not have, and types that are not known stay as they are.
    """
    X, rois, indices = (given(site.input(name), known).dtype for name in ("X", "rois", "batch_indices"))
    casts = {}
    if indices != "int64" and _is_integer(indices):
        casts["batch_indices"] = "int64"
    if X is None or (X not in TYPES and not site.quantized) or rois in _taken(site, X):
        return Fit(casts)
    private = not site.private and needs_private(site, known)
    if (private and not site.readable) or not (rois in TYPES or _is_integer(rois)):
        return Fit(casts)
    if rois not in TYPES or not private:
        casts["rois"] = _coordinates(X)
    return Fit(casts, private)


def needs_private(site: Site, known: Known) -> bool:
    """Whether ONNX's RoiAlign cannot read the node's rois, cast or as they are, without making other boxes of them.

    Nor can it where its opset has no Cast from their type.
    """
    X, rois = (given(site.input(name), known).dtype for name in ("X", "rois"))
    if X not in TYPES or rois in (X, None):
        return False
    kind = known.type(site.input("rois"))
    return _coordinates(X) != X or (site.opset is not None and not can_be_cast(kind, site.opset))


def _coordinates(X: str) -> str:
    return np.dtype(coordinate_type(np.dtype(X))).name


def _taken(site: Site, X: str) -> tuple[str | None, ...]:
    """The types that the node takes for rois, one that is not known among them."""
    if site.quantized:
        return ("float32", None)
    return (*TYPES, None) if site.private else (X, None)


def _is_integer(name: str | None) -> bool:
    return name is not None and name.removeprefix("u") in ("int8", "int16", "int32", "int64")
