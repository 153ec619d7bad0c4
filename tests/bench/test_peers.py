"""Compares what this package claims about other RoiAligns with those installed: presets, defaults, adapters."""

from __future__ import annotations

import importlib

import numpy as np
import onnxruntime
import pytest
import tolerances
from onnx import helper
from required_peers import imported, skip_without

from models import make_model, roi_align_node
from onnx_roialign import PRESETS, identify
from onnx_roialign.arrays import OTHER_ORDER
from onnx_roialign.bench.peers import find_contestants
from onnx_roialign.bench.workloads import WORKLOADS
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import from_onnx
from onnx_roialign.definition.sources import parse
from onnx_roialign.frameworks import paddle

ALIGNED_MODES = ("asymmetric", "half_pixel_for_nn", "half_pixel")
FULL_PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}


@pytest.fixture(scope="module")
def ov():
    return imported("openvino")


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
def test_openvinos_presets_return_openvinos_results(ov, aligned_mode, mode):
    """Random boxes and negative features; some boxes have no size or are inverted."""
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


def tvm_roi_align(X, rois, attributes, *, aligned, layout="NCHW", memory=0.0):
    """TVM's own topi.vision.roi_align, built for llvm; `memory` fills the output beforehand."""
    tvm, te, topi = imported("tvm"), imported("tvm.te"), imported("tvm.topi")
    inputs = [X if layout == "NCHW" else np.ascontiguousarray(X.transpose(0, 2, 3, 1)), rois]
    own = [te.placeholder(array.shape, "float32", name) for array, name in zip(inputs, ("data", "rois"), strict=True)]
    bins = attributes.output_height, attributes.output_width
    ratio = attributes.sampling_ratio or -1
    node = topi.vision.roi_align(*own, bins, attributes.spatial_scale, attributes.mode, ratio, aligned, layout)
    Y = tvm.runtime.tensor(np.full([int(length) for length in node.shape], memory, np.float32))
    tvm.compile(te.create_prim_func([*own, node]), target="llvm")(*map(tvm.runtime.tensor, inputs), Y)
    return Y.numpy() if layout == "NCHW" else Y.numpy().transpose(0, 3, 1, 2)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("mode", ["avg", "max"])
def test_tvms_presets_return_tvms_results(aligned, layout, mode):
    rng = np.random.default_rng([20261201, aligned, len(layout), len(mode)])
    semantics = parse(f"tvm:aligned={aligned}")
    for ratio in (0, 2):
        X = (rng.standard_normal((2, 3, 7, 9)) - ratio).astype(np.float32)
        start = rng.uniform(-6, 30, (12, 2))
        rois = np.hstack([rng.integers(0, 2, (12, 1)), start, start + rng.uniform(0.1, 24, (12, 2))]).astype(np.float32)
        attributes = Attributes(2, 3, ratio, 0.3, mode, semantics)
        want = tvm_roi_align(X, rois, attributes, aligned=aligned, layout=layout)
        got = reference.roi_align(X, rois[:, 1:], rois[:, 0].astype(np.int64), attributes)
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerances.FLOAT32 * np.abs(X).max())


def test_tvm_writes_nothing_to_a_bin_without_samples():
    """Tests what semantics.py claims about it, and why no such call is recorded."""
    X, point = np.full((1, 1, 6, 6), 3, np.float32), np.float32([[0, 2, 2, 2, 2]])
    attributes = Attributes(1, 1, 0)
    assert tvm_roi_align(X, point, attributes, aligned=True, memory=7.0).item() == 7
    assert tvm_roi_align(X, point, attributes, aligned=False, memory=7.0).item() == 3


@pytest.mark.parametrize("aligned", [False, True])
def test_paddles_scale_is_a_float32_in_float64_calls_too(aligned):
    ops, tensor = imported("paddle.vision.ops"), imported("paddle").to_tensor
    rng = np.random.default_rng([20261202, aligned])
    X, start = rng.standard_normal((1, 2, 9, 11)), rng.uniform(0, 20, (8, 2))
    boxes, counts = np.hstack([start, start + rng.uniform(1, 15, (8, 2))]), np.int32([8])
    for scale in (0.1, 0.3, 0.7):
        want = ops.roi_align(tensor(X), tensor(boxes), tensor(counts), 3, scale, 2, aligned).numpy()
        assert want.dtype == np.float64
        np.testing.assert_allclose(
            paddle.roi_align(X, boxes, counts, 3, scale, 2, aligned, engine="reference"), want, rtol=0, atol=1e-13
        )


