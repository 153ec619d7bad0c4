"""Python's garbage collector is as it was after each function that pauses it."""

from __future__ import annotations

import gc

import pytest
from exports import MODELS

from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph import convert_opset, fuse, make_explicit, repair, unfuse, validate
from onnx_roialign.graph.reading.collector import collector_paused

MODEL = MODELS / "paddle_roi_align" / "paddle2onnx_opset11_aligned_s2.onnx"
CALLS = {
    "validate": validate,
    "repair": lambda model: repair(model, "paddle:aligned=True"),
    "convert_opset": lambda model: convert_opset(model, 16),
    "make_explicit": make_explicit,
    "fuse": fuse,
    "unfuse": unfuse,
}


@pytest.fixture(params=[True, False], ids=["on", "off"])
def collector(request):
    """Whether the caller's collector is on."""
    (gc.enable if request.param else gc.disable)()
    yield request.param
    gc.enable()


@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_the_collector_as_it_was(name, collector):
    CALLS[name](MODEL)
    assert gc.isenabled() == collector


@pytest.mark.parametrize("name", CALLS)
def test_an_error_leaves_it_too(name, collector):
    with pytest.raises(RoiAlignError, match="model must be"):
        CALLS[name](b"no model")
    assert gc.isenabled() == collector


def test_it_is_paused_inside():
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
