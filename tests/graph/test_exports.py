"""Tests that every real export on our kernel returns its framework's result, unless the file itself is wrong."""

from __future__ import annotations

from fnmatch import fnmatch
from types import MappingProxyType

import exports
import numpy as np
import onnx
import onnxruntime
import pytest
from exports import KNOWN_WRONG, known_wrong
from installed_versions import newest_opset
from tolerances import EXPORTS, FLOAT32, KNOWN_WRONG_BY

import onnx_roialign
from onnx_roialign import RoiAlignError
from onnx_roialign.arrays import largest_difference

COUNTS = MappingProxyType(
    {
        "detectors": 6,
        "mindspore_ROIAlign": 2,
        "paddle_roi_align": 8,
        "skeletons": 2,
        "torchvision_multiscale": 9,
        "torchvision_roi_align": 24,
    }
)


# Paddle's files whose opset happens to mean what was exported: right for the first image, whose index is zero.
PADDLE_RIGHT_ON_IMAGE_0 = ("paddle_roi_align/*opset11_legacy_*", "paddle_roi_align/*opset16_aligned_*")

RECORDED = tuple(name for name in exports.names() if not name.startswith("skeletons/"))
SKELETONS = tuple(name for name in exports.names() if name.startswith("skeletons/"))


def native_outputs(export):
    return onnx_roialign.session(export.model, engine="native").run(None, export.feeds())


def test_no_export_is_missing():
    folders = [name.split("/")[0] for name in exports.names()]
    assert {folder: folders.count(folder) for folder in folders} == dict(COUNTS)


@pytest.mark.parametrize("pattern", KNOWN_WRONG)
def test_the_table_of_wrong_files_names_real_files(pattern):
    assert any(fnmatch(name, pattern) for name in exports.names())


@pytest.mark.parametrize("name", [name for name in RECORDED if not known_wrong(name)])
def test_the_export_returns_its_frameworks_outputs(name):
    export = exports.load(name)
    if (
        export.opset() > newest_opset()
    ):  # onnxruntime 1.20 at opset 22: it has no operator of that opset, RoiAlign or not
        with pytest.raises(RoiAlignError, match=f"model must be of opset .* got opset {export.opset()}: upgrade"):
            native_outputs(export)
        return
    outputs = native_outputs(export)
    assert len(outputs) == len(export.expected)
    for got, want in zip(outputs, export.expected, strict=True):
        assert got.dtype == want.dtype
        assert largest_difference(got, want) <= EXPORTS


@pytest.mark.parametrize("name", [name for name in RECORDED if known_wrong(name)])
def test_a_file_known_to_be_wrong_is_clearly_wrong(name):
    export = exports.load(name)
    (got,) = native_outputs(export)
    assert np.isfinite(largest_difference(got, export.expected[0]))
    assert largest_difference(got, export.expected[0]) > KNOWN_WRONG_BY


@pytest.mark.parametrize("name", [name for name in RECORDED if name.startswith("paddle_roi_align/")])
def test_a_paddle_file_with_the_right_opset_is_right_only_on_the_first_image(name):
    export = exports.load(name)
    (got,) = native_outputs(export)
    first = int(export.inputs[2][0])
    on_image_0 = largest_difference(got[:first], export.expected[0][:first])
    on_image_1 = largest_difference(got[first:], export.expected[0][first:])
    assert on_image_1 > KNOWN_WRONG_BY
    if any(fnmatch(name, pattern) for pattern in PADDLE_RIGHT_ON_IMAGE_0):
        assert on_image_0 <= EXPORTS
    else:
        assert on_image_0 > KNOWN_WRONG_BY


@pytest.mark.parametrize("name", SKELETONS)
def test_a_whole_detector_runs_and_pools_what_the_builtin_kernel_pools(name):
    """At real size, 800 x 1216, with random weights: without a recorded result, the other kernel decides.

    It decides for the box pooler, whose RoIs are the same for both: later RoIs follow from its last bits.
    """
    export = exports.load(name)
    model = exports.filled(export.model)
    declared = [output.name for output in model.graph.output]
    pooled = [
        node.output[0]
        for node in model.graph.node
        if node.op_type == "RoiAlign" and any(a.name == "output_height" and a.i == 7 for a in node.attribute)
    ]
    model.graph.output.extend(onnx.ValueInfoProto(name=output) for output in pooled)
    outputs = silent_session(model, "native").run(declared + pooled, export.feeds())
    boxes, *_ = outputs[: len(declared)]
    assert boxes.shape[1:] == (4,)
    assert all(np.isfinite(output).all() for output in outputs)

    # The other kernel's model ends with the pooler: it need not paste masks for 4 s more.
    last = max(index for index, node in enumerate(model.graph.node) if node.output[0] in pooled)
    del model.graph.node[last + 1 :]
    del model.graph.output[: len(declared)]
    judged = silent_session(model, "builtin").run(pooled, export.feeds())
    assert sum(len(output) for output in judged) == 1000
    largest = max(float(np.max(np.abs(output), initial=0.0)) for output in judged)
    for ours, theirs in zip(outputs[len(declared) :], judged, strict=True):
        assert largest_difference(ours, theirs) <= FLOAT32 * largest


def silent_session(model, engine):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # a warning in each of 100 iterations of the loop that pastes the masks
    return onnx_roialign.session(model, options, engine=engine)
