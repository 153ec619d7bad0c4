"""The ways in which a model of private ops runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from quiet import quiet_session

import onnx_roialign
from onnx_roialign.graph import unfuse

Feeds = Mapping[str, np.ndarray]


def native(model: onnx.ModelProto, feeds: Feeds) -> Any:
    return quiet_session(model).run(None, feeds)[0]


def reference(model: onnx.ModelProto, feeds: Feeds) -> Any:
    return quiet_session(model, "reference").run(None, feeds)[0]


def evaluator(model: onnx.ModelProto, feeds: Feeds) -> Any:
    return onnx_roialign.reference_evaluator(model).run(None, feeds)[0]


def unfused(model: onnx.ModelProto, feeds: Feeds) -> Any:
    """Runs the fused ops in ONNX's own operators."""
    return native(unfuse(model), feeds)


RUNS: Mapping[str, Callable[[onnx.ModelProto, Feeds], Any]] = {
    "native": native,
    "reference": reference,
    "evaluator": evaluator,
    "unfused": unfused,
}
ENGINES = ("native", "reference", "evaluator")


def run_model(model: onnx.ModelProto, feeds: Feeds, engine: str) -> Any:
    """Output 0 by one of ENGINES."""
    return RUNS[engine](model, feeds)
