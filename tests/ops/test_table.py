"""Tests the table of the private ops against the compiled library and the tests: a new op must be in both."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from malformed_inputs import DRAWERS, attribute_values
from malformed_models import Signature

import onnx_roialign
from onnx_roialign.ops.table import OPS


def signatures(op):
    """All combinations of types, with and without the optional inputs."""
    for types in itertools.product(*op.types.values()):
        for left_out in ((), op.optional) if op.optional else ((),):
            yield Signature(dict(zip(op.types, (kind.name for kind in types), strict=True)), 2, left_out)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_the_library_has_a_kernel_for_every_name_and_type_of_an_op(op):
    attributes = {"spatial_scales": [1.0, 0.5]} if "spatial_scales" in dict(op.attributes) else {}
    for signature in signatures(op):
        for name in op.names:
            session = signature.session(op, signature.node(op, name, attributes), onnx_roialign.library_path())
            given = [kind for kind in signature.inputs(op).values() if kind]
            assert len(session.get_inputs()) == len(given), (name, signature)


def test_malformed_calls_are_drawn_for_every_op():
    assert sorted(DRAWERS) == sorted(op.name for op in OPS)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_malformed_calls_draw_every_attribute_of_an_op(op):
    rng = np.random.default_rng(5)
    drawn = set()
    for _ in range(200):
        drawn |= set(attribute_values(rng, DRAWERS[op.name].attributes(rng, op, 2)))
    assert drawn == {name for name, _ in op.attributes}
