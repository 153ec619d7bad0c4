"""The ways in which a model of private ops runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from quiet import ENGINES as SESSIONS
from quiet import quiet_session

import onnx_roialign
from onnx_roialign.graph import unfuse

Feeds = Mapping[str, np.ndarray]


def in_session(engine: str) -> Callable[[onnx.ModelProto, Feeds], Any]:
    """By the library, through the door that it has by itself or through one of DOORS, or by the Python op."""
    return lambda model, feeds: quiet_session(model, engine).run(None, feeds)[0]


native = in_session("native")


def evaluator(model: onnx.ModelProto, feeds: Feeds) -> Any:
    return onnx_roialign.reference_evaluator(model).run(None, feeds)[0]


def unfused(model: onnx.ModelProto, feeds: Feeds) -> Any:
    """Runs the fused ops in ONNX's own operators."""
    return native(unfuse(model), feeds)


RUNS: Mapping[str, Callable[[onnx.ModelProto, Feeds], Any]] = {
    **{name: in_session(name) for name in SESSIONS},
    "evaluator": evaluator,
    "unfused": unfused,
}
ENGINES = (*SESSIONS, "evaluator")


def run_model(model: onnx.ModelProto, feeds: Feeds, engine: str) -> Any:
    """Output 0 by one of ENGINES, or by "native"."""
    return {"native": native, **RUNS}[engine](model, feeds)
