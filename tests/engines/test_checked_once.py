"""A call's arrays are checked once: types and shapes in Python, values where they are computed with."""

from __future__ import annotations

import numpy as np
import pytest

from onnx_roialign import RoiAlignError, roi_align
from onnx_roialign.definition.checks import Given, check_signature
from onnx_roialign.engines import native

X = np.ones((1, 1, 4, 4), np.float32)
ROIS = np.array([[0, 0, 2, 2], [0, 0, np.nan, 2]], np.float32)
NOT_FINITE = r"^rois must be finite, got nan at row 1, column 2 \(x2\)$"


def test_the_library_alone_checks_values(monkeypatch):
    monkeypatch.setattr(native, "check_values", lambda *_: pytest.fail("the values were checked in Python too"))
    with pytest.raises(RoiAlignError, match=NOT_FINITE):
        roi_align(X, ROIS, [0, 0])
    with pytest.raises(RoiAlignError, match=r"^batch_indices must be in \[0, 1\), got 7 at row 1$"):
        roi_align(X, ROIS, [0, 7])


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_wrong_value_is_named_before_a_lack_of_memory(engine):
    X = np.broadcast_to(np.float32(0), (1, 2**20, 1, 1))
    with pytest.raises(RoiAlignError, match=NOT_FINITE):
        roi_align(X, ROIS, [0, 0], output_height=32768, output_width=32768, sampling_ratio=1, engine=engine)
    with pytest.raises(RoiAlignError, match="fits into memory"):
        roi_align(X, ROIS[:1], [0], output_height=32768, output_width=32768, sampling_ratio=1, engine=engine)


@pytest.mark.parametrize(
    ("subject", "given"),
    [
        ("X", (Given("float32", (1, 2)), Given(None, None), Given(None, None))),
        ("X", (Given("int32", None), Given(None, None), Given(None, None))),
        ("rois", (Given("float32", None), Given("float64", None), Given(None, None))),
        ("rois", (Given("float32", None), Given(None, (3, 5)), Given(None, None))),
        ("batch_indices", (Given(None, None), Given(None, None), Given("int32", None))),
        ("batch_indices", (Given(None, None), Given(None, None), Given(None, (2, 2)))),
        ("", (Given(None, None), Given(None, (3, 4)), Given(None, (2,)))),
    ],
)
def test_an_error_says_which_input_it_is_about(subject, given):
    with pytest.raises(RoiAlignError) as caught:
        check_signature(*given)
    assert caught.value.subject == subject
    named = caught.value.in_node("pool")
    assert (named.subject, named.node, named.rule) == (subject, "pool", caught.value.rule)
