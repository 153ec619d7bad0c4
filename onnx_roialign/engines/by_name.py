"""The engines of a call on arrays, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Protocol

from onnx_roialign.arrays import Array
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.engines import native
from onnx_roialign.errors import RoiAlignError, shown

__all__ = ["Engine", "check_engine", "engine_named"]

Engine = Literal["native", "reference"]


class Compute(Protocol):
    """One call of RoiAlign, as `native.roi_align` describes it."""

    def __call__(
        self, X: Array, rois: Array, batch_indices: Array, attributes: Attributes, *, threads: int | None = None
    ) -> Array:
        """Pools every RoI."""


def _reference(
    X: Array, rois: Array, batch_indices: Array, attributes: Attributes, *, threads: int | None = None
) -> Array:
    return reference.roi_align(X, rois, batch_indices, attributes)  # on one thread, however many there may be


_ENGINES: Mapping[str, Compute] = MappingProxyType({"native": native.roi_align, "reference": _reference})


def check_engine(engine: object) -> None:
    """Refuses what is no engine's name.

    Raises:
        RoiAlignError: the text says which there are.
    """
    if not (isinstance(engine, str) and engine in _ENGINES):
        names = " or ".join(map(repr, _ENGINES))
        raise RoiAlignError(f"engine must be {names}, got {shown(engine)}")


def engine_named(engine: str) -> Compute:
    """The engine of that name.

    Raises:
        RoiAlignError: there is none.
    """
    check_engine(engine)
    return _ENGINES[engine]
