"""Finds the casts that give the inputs of a RoiAlign types which it accepts, without a change of their values."""

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
    """The change that gives the inputs of one RoiAlign valid types.

    Attributes:
        casts: name of the input -> name of the type to which it must be cast.
        private: whether the node must become the private operator, which accepts rois of another float type than X.
    """

    casts: Mapping[str, str]
    private: bool = False


def given(value: ir.Value | None, known: Known) -> Given:
    """Returns the known type and shape of a value."""
    kind = known.type(value)
    return Given(str(helper.tensor_dtype_to_np_dtype(kind)) if kind else None, known.shape(value))


def fit(site: Site, known: Known) -> Fit:
    """Returns the change that makes the types of a node's inputs valid without loss.

    batch_indices of any integer type become int64. Rois of another type than X's are rounded once, to the type in which
    coordinates are computed, as in the private operator and in calls on arrays: by a Cast if X has that type. If X has
    16 bits, or the opset has no such Cast, only the private operator can read them. Nothing is changed for values that
    are not numbers, for X of a type that RoiAlign does not have, and for unknown types.
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
    """Returns whether ONNX's RoiAlign cannot read the node's rois without a change of the boxes, even with a Cast.

    It is also true if the opset has no Cast from their type.
    """
    X, rois = (given(site.input(name), known).dtype for name in ("X", "rois"))
    if X not in TYPES or rois in (X, None):
        return False
    kind = known.type(site.input("rois"))
    return _coordinates(X) != X or (site.opset is not None and not can_be_cast(kind, site.opset))


def _coordinates(X: str) -> str:
    return np.dtype(coordinate_type(np.dtype(X))).name


def _taken(site: Site, X: str) -> tuple[str | None, ...]:
    """Returns the types that the node accepts for rois; None stands for an unknown type."""
    if site.quantized:
        return ("float32", None)
    return (*TYPES, None) if site.private else (X, None)


def _is_integer(name: str | None) -> bool:
    return name is not None and name.removeprefix("u") in ("int8", "int16", "int32", "int64")
