"""Tests random models: another opset or form keeps every output to the bit, and a second pass changes nothing more."""

from __future__ import annotations

import random
import re

import numpy as np
import onnx
import pytest
from node_facts import opset_of
from quiet import run_all
from right_models import FEEDS, RightModel

from onnx_roialign import RoiAlignError
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.sources import parse
from onnx_roialign.graph import convert_opset, make_explicit, repair, validate
from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.nodes import is_private, is_roi_align, read_attributes

BATCH = 20
BATCHES = 3  # in every run; 12 with those marked long
SOURCES = ("torchvision", "torchvision:aligned=True", "mindspore:roi_end_mode=1", "mindspore:roi_end_mode=0", "onnx:10")
OPSETS = (10, 22)
# Operators that an older opset has not, or has with another meaning: these models may contain no others.
IN_THE_WAY = re.compile(
    r"model must be convertible to opset \d+, got .*"
    r"(Cast|If|Loop|Scan)"
)


def assert_same_bits(before, model, what):
    for value, other in zip(before, run_all(model, FEEDS), strict=True):
        np.testing.assert_array_equal(value, other, err_msg=what, strict=True)


def batches():
    marks = pytest.mark.long
    return [i if i < BATCHES else pytest.param(i, marks=marks) for i in range(4 * BATCHES)]


def converted(model, target):
    """None if another operator prevents an older opset."""
    try:
        made = convert_opset(model, target, private_op=True)
    except RoiAlignError as error:
        if target < opset_of(model) and IN_THE_WAY.match(str(error)):
            return None
        raise
    assert opset_of(made) == target
    return made


@pytest.mark.parametrize("batch", batches())
def test_converting_to_another_opset_and_back_keeps_the_results_bit_for_bit(batch):
    done = 0
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        rng = random.Random(seed)
        given = RightModel(seed).proto
        before = run_all(given, FEEDS)
        for target in (rng.randint(opset_of(given), OPSETS[1]), rng.randint(OPSETS[0], opset_of(given))):
            made = converted(given, target)
            if made is None:
                continue
            done += 1
            what = f"seed {seed} from {opset_of(given)} to {target}"
            assert_same_bits(before, made, what)
            assert convert_opset(made, target) == made, what
            back = converted(made, opset_of(given))
            if back is not None:
                assert_same_bits(before, back, f"{what} and back")
    assert done > 1.4 * BATCH  # of two each


@pytest.mark.parametrize("batch", batches())
def test_make_explicit_keeps_the_results_bit_for_bit(batch):
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        given = RightModel(seed).proto
        explicit = make_explicit(given)
        assert make_explicit(explicit) == explicit
        assert_same_bits(run_all(given, FEEDS), explicit, f"seed {seed}")


def stated(model, meaning):
    """The model with every RoiAlign written by hand as the private op of this meaning, without a pass."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for scope in scopes(copy):
        for node in scope.nodes:
            if is_roi_align(node) or is_private(node):
                given = read_attributes(node, scope.opset)
                plain = (given.output_height, given.output_width, given.sampling_ratio, given.spatial_scale, given.mode)
                made = private_op.make_node(*node.input, node.output[0], Attributes(*plain, semantics=meaning))
                node.CopyFrom(made)
    return copy


@pytest.mark.parametrize("batch", batches())
def test_a_repaired_model_means_its_source_and_a_right_model_is_unchanged(batch):
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        given = RightModel(seed).proto
        source = random.Random(seed).choice(SOURCES)
        what = f"seed {seed} as {source}"
        repaired = repair(given, source, exact=True)
        assert repair(repaired, source, exact=True) == repaired, what
        wrong = [finding for finding in validate(repaired, source) if finding.repairable]
        assert wrong == [], what
        results = run_all(repaired, FEEDS)
        for got, want in zip(results, run_all(stated(given, parse(source)), FEEDS), strict=True):
            np.testing.assert_allclose(got, want, rtol=0, atol=2e-5, err_msg=what)
        assert_same_bits(results, make_explicit(repaired), what)
