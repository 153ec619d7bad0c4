"""Compares what this package claims about torchvision, Paddle, MindSpore, OpenVINO and TVM with those installed.

OpenVINO's and TVM's results are in tests/bench/test_peers.py.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
import tolerances
from framework_calls import CALL_ENGINES
from private_runs import run_model
from required_peers import imported
from torch_rand import torch_rand

from onnx_roialign import PRESETS, RoiAlignError, identify
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.frameworks import mindspore, paddle, torchvision
from onnx_roialign.graph import repair, validate
from onnx_roialign.sources import parse


def torchvision_answers(X, rois, images, attributes, aligned):
    torch, ops = imported("torch"), imported("torchvision.ops")
    size, scale = (attributes.output_height, attributes.output_width), attributes.spatial_scale
    boxes = np.column_stack([images.astype(X.dtype), rois])
    ratio = attributes.sampling_ratio or -1
    return ops.roi_align(torch.from_numpy(X), torch.from_numpy(boxes), size, scale, ratio, aligned).numpy()


def paddle_answers(X, rois, images, attributes, aligned):
    ops, tensor = imported("paddle.vision.ops"), imported("paddle").to_tensor
    order = np.argsort(images, kind="stable")  # it accepts RoIs in the order of their images only
    counts = np.bincount(images, minlength=len(X)).astype(np.int32)
    size, scale = (attributes.output_height, attributes.output_width), attributes.spatial_scale
    ratio = attributes.sampling_ratio or -1
    Y = ops.roi_align(tensor(X), tensor(rois[order]), tensor(counts), size, scale, ratio, aligned).numpy()
    return Y[np.argsort(order)]


def mindspore_answers(X, rois, images, attributes, roi_end_mode):
    ms, (height, width) = imported("mindspore"), (attributes.output_height, attributes.output_width)
    op = ms.ops.ROIAlign(height, width, attributes.spatial_scale, attributes.sampling_ratio, roi_end_mode)
    return op(ms.Tensor(X), ms.Tensor(np.column_stack([images.astype(X.dtype), rois]))).asnumpy()


# preset -> the framework's function, and the value of its own argument.
ASKED = {
    "torchvision_legacy": (torchvision_answers, False),
    "torchvision_aligned": (torchvision_answers, True),
    "paddle_legacy": (paddle_answers, False),
    "paddle_aligned": (paddle_answers, True),
    "mindspore_0": (mindspore_answers, 0),
    "mindspore_1": (mindspore_answers, 1),
}


@pytest.mark.parametrize(
    ("source", "module", "call", "argument"),
    [
        ("torchvision", "torchvision.ops", "roi_align", "aligned"),
        ("torchvision", "torchvision.ops", "RoIAlign", "aligned"),
        ("paddle", "paddle.vision.ops", "roi_align", "aligned"),
        ("mindspore", "mindspore.ops", "ROIAlign", "roi_end_mode"),
        ("openvino", "openvino.opset9", "roi_align", "aligned_mode"),
        ("tvm", "tvm.topi.vision", "roi_align", "aligned"),
    ],
)
def test_a_sources_default_is_that_of_the_frameworks_own_call(source, module, call, argument):
    call = getattr(imported(module), call)
    default = inspect.signature(call.__init__ if inspect.isclass(call) else call).parameters[argument].default
    assert parse(source) == parse(f"{source}:{argument}={default}")


@pytest.mark.parametrize("preset", ASKED)
def test_a_preset_returns_what_the_installed_framework_returns(preset):
    """Random boxes: small ones, ones without size, ones off the map, and inverted ones where the grid is fixed."""
    ask, argument = ASKED[preset]
    rng = np.random.default_rng([20261203, list(ASKED).index(preset)])
    for i in range(40):
        X = rng.standard_normal((2, 3, *rng.integers(3, 20, 2))).astype(np.float32)
        height, width, ratio = (int(number) for number in rng.integers((1, 1, 0), 4))
        start = rng.uniform(-6, 30, (6, 2))
        rois = np.hstack([start, start + rng.uniform(-9 if ratio else 0.1, 24, (6, 2))]).astype(np.float32)
        if i % 5 == 0:
            rois[:3, 2:] = rois[:3, :2]
        attributes = Attributes(height, width, ratio, float(rng.choice([1, 0.5, 0.3])), semantics=PRESETS[preset])
        images = rng.integers(0, 2, 6)
        got, want = reference.roi_align(X, rois, images, attributes), ask(X, rois, images, attributes, argument)
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerances.FLOAT32 * np.abs(X).max())


@pytest.mark.parametrize("preset", ASKED)
def test_the_installed_framework_is_identified(preset):
    ask, argument = ASKED[preset]
    imported({torchvision_answers: "torchvision"}.get(ask, ask.__name__.partition("_")[0]))

    def fn(X, rois, images, attributes):
        assert attributes.mode == "avg"
        return ask(X, rois, images, attributes, argument)

    found = identify(fn)
    assert found.fits, found.odd
    assert preset in found.names


# Tests what frameworks/torchvision.py claims about it.


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_torchvision_truncates_image_indices_and_returns_0_for_bins_without_samples(engine):
    torch, ops = imported("torch"), imported("torchvision.ops")
    X, rows = np.arange(50, dtype=np.float32).reshape(2, 1, 5, 5), np.float32([[0.9, 1, 1, 4, 4], [1, 2, 2, 2, 2]])
    want = ops.roi_align(torch.from_numpy(X), torch.from_numpy(rows), 2, 1.0, -1, True).numpy()
    assert want[0].max() < 25
    assert not want[1].any()
    np.testing.assert_allclose(torchvision.roi_align(X, rows, 2, 1.0, -1, True, engine=engine), want, rtol=1e-6)


def test_torchvision_computes_float16_in_float16():
    torch, ops = imported("torch"), imported("torchvision.ops")
    X = np.random.default_rng(20261204).standard_normal((1, 3, 9, 11)).astype(np.float16)
    rows = np.float16([[0, 1, 2, 30, 20], [0, 3, 1, 14.5, 9]])
    theirs = ops.roi_align(torch.from_numpy(X), torch.from_numpy(rows), 3, 0.25, 2).numpy()
    wide = (torch.from_numpy(array.astype(np.float32)) for array in (X, rows))
    once = ops.roi_align(*wide, 3, 0.25, 2).numpy().astype(np.float16)
    ours = torchvision.roi_align(X, rows, 3, 0.25, 2)
    assert np.abs(ours.view(np.int16).astype(int) - once.view(np.int16)).max() <= tolerances.SIXTEEN_BIT_ULP
    assert 1e-4 < np.abs(theirs.astype(np.float32) - ours).max() < 1e-2


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize(("kind", "dtype"), [("quint8", "uint8"), ("qint8", "int8"), ("qint32", "int32")])
def test_torchvisions_quantized_results_equal_ours_bit_for_bit(kind, dtype, engine):
    """Integers of all sizes, also with scales and zero points with which they overflow the type."""
    torch, ops = imported("torch"), imported("torchvision.ops")
    rng, limits = np.random.default_rng([20261207, len(kind), len(engine)]), np.iinfo(dtype)
    for _ in range(30):
        most = min(int(rng.choice([100, 2**24, 2**31 - 1])), limits.max)
        X = rng.integers(max(-most, limits.min), most, (1, 2, 7, 9), endpoint=True).astype(dtype)
        scale, zero_point = np.float32(rng.choice([1, 0.1, 0.37, 123.4])), int(rng.integers(limits.min, limits.max))
        start = rng.uniform(-3, 8, (6, 2))
        rows = np.hstack([np.zeros((6, 1)), start, start + rng.uniform(0.1, 9, (6, 2))]).astype(np.float32)
        # torchvision quantizes boxes to the features' type: as qint32 with steps of 1/64 they keep the given values.
        step = 1 / 64 if dtype == "int32" else 0.25
        boxes = torch.quantize_per_tensor(
            torch.from_numpy(rows), step, 0 if dtype != "uint8" else 40, getattr(torch, kind)
        )
        asked = (2, 3), float(rng.choice([1, 0.5, 0.3])), int(rng.integers(-1, 4)), bool(rng.integers(2))
        features = torch._make_per_tensor_quantized_tensor(torch.from_numpy(X), float(scale), zero_point)
        want = ops.roi_align(features, boxes, *asked).int_repr().numpy()
        got = torchvision.roi_align_quantized(X, scale, zero_point, boxes.dequantize().numpy(), *asked, engine=engine)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("box", [(3, 1, 1, 4), (1, 3, 4, 1)])
def test_torchvision_raises_for_an_adaptive_grid_over_a_box_mirrored_along_one_axis(box):
    torch, ops = imported("torch"), imported("torchvision.ops")
    X, row = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5), np.float32([[0, *box]])
    with pytest.raises(ValueError, match="cannot create std::vector"):
        ops.roi_align(torch.from_numpy(X), torch.from_numpy(row), 2, 1.0, -1, True)
    assert not torchvision.roi_align(X, row, 2, 1.0, -1, True).any()


def test_torchvisions_pyramid_keeps_its_scales_and_returns_0_for_boxes_without_a_level():
    torch, ops = imported("torch"), imported("torchvision.ops")
    rng = np.random.default_rng(20261205)
    boxes = np.float32([[1, 1, 240, 250], [9, 9, 1, 20], [0, 0, 112, 112], [3, 3, 9, 9]])
    both = [torchvision.MultiScaleRoIAlign(["0", "2"], 7, 2), ops.MultiScaleRoIAlign(["0", "2"], 7, 2)]
    maps = {name: rng.random((1, 2, 64 >> int(name), 96 >> int(name)), np.float32) for name in ("0", "2")}
    tensors = {name: torch.from_numpy(own) for name, own in maps.items()}
    for image in ((256, 384), (512, 768)):  # new scales would differ for the second call
        ours = both[0](maps, [boxes], [image])
        theirs = both[1](tensors, [torch.from_numpy(boxes)], [image]).numpy()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerances.FLOAT32)
        assert both[1].scales == both[0].scales == [0.25, 0.0625]
        assert theirs.reshape(4, -1).any(1).tolist() == [False, False, True, True]
    both[0].scales = both[1].scales = None
    both[0](maps, [boxes], [(512, 768)])
    both[1](tensors, [torch.from_numpy(boxes)], [(512, 768)])
    assert both[1].scales == both[0].scales == [0.125, 0.03125]


def test_the_demos_random_numbers_equal_torchs():
    torch = imported("torch")
    torch.manual_seed(3)
    torch.rand(1000)
    np.testing.assert_array_equal(torch_rand(3, 1000, (3, 17, 19)), torch.rand(3, 17, 19).numpy())


# Tests what the README claims about exporters. paddle2onnx needs its own Paddle: test_exports.py has its files.


def worst(model, arrays, want):
    return np.abs(
        run_model(model, dict(zip([i.name for i in model.graph.input], arrays, strict=True)), "native") - want
    ).max()


@pytest.mark.filterwarnings("ignore")  # the exporter warns that it is old
@pytest.mark.parametrize(("opset", "codes"), [(11, ["half-pixel-lost"]), (16, [])])
def test_torchs_torchscript_exporter_drops_aligned_below_opset_16(opset, codes):
    torch, ops = imported("torch"), imported("torchvision.ops")

    class Pool(torch.nn.Module):
        def forward(self, X, rois):
            return ops.roi_align(X, rois, 2, 1.0, 2, True)

    X = np.random.default_rng(20261208).random((1, 1, 12, 12), np.float32)
    arrays = X, np.float32([[0, 1, 1, 9, 8]])
    tensors, file = tuple(torch.from_numpy(array) for array in arrays), io.BytesIO()
    torch.onnx.export(Pool(), tensors, file, opset_version=opset, dynamo=False)
    model, want = onnx.load_from_string(file.getvalue()), Pool()(*tensors).numpy()
    assert [finding.code for finding in validate(model, "torchvision:aligned=True")] == codes
    assert (worst(model, arrays, want) > tolerances.KNOWN_WRONG_BY) == bool(codes)
    assert worst(repair(model, "torchvision:aligned=True"), arrays, want) < tolerances.EXPORTS


@pytest.mark.parametrize(("roi_end_mode", "codes"), [(0, []), (1, ["end-shift-minimum-size"])])
def test_mindspores_exporter_gives_small_rois_a_minimum_size(roi_end_mode, codes, tmp_path):
    ms = imported("mindspore")

    class Pool(ms.nn.Cell):
        def construct(self, X, rois):
            return ms.ops.ROIAlign(2, 2, 0.5, 2, roi_end_mode)(X, rois)

    X = np.random.default_rng(20261209).random((1, 1, 12, 12), np.float32)
    arrays = X, np.float32([[0, 1, 1, 1.5, 1.5]])
    tensors = [ms.Tensor(array) for array in arrays]
    ms.export(Pool(), *tensors, file_name=str(tmp_path / "m"), file_format="ONNX")
    model, want = onnx.load(tmp_path / "m.onnx"), Pool()(*tensors).asnumpy()
    source = f"mindspore:roi_end_mode={roi_end_mode}"
    assert [finding.code for finding in validate(model, source)] == codes
    assert (worst(model, arrays, want) > tolerances.KNOWN_WRONG_BY) == bool(codes)
    assert worst(repair(model, source), arrays, want) < tolerances.EXPORTS


# Tests what frameworks/paddle.py claims about it.


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize("size", [2, (2, 2), [2, 2]], ids=str)
def test_paddle_accepts_its_sizes_and_returns_nan_for_a_bin_without_samples(engine, size):
    ops, tensor = imported("paddle.vision.ops"), imported("paddle").to_tensor
    X, boxes, counts = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5), np.float32([[2, 2, 2, 2]]), np.int32([1])
    want = ops.roi_align(tensor(X), tensor(boxes), tensor(counts), size).numpy()
    assert np.isnan(want).all()
    assert np.array_equal(paddle.roi_align(X, boxes, counts, size, engine=engine), want, equal_nan=True)


TURNED_ROUND = """
import numpy as np, paddle
from paddle.vision.ops import roi_align
X, counts = paddle.to_tensor(np.ones((1, 1, 5, 5), np.float32)), paddle.to_tensor(np.int32([1]))
for box, ratio in (([1, 1, 3, 4], -1), (BOX, 2), (BOX, -1)):
    print(list(roi_align(X, paddle.to_tensor(np.float32([box])), counts, 2, 1.0, ratio).shape), flush=True)
