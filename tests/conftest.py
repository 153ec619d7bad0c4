"""The engines and the doors: all that must return the same results, so that one test covers all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from quiet import DOORS

import onnx_roialign
from onnx_roialign import NativeLibraryError
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import resolve
from onnx_roialign.engines import native


@dataclass(frozen=True)
class Engine:
    """roi_align() by one implementation: the NumPy reference, or the compiled library with one instruction set."""

    name: str
    run: Callable[..., np.ndarray]

    def __call__(self, X, rois, batch_indices, *, semantics="onnx_half_pixel", **attributes: Any) -> np.ndarray:
        return self.run(X, rois, batch_indices, Attributes(semantics=resolve(semantics), **attributes))


def native_engine(isa: str | None) -> Engine:
    def run(*arguments):
        return native.roi_align(*arguments, isa=isa)

    return Engine(f"native-{isa}", run)


def engines() -> list[Engine]:
    try:
        isas = native.available_isas()
    except NativeLibraryError:
        isas = (None,)  # the tests of such an engine fail with the text that names the missing package
    return [Engine("reference", reference.roi_align), *map(native_engine, isas)]


@pytest.fixture(scope="session", params=engines(), ids=lambda engine: engine.name)
def engine(request) -> Engine:
    return request.param


@pytest.fixture(params=DOORS)
def door(request) -> str:
    """Each way in which the compiled library comes into a session of the installed onnxruntime."""
    return request.param


@pytest.fixture(scope="session", params=["reference", "native"])
def public_roi_align(request) -> Callable[..., np.ndarray]:
    """onnx_roialign.roi_align() itself, with its checks, for each value of its `engine` argument."""

    def call(*arrays, **arguments):
        return onnx_roialign.roi_align(*arrays, engine=request.param, **arguments)

    return call
