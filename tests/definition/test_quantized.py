"""Tests that the library, onnx.reference and the Python op equal torchvision's quantized kernel to the last bit."""

from __future__ import annotations

import re

import numpy as np
import onnx
import onnxruntime
import pytest
from framework_calls import CALL_ENGINES, own_arguments
from onnx import TensorProto
from private_runs import ENGINES, SESSIONS, run_model
from quiet import bare_options, quiet_options, quiet_session

import onnx_roialign
from models import private_model, qlinear_node
from onnx_roialign import PRESETS, RoiAlignError, Semantics
from onnx_roialign.definition import quantized
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.frameworks.torchvision import roi_align, roi_align_quantized
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.schema import known_to_onnx

KINDS = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "int32": TensorProto.INT32}
BOXES = np.float32([[1, 2, 30, 20], [0, 0, 8, 9.5], [5, 5, 5.5, 5.25], [-9, 3, 40, 8], [9, 8, 2, 3], [50, 50, 60, 60]])


def features(dtype, images=1, channels=3, height=12, width=16):
    """Draws the same values at every call, in any order of the tests."""
    limits, rng = np.iinfo(dtype), np.random.default_rng(0)
    return rng.integers(limits.min, limits.max + 1, (images, channels, height, width)).astype(dtype)


def scalar_kernel(X, scale, zero_point, rois, batch_indices, size, spatial_scale, sampling_ratio, aligned):
    """torchvision's quantized kernel, rewritten from its description: one float32 operation after another."""
    one = np.float32
    offset = one(0.5 if aligned else 0)
    Y = np.zeros((len(rois), X.shape[1], *size), X.dtype)
    limits = np.iinfo(X.dtype)
    for k, roi in enumerate(rois):
        start, length, grid = [], [], []
        for axis in (1, 0):  # y, x
            first = roi[axis] * one(spatial_scale) - offset
            extent = (roi[axis + 2] * one(spatial_scale) - offset) - first
            start.append(first)
            length.append(extent if aligned else max(extent, one(1)))
            bin_ = length[-1] / one(size[1 - axis])
            grid.append(sampling_ratio if sampling_ratio > 0 else int(np.ceil(bin_)))
        count = one(max(grid[0] * grid[1], 1))
        for c, p, q in np.ndindex(Y.shape[1:]):
            values = weights = one(0)
            for i, j in np.ndindex(max(grid[0], 0), max(grid[1], 0)):
                taps = []
                for axis, bin_number, index in ((0, p, i), (1, q, j)):
                    bin_ = length[axis] / one(size[axis])
                    at = start[axis] + one(bin_number) * bin_ + (one(index) + one(0.5)) * bin_ / one(grid[axis])
                    pixels = X.shape[2 + axis]
                    if at < -1 or at > pixels:
                        taps = None
                        break
                    at = max(at, one(0))
                    low = int(at)
                    if low >= pixels - 1:
                        taps.append((pixels - 1, pixels - 1, one(0)))
                    else:
                        taps.append((low, low + 1, at - one(low)))
                if taps is None:
                    continue
                (y0, y1, ly), (x0, x1, lx) = taps
                hy, hx = one(1) - ly, one(1) - lx
                w = hy * hx, hy * lx, ly * hx, ly * lx
                plane = X[batch_indices[k], c].astype(one)
                values += w[0] * plane[y0, x0] + w[1] * plane[y0, x1] + w[2] * plane[y1, x0] + w[3] * plane[y1, x1]
                weights += w[0] + w[1] + w[2] + w[3]
            mean = one(scale) * (values - one(zero_point) * weights) / count
            rounded = np.rint(mean * (one(1) / one(scale))) + one(zero_point)
            Y[k, c, p, q] = np.clip(float(rounded), limits.min, limits.max)
    return Y


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(
    ("sampling_ratio", "spatial_scale", "scale", "zero_point"),
    [(2, 0.5, 0.1, 3), (-1, 0.5, 0.0371, 120), (3, 0.37, 2.0, 0), (-1, 0.25, 1e-3, 5), (1, 1.0, 0.7, 7)],
)
def test_every_value_is_the_kernels(engine, dtype, aligned, sampling_ratio, spatial_scale, scale, zero_point):
    X = features(dtype)
    arguments = (3, 2), spatial_scale, sampling_ratio, aligned
    want = scalar_kernel(X, scale, zero_point, BOXES, np.zeros(len(BOXES), int), *arguments)
    assert len(np.unique(want)) > 40
    Y = roi_align_quantized(X, scale, zero_point, [BOXES], *arguments, engine=engine)
    assert Y.dtype == dtype
    assert np.array_equal(Y, want)


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize("sampling_ratio", [3, 5, 6])
def test_the_order_of_operations_decides_near_ties(engine, sampling_ratio):
    X = features("uint8", channels=400, height=4, width=4)
    boxes = np.float32([[0, 0, 3, 3], [0.5, 0, 2, 3.5]])
    arguments = (1, 1), 1.0, sampling_ratio, False
    want = scalar_kernel(X, 0.3, 77, boxes, [0, 0], *arguments)
    assert np.array_equal(roi_align_quantized(X, 0.3, 77, [boxes], *arguments, engine=engine), want)


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_ties_go_to_even_before_the_zero_point_is_added(engine):
    X = np.array([[[[10, 11, 12, 13]]]], np.uint8)
    # Between two pixels: 10.5, 11.5 and 12.5.
    boxes = np.float32([[0, i, -0.5, i + 1, 0.5] for i in range(3)])
    Y = roi_align_quantized(X, 1.0, 0, boxes, 1, 1.0, 1, engine=engine)
    assert Y.ravel().tolist() == [10, 12, 12]
    # 10.5 - 3 is 7.5, which rounds to 8, and 11.5 - 3 to 8: rounding after the addition would give 10, 12, 12 again.
    Y = roi_align_quantized(X, 1.0, 3, boxes, 1, 1.0, 1, engine=engine)
    assert Y.ravel().tolist() == [11, 11, 13]


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize(
    ("dtype", "zero_point"), [("uint8", 0), ("uint8", 200), ("int8", -128), ("int8", 5), ("int32", -1530686377)]
)
def test_a_bin_outside_the_map_answers_the_zero_point(engine, dtype, zero_point):
    """The nearest float32 of an int32."""
    far = np.float32([[0, 100, 100, 120, 120]])
    Y = roi_align_quantized(features(dtype), 0.5, zero_point, far, 2, engine=engine)
    assert set(Y.ravel().tolist()) == {int(np.float32(zero_point))}


