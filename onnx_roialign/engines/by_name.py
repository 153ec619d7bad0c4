"""The engines of a call on arrays, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol

from onnx_roialign.arrays import Array
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.pyramid import Pyramid, multiscale_roi_align
from onnx_roialign.engines import native
from onnx_roialign.errors import RoiAlignError, shown

__all__ = ["Engine", "check_engine", "engine_named", "multiscale_engine_named"]

Engine = Literal["native", "reference"]


class Compute(Protocol):
    """One call of RoiAlign, as `native.roi_align` describes it."""

    def __call__(
        self, X: Array, rois: Array, batch_indices: Array, attributes: Attributes, *, threads: int | None = None
    ) -> Array:
        """Pools every RoI."""


class ComputeLevels(Protocol):
    """One call of MultiScaleRoiAlign, as `definition.pyramid.multiscale_roi_align` describes it."""

    def __call__(
        self,
        rois: Array,
        batch_indices: Array,
        features: Sequence[Array],
        pyramid: Pyramid,
        levels: Array | None = None,
        *,
        threads: int | None = None,
    ) -> Array:
        """Pools every RoI from the map of its level."""


def _reference(
    X: Array, rois: Array, batch_indices: Array, attributes: Attributes, *, threads: int | None = None
) -> Array:
    return reference.roi_align(X, rois, batch_indices, attributes)  # on one thread, however many there may be


def _reference_of_levels(
    rois: Array,
    batch_indices: Array,
    features: Sequence[Array],
    pyramid: Pyramid,
    levels: Array | None = None,
    *,
    threads: int | None = None,
) -> Array:
    return multiscale_roi_align(rois, batch_indices, features, pyramid, levels)  # likewise


class _Engine(NamedTuple):
    roi_align: Compute
    multiscale_roi_align: ComputeLevels


_ENGINES: Mapping[str, _Engine] = MappingProxyType(
    {
        "native": _Engine(native.roi_align, native.multiscale_roi_align),
        "reference": _Engine(_reference, _reference_of_levels),
    }
)


def check_engine(engine: object) -> None:
    """Refuses what is no engine's name.

    Raises:
        RoiAlignError: the text says which there are.
    """
    if not (isinstance(engine, str) and engine in _ENGINES):
        names = " or ".join(map(repr, _ENGINES))
        raise RoiAlignError("engine", "choice", f"must be {names}, got {shown(engine)}")


def engine_named(engine: str) -> Compute:
    """RoiAlign on the engine of that name.

    Raises:
        RoiAlignError: there is none.
    """
    check_engine(engine)
    return _ENGINES[engine].roi_align


def multiscale_engine_named(engine: str) -> ComputeLevels:
    """MultiScaleRoiAlign, likewise."""
    check_engine(engine)
    return _ENGINES[engine].multiscale_roi_align
