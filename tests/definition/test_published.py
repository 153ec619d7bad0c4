"""Tests that the presets of projects that publish numbers return those numbers, on both engines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from published import VECTORS

from onnx_roialign import PRESETS
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes


def wanted(vector):
    shape = len(vector.rois), vector.X.shape[1], vector.arguments["output_height"], vector.arguments["output_width"]
    return np.asarray(vector.Y, np.float64).reshape(shape)


def given(vector):
    return vector.X, np.asarray(vector.rois, np.float32), np.zeros(len(vector.rois), np.int64)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.where)
def test_a_preset_returns_what_its_project_publishes(engine, vector):
    Y = engine(*given(vector), semantics=vector.preset, **vector.arguments)
    np.testing.assert_allclose(Y, wanted(vector), rtol=0, atol=vector.tolerance)


# With any one field changed, some published number must differ; else nothing supports the preset's field.
@pytest.mark.parametrize(
    ("preset", "change"),
    [
        ("mindspore_half_pixel", {"border": "inclusive"}),
        ("mindspore_half_pixel", {"offset": 0.0}),
        ("mmcv_aligned", {"max_start": None}),
        ("mmcv_aligned", {"offset": 0.0}),
        ("mmcv_legacy", {"max_start": 0.0}),
        ("detectron2", {"offset": 0.0}),
        ("detectron2", {"min_size": 1.0}),
    ],
)
def test_the_published_numbers_notice_another_meaning(preset, change):
    own = [vector for vector in VECTORS if vector.preset == preset]
    semantics = replace(PRESETS[preset], **change)
    wrong = []
    for vector in own:
        Y = reference.roi_align(*given(vector), Attributes(**vector.arguments, semantics=semantics))
        if not np.all(np.abs(Y - wanted(vector)) <= vector.tolerance):
            wrong.append(vector.where)
    assert wrong
