"""Tests that a call's arrays are checked once: types and shapes in Python, values where they are used."""

from __future__ import annotations

import numpy as np
import pytest

from onnx_roialign import RoiAlignError, roi_align
from onnx_roialign.definition.checks import Given, check_signature
from onnx_roialign.engines import native

X = np.ones((1, 1, 4, 4), np.float32)
ROIS = np.array([[0, 0, 2, 2], [0, 0, np.nan, 2]], np.float32)
NOT_FINITE = r"^rois must be finite, got nan at row 1, column 2 \(x2\)$"


def test_the_library_alone_checks_the_values_of_a_valid_call(monkeypatch):
    monkeypatch.setattr(native, "check_values", lambda *_: pytest.fail("the values were checked in Python too"))
    assert roi_align(X, ROIS[:1], [0]).shape == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("images", "message", "subject"),
    [([0, 0], NOT_FINITE, "rois"), ([0, 7], r"^batch_indices must be in \[0, 1\), got 7 at row 1$", "batch_indices")],
)
@pytest.mark.parametrize("agrees", [True, False])
def test_an_error_of_the_library_has_the_librarys_message(images, message, subject, agrees, monkeypatch):
    if not agrees:  # the library's message, even if Python's checks find nothing
        monkeypatch.setattr(native, "check_values", lambda *_: None)
    with pytest.raises(RoiAlignError, match=message) as caught:
        roi_align(X, ROIS, images)
    assert (caught.value.subject, caught.value.code) == (subject if agrees else "", "range")


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_wrong_value_is_named_before_a_lack_of_memory(engine):
    X = np.broadcast_to(np.float32(0), (1, 2**20, 1, 1))
    with pytest.raises(RoiAlignError, match=NOT_FINITE):
        roi_align(X, ROIS, [0, 0], output_height=32768, output_width=32768, sampling_ratio=1, engine=engine)
    with pytest.raises(RoiAlignError, match="fits into memory"):
        roi_align(X, ROIS[:1], [0], output_height=32768, output_width=32768, sampling_ratio=1, engine=engine)


@pytest.mark.parametrize(
    ("subject", "code", "given"),
    [
        ("X", "shape", (Given("float32", (1, 2)), Given(None, None), Given(None, None))),
        ("X", "type", (Given("int32", None), Given(None, None), Given(None, None))),
        ("rois", "type", (Given("float32", None), Given("float64", None), Given(None, None))),
        ("rois", "shape", (Given("float32", None), Given(None, (3, 5)), Given(None, None))),
        ("batch_indices", "type", (Given(None, None), Given(None, None), Given("int32", None))),
        ("batch_indices", "shape", (Given(None, None), Given(None, None), Given(None, (2, 2)))),
        ("rois and batch_indices", "shape", (Given(None, None), Given(None, (3, 4)), Given(None, (2,)))),
    ],
)
def test_an_error_has_the_input_and_the_code_of_its_rule(subject, code, given):
    with pytest.raises(RoiAlignError) as caught:
        check_signature(*given)
    assert (caught.value.subject, caught.value.code) == (subject, code)
    assert caught.value.rule.startswith(f"{subject} must ")
    named = caught.value.in_node("pool")
    assert (named.subject, named.code, named.node, named.rule) == (subject, code, "pool", caught.value.rule)