@pytest.mark.parametrize("engine", CALL_ENGINES)
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_the_answer_is_the_float_answer_within_half_a_step(engine, dtype):
    X, scale, zero_point = features(dtype), np.float32(0.05), 17
    real = scale * (X.astype(np.float32) - zero_point)
    rows = np.column_stack([np.zeros(len(BOXES), np.float32), BOXES])
    want = roi_align(real, rows, (3, 2), 0.5, -1, True)
    Y = roi_align_quantized(X, scale, zero_point, rows, (3, 2), 0.5, -1, True, engine=engine)
    assert np.abs(scale * (Y.astype(np.float32) - zero_point) - want).max() <= 0.5001 * scale


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_a_roi_of_any_size_takes_bounded_time(engine):
    wide = np.float32([[0, -1e9, -1e9, 1e9, 1e9], [0, 0, 0, 1e30, 1e30], [0, 1e20, 0, -1e20, 9]])
    wider = np.float32([[0, -1e18, -1e18, 1e18, 1e18], [0, -1e30, 0, 1e30, 9]])  # 1e11 samples at one position
    X = features("uint8")
    for aligned in (False, True):  # nearly all of the samples lie outside the map: the zero point
        many = roi_align_quantized(X, 0.1, 3, wide, 3, aligned=aligned, engine=engine)
        np.testing.assert_array_equal(many, np.full((3, 3, 3, 3), 3, np.uint8), strict=True)
        one = roi_align_quantized(X, 0.1, 3, wider, 1, aligned=aligned, engine=engine)
        np.testing.assert_array_equal(one, np.full((2, 3, 1, 1), 3, np.uint8), strict=True)


def test_the_engines_agree_on_a_roi_wider_than_float32_counts():
    wide = np.float32([[0, -1e9, -2e6, 1e9, 2e6], [0, 0, -3e7, 12, 3e7], [0, -1e18, -1e18, 1e18, 1e18]])
    X = features("uint8")
    answers = [roi_align_quantized(X, 0.1, 3, wide, 1, engine=engine).astype(int) for engine in CALL_ENGINES]
    assert np.abs(answers[0] - answers[1]).max() <= 1


