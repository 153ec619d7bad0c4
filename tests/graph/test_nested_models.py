"""Tests rare forms of models in all functions on graphs: what runs is accepted, and no result changes."""

from __future__ import annotations

import numpy as np
import pytest
from calls import FEEDS
from found import run_codes
from graph_models import LEGACY
from nested_models import NESTED, first_opset
from node_facts import opset_of
from quiet import ENGINES, quiet_session

import onnx_roialign
from models import SHAPE
from onnx_roialign.graph import convert_opset, make_explicit, repair, validate

INPUTS = {**FEEDS, "which": np.array(True)}


def y_of(model, engine="native"):
    return quiet_session(model, engine).run(["Y"], INPUTS)[0]


def meant(preset):
    return onnx_roialign.roi_align(*FEEDS.values(), **SHAPE, semantics=preset, engine="reference")


@pytest.mark.parametrize("form", NESTED)
def test_every_engine_runs_it(form):
    given = NESTED[form]()
    want = meant("onnx_half_pixel")
    for engine in (*ENGINES, "builtin"):
        np.testing.assert_allclose(y_of(given, engine), want, rtol=0, atol=2e-6)


@pytest.mark.parametrize("form", NESTED)
def test_validate_runs_it_and_names_the_node_that_deviates(form):
    given = NESTED[form]()
    right = {"inputs": INPUTS, "expected": {"Y": meant("onnx_half_pixel")}}
    assert run_codes(validate(given, "onnx:16", **right)) == []
    findings = validate(given, "torchvision", inputs=INPUTS)
    (departing,) = [finding for finding in findings if finding.code == "wrong-answer"]
    assert departing.node.partition("__")[0].lstrip("_") in ("inner", "left")
    other = {"inputs": INPUTS, "expected": {"Y": meant("torchvision_legacy")}}
    assert run_codes(validate(given, **other)) == ["wrong-answer", "wrong-output", "explained"]


@pytest.mark.parametrize("source", ["torchvision", "mindspore:roi_end_mode=1", "mindspore:roi_end_mode=0"])
@pytest.mark.parametrize("form", NESTED)
def test_repair_gives_it_its_sources_meaning(form, source):
    repaired = repair(NESTED[form](), source)
    assert validate(repaired, source) == []
    assert repair(repaired, source) == repaired
    want = meant(onnx_roialign.sources.parse(source))
    for engine in ENGINES:
        np.testing.assert_allclose(y_of(repaired, engine), want, rtol=0, atol=1e-5)
    assert run_codes(validate(repaired, source, inputs=INPUTS)) == []


@pytest.mark.parametrize("form", NESTED)
def test_another_opset_returns_the_same_bits(form):
    for first in sorted({first_opset(form), 17, 21}):
        given = NESTED[form](first, **(LEGACY if first >= 16 else {}))
        for target in sorted({first_opset(form), 16, 18, 21}):
            if target < first_opset(form):
                continue
            converted = convert_opset(given, target)
            assert opset_of(converted) == target
            assert convert_opset(converted, target) == converted
            np.testing.assert_array_equal(y_of(converted), y_of(given))


@pytest.mark.parametrize("form", NESTED)
def test_make_explicit_returns_the_same_bits(form):
    for first in sorted({first_opset(form), 16, 21}):
        if first < first_opset(form):
            continue
        given = NESTED[form](first)
        explicit = make_explicit(given)
        assert make_explicit(explicit) == explicit != given
        np.testing.assert_array_equal(y_of(explicit), y_of(given))
