"""Tests the result of identify: the arrays it returns, and the value of a hidden field."""

from __future__ import annotations

import json
from dataclasses import replace

from identified import ALIGNED, meaning

import onnx_roialign
from onnx_roialign import PRESETS, Semantics
from onnx_roialign.definition import reference
from onnx_roialign.identification.live import identify
from onnx_roialign.identification.result import FIELDS, Evidence, conclude


def test_a_hidden_field_has_no_value_that_is_ruled_out():
    left = [replace(ALIGNED, end_shift=shift, border=border) for shift in (1.0, 0.5) for border in FIELDS["border"]]
    found = conclude([Evidence("offset", "decided", 0.5, "", (), (), "", (0.5,))], left)
    assert found.semantics == replace(ALIGNED, end_shift=1.0)


def test_the_result_is_json_with_nan_as_a_string():
    for found in (identify(meaning(PRESETS["mindspore_0"])), identify(lambda *_: None)):
        answer = json.loads(json.dumps(found.as_dict(), allow_nan=False))
        assert set(answer) == {"fits", "semantics", "names", "hidden", "evidence"}
        keys = {"subject", "verdict", "value", "probe", "expected", "seen", "reason", "fitting"}
        assert all(set(entry) == keys for entry in answer["evidence"])
    empty = next(
        entry for entry in identify(meaning(PRESETS["mindspore_0"])).as_dict()["evidence"] if entry["value"] == "nan"
    )
    assert empty["seen"][-1] == "nan"


def test_it_is_a_public_name():
    assert onnx_roialign.identify is identify
    assert identify(reference.roi_align).semantics == Semantics()