def test_the_signature_is_torchvisions_with_scale_and_zero_point():
    assert own_arguments(roi_align_quantized) == [
        "input", "scale", "zero_point", "boxes", "output_size",
        ("spatial_scale", 1.0), ("sampling_ratio", -1), ("aligned", False),
    ]  # fmt: skip


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_no_boxes(engine):
    assert roi_align_quantized(features("int8"), 0.1, 3, [BOXES[:0]], 2, engine=engine).shape == (0, 3, 2, 2)


BAD = [
    ({"input": features("uint8", images=2)}, "input must be one image where it is quantized, got 2"),
    ({"input": np.zeros((1, 1, 4, 4), np.float32)}, "input must be uint8 or int8 or int32, got float32"),
    ({"zero_point": 256}, "zero_point must be in [0, 255], got 256"),
    ({"zero_point": -1}, "zero_point must be in [0, 255], got -1"),
    ({"scale": 0.0}, "scale must be finite and > 0, got 0"),
    ({"scale": -1.0}, "scale must be finite and > 0, got -1"),
    ({"scale": np.nan}, "scale must be finite and > 0, got nan"),
    ({"scale": 1e-40}, "x_scale must be finite and > 0, and so must 1 / x_scale, got 9.99"),
    ({"boxes": [BOXES.astype(np.float64)]}, "boxes[0] must have input's type float32, got float64"),
    ({"boxes": np.float32([[1, 0, 0, 1, 1]])}, "batch_indices must be in [0, 1), got 1 at row 0"),
    ({"output_size": 0}, "output_height must be at least 1, got 0"),
    ({"engine": "torch"}, "engine must be one of native, reference, got 'torch'"),
]


@pytest.mark.parametrize(("arguments", "text"), BAD)
@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_an_invalid_argument_is_named(arguments, text, engine):
    given = {"input": features("uint8"), "scale": 0.1, "zero_point": 3, "boxes": [BOXES], "output_size": 2}
    with pytest.raises(RoiAlignError, match=re.escape(text)):
        roi_align_quantized(**{**given, "engine": engine, **arguments})


# ---- the op ----


def qlinear_model(dtype="uint8", node=None, shapes=None, **attributes):
    kinds = {
        "X": KINDS[dtype],
        "x_scale": TensorProto.FLOAT,
        "x_zero_point": KINDS[dtype],
        "rois": TensorProto.FLOAT,
        "batch_indices": TensorProto.INT64,
    }
    return private_model([node or qlinear_node(**attributes)], kinds, shapes=shapes)


def feeds_of(dtype="uint8", images=2):
    return {
        "X": features(dtype, images),
        "x_scale": np.array(0.1, np.float32),
        "x_zero_point": np.asarray(7, dtype),
        "rois": BOXES,
        "batch_indices": np.arange(len(BOXES)) % images,
    }


def attributes_of(semantics, **attributes):
    return Attributes(output_height=3, output_width=2, spatial_scale=0.5, semantics=semantics, **attributes)


