"""The backends: each computes the outputs of a case, or raises Unsupported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnxruntime.capi.onnxruntime_pybind11_state as _runtime_errors

from onnx_roialign.arrays import Array
from onnx_roialign.engines.native import available_isas
from onnx_roialign.errors import one_line
from onnx_roialign.ops.evaluator import reference_evaluator
from onnx_roialign.sessions.session import session
from onnx_roialign.sessions.silent import silent_options

from .cases import Case

__all__ = ["Backend", "Unsupported", "all_backends"]


class Unsupported(Exception):  # noqa: N818 a result of the suite, not an error
    """The backend cannot run the case; the text gives the reason."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One implementation under test.

    Attributes:
        name: unique name.
        outputs: returns an array per graph output; raises Unsupported where the backend lacks what the case needs.
        required: whether the suite fails if this backend does not pass; the others are for information.
    """

    name: str
    outputs: Callable[[Case], Mapping[str, Array]]
    required: bool


def all_backends() -> tuple[Backend, ...]:
    """Returns this package's backends, one per available instruction set, and ONNX Runtime's own kernel.

    Raises:
        NativeLibraryError: there is no compiled library, so the required backends cannot be tested.
    """
    native = tuple(Backend(f"native {isa}", partial(_native, isa), required=True) for isa in available_isas())
    return (
        Backend("evaluator", _evaluator, required=True),
        *native,
        Backend("Python op", partial(_in_session, "reference"), required=True),
        Backend("builtin", partial(_in_session, "builtin"), required=False),
    )


def _evaluator(case: Case) -> Mapping[str, Array]:
    names = [output.name for output in case.model.graph.output]
    return dict(zip(names, reference_evaluator(case.model).run(names, dict(case.inputs)), strict=True))


def _native(isa: str, case: Case) -> Mapping[str, Array]:
    # The library refuses an instruction set that it cannot run, so the session runs exactly the one named here.
    return _in_session("native", case, isa)


def _in_session(engine: str, case: Case, isa: str | None = None) -> Mapping[str, Array]:
    options = silent_options()
    if isa is not None:
        options.add_session_config_entry("onnx_roialign.isa", isa)
    try:
        running = session(case.model, options, engine=engine)
    except (
        _runtime_errors.NotImplemented,
        _runtime_errors.InvalidGraph,
    ) as error:
        raise Unsupported(one_line(error)) from error
    names = [output.name for output in running.get_outputs()]
    return {name: np.asarray(value) for name, value in zip(names, running.run(names, dict(case.inputs)), strict=True)}
