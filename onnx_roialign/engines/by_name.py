"""The engines by name: the permitted names of every option `engine`, and the check of such an option."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, get_args

from onnx_roialign.arrays import Array
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.pyramid import Pyramid, multiscale_roi_align
from onnx_roialign.engines import native
from onnx_roialign.errors import RoiAlignError, shown

__all__ = [
    "ENGINES",
    "NODE_ENGINES",
    "SESSION_ENGINES",
    "Engine",
    "check_engine",
    "engine_named",
    "multiscale_engine_named",
]

Engine = Literal["native", "reference"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

# The engines for the RoiAligns of a session, which include ONNX Runtime's own kernel.
SESSION_ENGINES = (*ENGINES, "builtin")

# The engines for a single node, which include onnx.reference with this package's operator and with its own.
NODE_ENGINES = (*SESSION_ENGINES, "evaluator", "onnx.reference")


class Compute(Protocol):
    """The type of `native.roi_align`."""

    def __call__(
        self, X: Array, rois: Array, batch_indices: Array, attributes: Attributes, *, threads: int | None = None
    ) -> Array:
        """Pools every RoI."""


class ComputeLevels(Protocol):
    """The type of `native.multiscale_roi_align`."""

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
    return reference.roi_align(X, rois, batch_indices, attributes)  # the reference uses one thread


def _reference_of_levels(
    rois: Array,
    batch_indices: Array,
    features: Sequence[Array],
    pyramid: Pyramid,
    levels: Array | None = None,
    *,
    threads: int | None = None,
) -> Array:
    return multiscale_roi_align(rois, batch_indices, features, pyramid, levels)


class _Engine(NamedTuple):
    roi_align: Compute
    multiscale_roi_align: ComputeLevels


_ENGINES: Mapping[str, _Engine] = MappingProxyType(
    {
        "native": _Engine(native.roi_align, native.multiscale_roi_align),
        "reference": _Engine(_reference, _reference_of_levels),
    }
)


def check_engine(engine: object, names: Sequence[str] = ENGINES, option: str = "engine") -> None:
    """Checks the name of an engine.

    Args:
        engine: the name.
        names: the permitted names, `ENGINES` or those that derive from it.
        option: name of the argument or the option, for the message.

    Raises:
        RoiAlignError: the name is not permitted; the message lists the permitted names.
    """
    if not (isinstance(engine, str) and engine in names):
        raise RoiAlignError(option, "choice", f"must be one of {', '.join(names)}, got {shown(engine)}")


def engine_named(engine: str) -> Compute:
    """Returns the function that computes RoiAlign on an engine.

    Raises:
        RoiAlignError: no engine has this name.
    """
    check_engine(engine)
    return _ENGINES[engine].roi_align


def multiscale_engine_named(engine: str) -> ComputeLevels:
    """Returns the function that computes MultiScaleRoiAlign on an engine; errors as in `engine_named`."""
    check_engine(engine)
    return _ENGINES[engine].multiscale_roi_align