def test_openvinos_default_sampling_ratio_is_1(ov):
    """Tests what the finding sampling-ratio-omitted claims."""

    def answer(**attributes):
        node = helper.make_node(
            "RoiAlign", ["X", "rois", "batch_indices"], ["Y"], output_height=2, output_width=2, **attributes
        )
        model = make_model([node], 16, shapes=(X.shape, rois.shape, [1]))
        core = ov.Core()
        compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", FULL_PRECISION)
        return np.array(compiled([X, rois, np.zeros(1, np.int64)])[0])

    X = np.random.default_rng(20261130).standard_normal((1, 1, 12, 12)).astype(np.float32)
    rois = np.float32([[1, 1, 10, 9]])
    omitted, fixed, adaptive = answer(), answer(sampling_ratio=1), answer(sampling_ratio=0)
    assert np.array_equal(omitted, fixed)
    assert not np.allclose(omitted, adaptive, atol=1e-3)


@pytest.mark.parametrize(("hint", "precision"), [({}, "bf16"), (FULL_PRECISION, "f32")])
def test_openvino_computes_in_bfloat16_by_default_if_the_cpu_supports_it(ov, hint, precision):
    """Tests why the adapter requires a sampling ratio."""
    opset, core = importlib.import_module("openvino.opset9"), ov.Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        precision = "f32"
    kinds = ([1, 1, 5, 5], np.float32), ([1, 4], np.float32), ([1], np.int64)
    inputs = [opset.parameter(*kind) for kind in kinds]
    node = opset.roi_align(*inputs, 2, 2, 2, 1.0, "avg", "asymmetric")
    compiled = core.compile_model(ov.Model([node.output(0)], inputs), "CPU", hint)
    assert compiled.get_property("INFERENCE_PRECISION_HINT").to_string() == precision


def builtin_answer(opsets):
    """Runs a RoiAlign without the mode on ONNX Runtime's kernel, with its meaning at each of these opsets."""
    X = np.random.default_rng(20261206).standard_normal((1, 1, 12, 12)).astype(np.float32)
    rois, images = np.float32([[1, 1, 10, 9]]), np.zeros(1, np.int64)
    proto = make_model([roi_align_node(output_height=2, spatial_scale=1.0)], 16, shapes=(X.shape, [1, 4], [1]))
    del proto.opset_import[:]
    proto.opset_import.extend(helper.make_opsetid("", opset) for opset in opsets)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    meanings = [Attributes(2, 2, 2, semantics=from_onnx(opset, None)) for opset in opsets]
    wants = [reference.roi_align(X, rois, images, attributes) for attributes in meanings]
    return session.run(None, {"X": X, "rois": rois, "batch_indices": images})[0], wants


@pytest.mark.parametrize("opsets", [(16, 11), (11, 16)])
def test_onnxruntime_uses_the_last_of_two_opsets(opsets):
    """Tests what the finding conflicting-opsets claims: runtimes choose different opsets; ONNX takes the highest."""
    got, (first, last) = builtin_answer(opsets)
    np.testing.assert_allclose(got, last, rtol=0, atol=1e-5)
    assert np.abs(got - first).max() > 1e-2


@pytest.mark.parametrize("peer", ["onnxruntime", "torchvision", "openvino", "mindspore", "paddle"])
def test_the_benchmarks_adapter_is_right_in_both_coordinate_modes(peer):
    """A wrong result is first searched for in the adapter: OpenVINO's own half_pixel differs from ONNX's."""
    contestants, missing = find_contestants([peer], [], "avg")
    if peer in missing:
        skip_without(peer, missing[peer])
    (contestant,) = contestants
    for name in ("fpn_box_7x7_s2", "fpn_box_7x7_adaptive"):
        workload = WORKLOADS[name]()
        if (peer, name) == ("mindspore", "fpn_box_7x7_adaptive"):
            with pytest.raises(ValueError, match="has neither half_pixel nor ONNX's adaptive grid"):
                contestant.prepare(workload, 1)
            continue
        prepared = contestant.prepare(workload, 1)
        prepared.run()
        for call, Y in zip(workload.calls, prepared.outputs(), strict=True):
            want = reference.roi_align(call.X, call.rois, call.batch_indices, call.attributes)
            assert np.abs(Y - want).max() <= OTHER_ORDER["float32"] * np.abs(call.X).max()
