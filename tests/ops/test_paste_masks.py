"""Tests onnx_roialign::PasteMasks, on every engine, against the Loop that torchvision exports and PyTorch's results."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import onnxruntime
import pooler_exports
import pytest
from private_runs import RUNS, native
from quiet import DOORS, quiet_options

import onnx_roialign
from models import model_for
from onnx_roialign.definition.masks import paste_masks
from onnx_roialign.ops import paste_masks as op
from onnx_roialign.ops.schema import known_to_onnx

BARS = {"float64": 1e-14, "float32": 1e-6, "float16": 1e-3}  # of masks in [0, 1]; of 16-bit types one unit at 1
EXPORT = "paste_masks_ts11"


def model_of(feeds):
    return model_for(op.make_node("masks", "boxes", "height", "width", "Y", name="paste"), feeds, ("N", 1, "h", "w"))


def drawn(count, height, width, dtype=np.float32, side=14, seed=0, boxes_dtype=np.float32):
    rng = np.random.default_rng([seed, count, height, width])
    corner = rng.uniform(-0.6 * width, 1.4 * width, (count, 2))
    boxes = np.hstack([corner, corner + rng.uniform(-3, width, (count, 2))]).astype(boxes_dtype)
    masks = rng.random((count, 1, side, side)).astype(dtype)
    return {"masks": masks, "boxes": boxes, "height": np.array(height), "width": np.array(width)}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_pytorch_returned_this(run):
    for feeds, (want,) in pooler_exports.cases(EXPORT):
        _, height, width = feeds["image"].shape
        given = {"masks": feeds["masks"], "boxes": feeds["boxes"], "height": np.array(height), "width": np.array(width)}
        np.testing.assert_allclose(run(model_of(given), given), want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize(("count", "height", "width"), [(0, 9, 9), (1, 1, 1), (3, 60, 83), (8, 31, 17), (4, 7, 130)])
def test_the_exported_loop_returns_the_same(run, count, height, width):
    loop = onnxruntime.InferenceSession(
        pooler_exports.load(EXPORT).SerializeToString(), quiet_options(), ["CPUExecutionProvider"]
    )
    for seed in range(5):
        feeds = drawn(count, height, width, seed=seed)
        image = np.zeros((3, height, width), np.float32)
        (want,) = loop.run(None, {"masks": feeds["masks"], "boxes": feeds["boxes"], "image": image})
        np.testing.assert_allclose(run(model_of(feeds), feeds), want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("dtype", BARS)
@pytest.mark.parametrize("boxes_dtype", [np.float32, np.float64, np.float16])
def test_every_type_of_masks_and_boxes(run, dtype, boxes_dtype):
    feeds = drawn(5, 40, 50, np.dtype(dtype), boxes_dtype=boxes_dtype)
    real = np.float64 if dtype == "float64" else np.float32
    want = paste_masks(feeds["masks"].astype(real), feeds["boxes"].astype(real), 40, 50)
    got = run(model_of(feeds), feeds)
    assert (got.dtype, got.shape) == (np.dtype(dtype), (5, 1, 40, 50))
    np.testing.assert_allclose(got, want, rtol=0, atol=BARS[dtype])


@pytest.mark.parametrize("run", [native, RUNS["evaluator"]], ids=["native", "evaluator"])
@pytest.mark.parametrize("side", [1, 2, 28, 57])
def test_a_mask_of_ones_fills_only_its_box(run, side):
    """A mask of ones is 1 inside its box and 0 outside; the outermost pixels mix with the border."""
    feeds = drawn(1, 200, 300, side=side)
    feeds["masks"][:] = 1
    feeds["boxes"][:] = [50, 40, 250, 160]
    got = run(model_of(feeds), feeds)[0, 0]
    edge = 2 * int(np.ceil(200 / side))
    assert (got[40 + edge : 160 - edge, 50 + edge : 250 - edge] == 1).all()
    grown = int(np.ceil(200 / side)) + 2
    outside = np.ones_like(got, bool)
    outside[max(40 - grown, 0) : 161 + grown, max(50 - grown, 0) : 251 + grown] = False
    assert not got[outside].any()


def test_the_number_of_threads_changes_no_bit():
    feeds = drawn(7, 301, 257)
    outputs = []
    for threads, door in itertools.product((1, 2, 5), DOORS):
        options = quiet_options()
        options.intra_op_num_threads = threads
        outputs.append(onnx_roialign.session(model_of(feeds), options, door=door).run(None, feeds)[0])
    assert outputs[0].any()
    for other in outputs[1:]:
        np.testing.assert_array_equal(outputs[0], other)


def test_types_and_constant_sizes_are_inferred():
    feeds = drawn(2, 20, 30)
    model = model_of(feeds)
    for name in ("height", "width"):
        (place,) = [value for value in model.graph.input if value.name == name]
        model.graph.input.remove(place)
        model.graph.initializer.append(onnx.numpy_helper.from_array(feeds[name], name))
    with known_to_onnx():
        onnx.checker.check_model(model)
        model.graph.output[0].type.tensor_type.ClearField("shape")
        (output,) = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph.output
    assert [dim.dim_value for dim in output.type.tensor_type.shape.dim] == [2, 1, 20, 30]


FAR = "boxes must be finite and at most 1073741824 from zero, got inf at row 0, column 0"
BAD = [
    ({"masks": np.zeros((2, 2, 4, 4), np.float32)}, r"masks must have shape \(N, 1, M, M\), got shape \(2, 2, 4, 4\)"),
    ({"masks": np.zeros((2, 1, 4, 5), np.float32)}, r"masks must have shape \(N, 1, M, M\), got shape \(2, 1, 4, 5\)"),
    ({"boxes": np.zeros((2, 5), np.float32)}, r"boxes must have shape \(N, 4\), got shape \(2, 5\)"),
    ({"boxes": np.zeros((3, 4), np.float32)}, "masks and boxes must have the same count, got 2 and 3"),
    ({"masks": np.zeros((2, 1, 0, 0), np.float32)}, r"masks must have M in \[1, 4096\], got 0"),
    ({"height": np.array(-1)}, r"height must be in \[0, 4194304\], got -1"),
    ({"width": np.array(2**40)}, r"width must be in \[0, 4194304\], got 1099511627776"),
    ({"height": np.array([1, 2])}, r"height must be a scalar, got shape \(2,\)"),
    (
        {"boxes": np.full((2, 4), np.inf, np.float32)},
        "boxes must be finite and at most 1073741824 from zero, got inf at",
    ),
    ({"boxes": np.full((2, 4), 1e39, np.float64)}, FAR),
]


@pytest.mark.parametrize("run", [native, RUNS["evaluator"]], ids=["native", "evaluator"])
@pytest.mark.parametrize(("change", "match"), BAD)
def test_a_bad_input_is_named(run, change, match):
    feeds = drawn(2, 9, 9) | change
    model = model_of(feeds)
    for value in model.graph.input:
        value.type.tensor_type.ClearField("shape")
    with pytest.raises(Exception, match=rf"{match}.*\(node 'paste'\)"):
        run(model, feeds)


def test_an_attribute_is_refused():
    model = model_of(drawn(1, 9, 9))
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("padding", 1))
    with pytest.raises(Exception, match="PasteMasks must have no attributes, got 'padding' \\(node 'paste'\\)"):
        native(model, drawn(1, 9, 9))