"""


@pytest.mark.parametrize(
    ("box", "end"), [([3, 1, 1, 4], -signal.SIGABRT), ([1, 4, 3, 1], -signal.SIGABRT), ([3, 4, 1, 1], None)], ids=str
)
def test_paddle_does_not_return_from_an_adaptive_grid_over_a_mirrored_box(box, end):
    """Two of the calls return at once; this one ends the process, or would take centuries and gets 5 seconds."""
    imported("paddle")
    code = TURNED_ROUND.replace("BOX", str(box))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert [process.stdout.readline() for _ in range(2)] == [b"[1, 1, 2, 2]\n"] * 2
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
            assert process.poll() == end
        finally:
            process.kill()
    with pytest.raises(RoiAlignError, match="because Paddle crashes or never returns on others"):
        paddle.roi_align(np.ones((1, 1, 5, 5), np.float32), np.float32([box]), np.int32([1]), 2)


# Tests what frameworks/mindspore.py claims about it.


def test_mindspore_rounds_image_indices_and_refuses_those_out_of_range():
    ms = imported("mindspore")
    X, op = np.arange(50, dtype=np.float32).reshape(2, 1, 5, 5), ms.ops.ROIAlign(2, 2, 1.0)
    for image in (0.0, 0.49, 0.5, 0.9, 1.0):
        rows = np.float32([[image, 1, 1, 4, 4]])
        want = op(ms.Tensor(X), ms.Tensor(rows)).asnumpy()
        np.testing.assert_allclose(mindspore.ROIAlign(2, 2, 1.0)(X, rows), want, rtol=1e-6)
    for image in (-0.5, 1.5):
        with pytest.raises(RuntimeError, match=rf"image_index {image} must be a number in \[0,1\]"):
            op(ms.Tensor(X), ms.Tensor(np.float32([[image, 1, 1, 4, 4]]))).asnumpy()


@pytest.mark.parametrize(
    "arguments", [(2, 2, 1), (2, 2, 1.0, 2.0), (2, 2, 1.0, True), (True, 2, 1.0), (2, 2.0, 1.0)], ids=str
)
def test_mindspore_raises_a_type_error_for_a_number_of_the_wrong_type(arguments):
    op = imported("mindspore").ops.ROIAlign
    for call in (op, mindspore.ROIAlign):
        with pytest.raises(TypeError):
            call(*arguments)


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_mindspore_returns_nan_for_a_bin_shorter_than_a_pixel(engine):
    ms = imported("mindspore")
    X, rows = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5), np.float32([[0, 1, 1, 2, 2]])
    want = ms.ops.ROIAlign(2, 2, 1.0, 0, 0)(ms.Tensor(X), ms.Tensor(rows)).asnumpy()
    assert np.isnan(want).all()
    assert np.isnan(mindspore.ROIAlign(2, 2, 1.0, 0, 0)(X, rows, engine=engine)).all()
