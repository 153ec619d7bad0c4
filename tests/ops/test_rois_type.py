"""Tests rois of another float type than X: every entry point rounds them once to the coordinate type."""

from __future__ import annotations

import ctypes
import itertools
import re

import ml_dtypes
import numpy as np
import onnx
import pytest
import tolerances
from calls import FEEDS
from onnx import TensorProto, helper
from private_runs import ENGINES, run_model

import onnx_roialign
from models import DTYPES, SHAPE, TYPES, make_model, private_model, private_node, roi_align_node
from onnx_roialign import PRESETS, RoiAlignError
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.engines import native
from onnx_roialign.graph import validate
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.schema import known_to_onnx

PAIRS = list(itertools.product(TYPES, TYPES))
MEANING = PRESETS["mindspore_1"]
ATTRIBUTES = Attributes(**SHAPE, semantics=MEANING)
EPSILON = {
    "float32": 0.0,
    "float64": 0.0,
    "float16": 2**-10,
    "bfloat16": 2**-7,
}  # one unit in the last place of the result


def arrays_of(dtype, rois_dtype, rois=None):
    """Coordinates that float32 cannot represent, and that 16-bit types move by up to a quarter of a pixel."""
    rois = FEEDS["rois"] + np.float64(1 / 3) if rois is None else rois
    return FEEDS["X"].astype(DTYPES[dtype]), rois.astype(DTYPES[rois_dtype]), FEEDS["batch_indices"]


def expected(X, rois, batch_indices):
    """The result of rois rounded in NumPy: to float64 for float64 features, and to float32 for all others."""
    wide = np.float64 if X.dtype == np.float64 else np.float32
    answer = reference.roi_align(X.astype(wide), rois.astype(wide), batch_indices, ATTRIBUTES)
    return answer.astype(X.dtype).astype(np.float64)


def mixed_model(dtype, rois_dtype, node=None, opset=16):
    """The model's input and output are float64, which represents all other types, and which NumPy has."""
    nodes = [
        helper.make_node("Cast", ["X"], ["features"], to=TYPES[dtype]),
        helper.make_node("Cast", ["rois"], ["boxes"], to=TYPES[rois_dtype]),
        node or private_node("features", "boxes", "batch_indices", "pooled", **private_op.attributes_of(ATTRIBUTES)),
        helper.make_node("Cast", ["pooled"], ["Y"], to=TensorProto.DOUBLE),
    ]
    kinds = {"X": TensorProto.DOUBLE, "rois": TensorProto.DOUBLE, "batch_indices": TensorProto.INT64}
    return private_model(nodes, kinds, opset=opset)


def feeds_of(X, rois, batch_indices):
    return {"X": X.astype(np.float64), "rois": rois.astype(np.float64), "batch_indices": batch_indices}


def assert_answers(Y, want, dtype):
    atol = tolerances.FLOAT32 * np.abs(FEEDS["X"]).max()
    np.testing.assert_allclose(np.asarray(Y, np.float64), want, rtol=EPSILON[dtype], atol=atol)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("dtype", "rois_dtype"), PAIRS)
def test_every_pair_of_types_runs_in_a_model(engine, dtype, rois_dtype):
    arrays = arrays_of(dtype, rois_dtype)
    model = mixed_model(dtype, rois_dtype)
    assert_answers(run_model(model, feeds_of(*arrays), engine), expected(*arrays), dtype)


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(("dtype", "rois_dtype"), PAIRS)
def test_every_pair_of_types_runs_on_arrays(engine, dtype, rois_dtype):
    arrays = arrays_of(dtype, rois_dtype)
    Y = onnx_roialign.roi_align(*arrays, **SHAPE, semantics=MEANING, engine=engine)
    assert Y.dtype == DTYPES[dtype]
    assert_answers(Y, expected(*arrays), dtype)


@pytest.mark.parametrize("count", [1, 2, 2000])
@pytest.mark.parametrize("isa", native.available_isas())
@pytest.mark.parametrize("dtype", TYPES)
def test_few_and_many_rois_are_pooled_like_rounded_ones(dtype, isa, count):
    rng = np.random.default_rng(20261127)
    corners = rng.uniform(-2, 20, (count, 4))
    X, rois, _ = arrays_of(dtype, "float64", corners)
    batch_indices = rng.integers(0, len(X), count)
    wide = np.float64 if dtype == "float64" else np.float32
    for attributes in (ATTRIBUTES, Attributes(sampling_ratio=1, semantics=MEANING)):
        mixed = native.roi_align(X, rois, batch_indices, attributes, isa=isa)
        rounded = native.roi_align(X, rois.astype(wide), batch_indices, attributes, isa=isa)
        assert mixed.tobytes() == rounded.tobytes()