# Each field of Semantics away from its default; NaN and max have no quantized result.
MEANINGS = [
    PRESETS["torchvision_legacy"],
    PRESETS["torchvision_aligned"],
    Semantics(offset=0.0, end_shift=1.0, adaptive="floor"),
    Semantics(offset=0.5, start_shift=0.5, end_shift=0.5),
    Semantics(offset=0.0, border="exclusive"),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("semantics", MEANINGS)
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_the_op_answers_alike_on_every_engine_and_for_several_images(engine, dtype, semantics, sampling_ratio):
    attributes, feeds = attributes_of(semantics, sampling_ratio=sampling_ratio), feeds_of(dtype)
    model = qlinear_model(dtype, **private_op.attributes_of(attributes))
    Y = run_model(model, feeds, engine)
    assert Y.dtype == dtype
    assert np.array_equal(Y, quantized.roi_align(*feeds.values(), attributes))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_op_equals_the_kernel_for_several_images(engine):
    feeds = feeds_of("int8", images=3)
    model = qlinear_model("int8", **private_op.attributes_of(attributes_of(PRESETS["torchvision_aligned"])))
    want = scalar_kernel(*list(feeds.values())[:3], BOXES, feeds["batch_indices"], (3, 2), 0.5, 0, True)
    assert np.array_equal(run_model(model, feeds, engine), want)


def test_a_fields_value_shows_in_the_answer():
    feeds = feeds_of()
    answers = [quantized.roi_align(*feeds.values(), attributes_of(semantics)) for semantics in MEANINGS[:4]]
    assert len({Y.tobytes() for Y in answers}) == 4


def test_the_bare_library_runs_it():
    model = qlinear_model(**private_op.attributes_of(attributes_of(PRESETS["torchvision_legacy"])))
    options = bare_options()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    feeds = feeds_of()
    want = quantized.roi_align(*feeds.values(), attributes_of(PRESETS["torchvision_legacy"]))
    assert np.array_equal(session.run(None, feeds)[0], want)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_does_not_change_the_answer(threads, door):
    options = quiet_options()
    options.intra_op_num_threads = threads
    attributes, feeds = attributes_of(PRESETS["torchvision_legacy"]), feeds_of()
    model = qlinear_model(**private_op.attributes_of(attributes))
    Y = onnx_roialign.session(model, options, door=door).run(None, feeds)[0]
    assert np.array_equal(Y, quantized.roi_align(*feeds.values(), attributes))


@pytest.mark.parametrize("engine", SESSIONS)
@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"mode": "max"}, "mode must be 'avg', got 'max' (node 'pool')"),
        ({"empty": "nan"}, "empty must be 'zero' where the output is quantized, got 'nan' (node 'pool')"),
        ({"border": "open"}, "border must be 'inclusive' or 'exclusive', got 'open' (node 'pool')"),
    ],
)
def test_a_bad_attribute_is_refused_when_the_session_is_created(engine, attributes, text):
    with pytest.raises(Exception, match=re.escape(text)):
        quiet_session(qlinear_model(**attributes), engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("feed", "text"),
    [
        ({"x_scale": np.float32([0.1, 0.2])}, "x_scale must be a scalar, got shape (2,) (node 'pool')"),
        ({"x_zero_point": np.uint8([[1]])}, "x_zero_point must be a scalar, got shape (1, 1) (node 'pool')"),
        (
            {"x_scale": np.array(np.inf, np.float32)},
            "x_scale must be finite and > 0, and so must 1 / x_scale, got inf (node",
        ),
        ({"batch_indices": np.full(len(BOXES), 2)}, "batch_indices must be in [0, 2), got 2 at row 0 (node 'pool')"),
        ({"rois": BOXES[:, :3]}, "rois must have shape (num_rois, 4), got shape (6, 3) (node 'pool')"),
        ({"X": features("uint8")[0]}, "X must have rank 4 (N, C, H, W), got shape (3, 12, 16) (node 'pool')"),
    ],
)
def test_a_bad_input_is_named(engine, feed, text):
    with pytest.raises(Exception, match=re.escape(text)):
        run_model(qlinear_model(), {**feeds_of(), **feed}, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_scale_and_zero_point_may_be_vectors_of_one(engine):
    feeds = feeds_of()
    vectors = {**feeds, "x_scale": feeds["x_scale"].reshape(1), "x_zero_point": feeds["x_zero_point"].reshape(1)}
    model = qlinear_model(output_height=2)
    assert np.array_equal(run_model(model, vectors, engine), run_model(model, feeds, engine))


def test_types_and_shapes_are_inferred(door):
    shapes = {"X": ["N", 7, "H", "W"], "x_scale": [], "x_zero_point": [], "rois": ["K", 4], "batch_indices": ["K"]}
    model = qlinear_model("int8", shapes=shapes, output_height=3)
    assert quiet_session(model, door).get_outputs()[0].shape == ["K", 7, 3, 1]
    model.graph.output[0].type.Clear()
    with known_to_onnx():
        found = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0].type.tensor_type
    assert found.elem_type == TensorProto.INT8
    assert [dim.dim_param or dim.dim_value for dim in found.shape.dim] == ["K", 7, 3, 1]


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("opset", [10, 16])
def test_the_call_written_as_a_model_answers_as_the_call(dtype, opset):
    model = roi_align_quantized.to_onnx(dtype, (3, 2), 0.5, -1, True, opset=opset)
    onnx.checker.check_model(model)
    rows = np.column_stack([np.zeros(len(BOXES), np.float32), BOXES])
    feeds = {
        "input": features(dtype), "scale": np.array(0.1, np.float32), "zero_point": np.asarray(9, dtype), "boxes": rows
    }  # fmt: skip
    want = roi_align_quantized(*feeds.values(), (3, 2), 0.5, -1, True)
    for engine in ENGINES:
        assert np.array_equal(run_model(model, feeds, engine), want)


def test_a_model_of_another_type_is_refused():
    with pytest.raises(RoiAlignError, match="dtype must be uint8 or int8 or int32, got float32"):
        roi_align_quantized.to_onnx("float32", 2)
