"""Tests the calls that identify makes: few, small, and safe for every framework."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from identified import meaning

from onnx_roialign import PRESETS
from onnx_roialign.identification import recorded as recorded_module
from onnx_roialign.identification.live import RecordedCall, identify
from onnx_roialign.identification.probes import checks


@cache
def calls_asked():
    asked = []
    for preset in PRESETS:

        def spy(X, rois, indices, attributes, preset=preset):
            asked.append((preset, RecordedCall(X.copy(), rois.copy(), indices.copy(), attributes, np.zeros(0))))
            return meaning(PRESETS[preset])(X, rois, indices, attributes)

        identify(spy)
    return tuple(asked)


def test_there_are_few_and_small_calls():
    assert len(calls_asked()) <= 42 * len(PRESETS)
    assert max(call.X.size for _, call in calls_asked()) <= 1024


def test_no_probe_has_an_adaptive_grid_over_a_mirrored_roi():
    """Paddle 3.3.1 with aligned=True does not return from such a RoI, and no call can be stopped."""
    for preset, call in calls_asked():
        if call.attributes.sampling_ratio == 0:
            sizes = call.rois[:, 2:] - call.rois[:, :2] + PRESETS[preset].end_shift
            assert np.all(sizes >= 0), (preset, call)


@pytest.mark.parametrize("check", checks(), ids=lambda check: check.subject)
def test_no_check_depends_on_the_rounding_of_a_sample(check):
    for preset in PRESETS.values():
        call = RecordedCall(**{n: getattr(check.call, n) for n in ("X", "rois", "batch_indices", "attributes")}, Y=None)
        assert recorded_module._steady(call, preset).all()