def test_the_coordinates_of_16_bit_features_keep_float32s_digits():
    """The purpose of the type: 301.3 is 301.25 in float16, 302 in bfloat16."""
    X = np.tile(np.arange(400.0, dtype=np.float32), (1, 1, 2, 1)) / 400
    rois, zero = np.float32([[301.3, 0, 301.3, 1]]), np.zeros(1, np.int64)
    attributes = Attributes(sampling_ratio=1, semantics=PRESETS["onnx_half_pixel"])
    want = reference.roi_align(X, rois, zero, attributes)
    for dtype, ulp in ((np.float16, 2**-11), (ml_dtypes.bfloat16, 2**-8)):
        Y = native.roi_align(X.astype(dtype), rois, zero, attributes)
        np.testing.assert_allclose(Y.astype(np.float32), want, rtol=0, atol=2 * ulp)
    coarse = rois.astype(ml_dtypes.bfloat16)
    assert abs(native.roi_align(X, coarse, zero, attributes) - want).item() > 0.6 / 400


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize(
    ("rois_dtype", "value", "got"),
    [
        ("float64", 1e39, "inf"),
        ("float64", -1e300, "-inf"),
        ("float16", np.inf, "inf"),
        ("bfloat16", np.nan, "nan"),
        ("float64", np.nan, "nan"),
    ],
)
def test_a_coordinate_that_is_not_finite_after_rounding_is_named(engine, rois_dtype, value, got):
    arrays = arrays_of("float32", rois_dtype)
    arrays[1][2, 1] = value
    message = f"rois must be finite, got {got} at row 2, column 1 (y1)"
    with pytest.raises(RoiAlignError, match=f"^{re.escape(message)}$"):
        onnx_roialign.roi_align(*arrays, **SHAPE, engine=engine)
    with pytest.raises(Exception, match=re.escape(message + " (node 'pool')")):
        run_model(mixed_model("float32", rois_dtype), feeds_of(*arrays), engine)


def test_a_float64_coordinate_that_float32_does_not_have_is_fine_for_float64_features():
    arrays = arrays_of("float64", "float64")
    arrays[1][2, 1] = 1e39
    assert np.isfinite(onnx_roialign.roi_align(*arrays, **SHAPE)).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_onnxs_own_roi_align_accepts_only_rois_of_xs_type(engine):
    own = roi_align_node("features", "boxes", "batch_indices", "pooled")
    model = mixed_model("float32", "float16", own)
    own_words = r"rois must have X's type float32, got float16 \(node 'pool'\)"
    with pytest.raises(RoiAlignError, match=own_words):
        run_model(model, feeds_of(*arrays_of("float32", "float16")), engine)


@pytest.mark.parametrize(("dtype", "rois_dtype"), PAIRS)
def test_validate_finds_nothing_wrong_with_it(dtype, rois_dtype):
    assert "invalid-input" not in {finding.code for finding in validate(mixed_model(dtype, rois_dtype))}
    own = mixed_model(dtype, rois_dtype, roi_align_node("features", "boxes", "batch_indices", "pooled"))
    assert ("invalid-input" in {finding.code for finding in validate(own)}) == (dtype != rois_dtype)


def test_the_schema_says_so():
    model = mixed_model("float16", "float32")
    with known_to_onnx():
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    pooled = next(value for value in inferred.graph.value_info if value.name == "pooled")
    assert pooled.type.tensor_type.elem_type == TensorProto.FLOAT16
    own = make_model([roi_align_node()], 16)
    own.graph.input[1].type.tensor_type.elem_type = TensorProto.DOUBLE
    with pytest.raises(onnx.shape_inference.InferenceError, match="inconsistent type"):
        onnx.shape_inference.infer_shapes(own, check_type=True, strict_mode=True)


@pytest.mark.parametrize(("rois_type", "status"), [(0, 0), (1, 0), (10, 0), (11, 0), (16, 0), (2, 1), (-1, 1), (17, 1)])
def test_the_c_call_names_a_type_that_rois_cannot_have(rois_type, status):
    rois = np.zeros((1, 4), np.float64)  # as long as the widest type's
    X, batch_indices, Y = np.ones((1, 1, 2, 2), np.float32), np.zeros(1, np.int64), np.full(1, np.nan, np.float32)
    arguments = native._arguments(Attributes(sampling_ratio=1))
    arguments.type, arguments.rois_type = 1, rois_type
    arguments.X, arguments.rois, arguments.batch_indices, arguments.Y = (
        array.ctypes.data for array in (X, rois, batch_indices, Y)
    )
    arguments.N = arguments.C = arguments.num_rois = 1
    arguments.H = arguments.W = 2
    message = ctypes.create_string_buffer(200)
    assert native._library().onnx_roialign_call(ctypes.byref(arguments), message, 200) == status
    said = f"rois must be float32, float64, float16 or bfloat16, got type {rois_type}" if status else ""
    assert message.value.decode() == said
    assert (Y[0] == 1) == (status == 0)
