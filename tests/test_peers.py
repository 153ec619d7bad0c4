"""What we say of other RoIAligns, asked of them where they are installed: presets, defaults, adapters of the bench."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import tolerances
from onnx import TensorProto, helper

from onnx_roialign import PRESETS, bench, identify, reference
from onnx_roialign.attributes import Attributes
from onnx_roialign.peers import find_engines
from onnx_roialign.sources import parse
from onnx_roialign.workloads import WORKLOADS

ALIGNED_MODES = ("asymmetric", "half_pixel_for_nn", "half_pixel")
FULL_PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture(scope="module")
def ov():
    return pytest.importorskip("openvino", reason="openvino is not installed")


def roi_align(ov, arrays, attributes, aligned_mode):
    """OpenVINO's own ROIAlign-9."""
    opset = importlib.import_module("openvino.opset9")
    own = [opset.parameter(list(array.shape), array.dtype.type) for array in arrays]
    node = opset.roi_align(
        *own,
        pooled_h=attributes.output_height,
        pooled_w=attributes.output_width,
        sampling_ratio=attributes.sampling_ratio,
        spatial_scale=attributes.spatial_scale,
        mode=attributes.mode,
        aligned_mode=aligned_mode,
    )
    compiled = ov.Core().compile_model(ov.Model([node.output(0)], own), "CPU", FULL_PRECISION)
    return np.array(compiled(list(arrays))[0])


@pytest.mark.parametrize("aligned_mode", ALIGNED_MODES)
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_openvinos_presets_answer_what_openvino_answers(ov, aligned_mode, mode):
    """Negative features, boxes of no size and mirrored ones among them."""
    rng = np.random.default_rng(20261129)
    semantics = parse(f"openvino:aligned_mode={aligned_mode}")
    assert semantics == PRESETS[f"openvino_{aligned_mode}"]
    for i in range(40):
        X = (rng.standard_normal((2, 3, *rng.integers(3, 20, 2))) - i % 3).astype(np.float32)
        start = rng.uniform(-6, 30, (5, 2))
        rois = np.hstack([start, start + rng.uniform(-2 if i % 4 == 0 else 0.1, 24, (5, 2))]).astype(np.float32)
        if i % 5 == 0:
            rois[:3, 2:] = rois[:3, :2]
        height, width, ratio = (int(v) for v in rng.integers((1, 1, 0), 4))
        attributes = Attributes(height, width, ratio, float(rng.choice([1, 0.5, 0.3])), mode, semantics)
        arrays = X, rois, rng.integers(0, 2, 5)
        want, got = roi_align(ov, arrays, attributes, aligned_mode), reference.roi_align(*arrays, attributes)
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerances.FLOAT32 * np.abs(X).max())


@pytest.mark.parametrize("aligned_mode", ALIGNED_MODES)
def test_openvino_is_identified(ov, aligned_mode):
    found = identify(lambda X, r, i, attributes: roi_align(ov, (X, r, i), attributes, aligned_mode))
    assert found.fits, found.odd
    assert f"openvino_{aligned_mode}" in found.names


def test_openvino_takes_an_omitted_sampling_ratio_for_1(ov):
    """The finding sampling-ratio-omitted says so."""

    def answer(**attributes):
        node = helper.make_node("RoiAlign", ["X", "rois", "i"], ["Y"], output_height=2, output_width=2, **attributes)
        inputs = [
            helper.make_tensor_value_info("X", TensorProto.FLOAT, X.shape),
            helper.make_tensor_value_info("rois", TensorProto.FLOAT, rois.shape),
            helper.make_tensor_value_info("i", TensorProto.INT64, [1]),
        ]
        Y = helper.make_tensor_value_info("Y", TensorProto.FLOAT, [1, 1, 2, 2])
        graph = helper.make_graph([node], "g", inputs, [Y])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
        core = ov.Core()
        compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", FULL_PRECISION)
        return np.array(compiled([X, rois, np.zeros(1, np.int64)])[0])

    X = np.random.default_rng(20261130).standard_normal((1, 1, 12, 12)).astype(np.float32)
    rois = np.float32([[1, 1, 10, 9]])
    omitted, one, adaptive = answer(), answer(sampling_ratio=1), answer(sampling_ratio=0)
    assert np.array_equal(omitted, one)
    assert not np.allclose(omitted, adaptive, atol=1e-3)


@pytest.mark.parametrize("peer", ["onnxruntime", "torchvision", "openvino", "paddle"])
def test_the_benchmarks_adapter_answers_right_with_either_coordinate_mode(peer):
    """An answer that is off is first the adapter's fault: OpenVINO's own half_pixel is not ONNX's."""
    engines, missing = find_engines([peer], [], "avg")
    if peer in missing:
        pytest.skip(f"{peer} is not installed: {missing[peer]}")
    (engine,) = engines
    for name in ("fpn_box_7x7_s2", "fpn_box_7x7_adaptive"):
        workload = WORKLOADS[name]()
        prepared = engine.prepare(workload, 1)
        prepared.run()
        for call, Y in zip(workload.calls, prepared.outputs(), strict=True):
            want = reference.roi_align(call.X, call.rois, call.batch_indices, call.attributes)
            assert np.abs(Y - want).max() <= bench._TOLERANCES["float32"] * np.abs(call.X).max()
