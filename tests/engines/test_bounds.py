"""Tests that every call is bounded: the reference's memory beside X and Y, and the sizes and grids that are refused."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest
from framework_calls import CALL_ENGINES
from onnx import TensorProto
from quiet import ENGINES, quiet_session

from models import private_model, qlinear_node
from onnx_roialign import PRESETS, RoiAlignError, Semantics
from onnx_roialign.definition import quantized, reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.frameworks.torchvision import roi_align_quantized
from onnx_roialign.ops import roi_align as private_op

# The bound that reference.roi_align promises.
MOST_BYTES = 128e6

# A map so wide, a grid so fine or bins so many that an array of all samples, or all bins, would exceed the bound.
LARGE = {
    "a bin as wide as a wide map": ((1, 1, 1, 1 << 21), (0, 0, 1 << 21, 1), (1, 1), 0),
    "as many bins as there may be": ((1, 1, 2, 1 << 20), (0, 0, 1 << 20, 2), (1, 32768), 0),
    "bins far apart": ((1, 1, 1, 1 << 22), (0, 0, 1 << 22, 1), (1, 32768), 1),
    "a grid as fine as there may be": ((1, 1, 64, 64), (0, 0, 64, 64), (64, 64), 16384),
    "a map in one bin": ((1, 1, 1500, 1500), (0, 0, 1500, 1500), (1, 1), 0),
    "bins and channels": ((1, 300, 20, 30), (0, 0, 30, 20), (60, 120), 1),
    "samples that coincide": ((1, 1, 64, 1 << 15), (-3e9, 0, 3e9, 64), (7, 7), 0),
}


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("special", [False, True], ids=["finite", "special"])
@pytest.mark.parametrize(("mode", "max_rule"), [("avg", "corners"), ("max", "corners"), ("max", "samples")])
def test_the_reference_needs_bounded_memory_beside_its_arrays(case, special, mode, max_rule):
    shape, roi, output, sampling_ratio = LARGE[case]
    X = np.ones(shape)
    if special:
        X[..., ::7] = np.nan
    attributes = Attributes(*output, sampling_ratio, mode=mode, semantics=Semantics(max_rule=max_rule))
    tracemalloc.start()
    try:
        Y = reference.roi_align(X, np.array([roi], float), np.zeros(1, np.int64), attributes)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - Y.nbytes < MOST_BYTES
    assert special or (Y > 0).any()


# The same with quantized maps, where torchvision's order of additions does not allow samples to be merged.
LARGE_QUANTIZED = {
    "a bin as wide as a wide map": ((1, 1, 1, 1 << 18), (0, 0, 1 << 18, 1), (1, 1), 0),
    "as many bins as there may be": ((1, 1, 2, 1 << 17), (0, 0, 1 << 17, 2), (1, 32768), 0),
    "a grid as fine as there may be": ((1, 1, 64, 64), (0, 0, 64, 64), (50, 50), 32),
    "a map in one bin": ((1, 3, 700, 600), (0, 0, 600, 700), (1, 1), 0),
    "a map in one of many bins": ((1, 1, 2, 1000), (0, 0, 32768000, 2), (1, 32768), 0),
}


@pytest.mark.parametrize("case", LARGE_QUANTIZED)
def test_the_quantized_reference_needs_bounded_memory_beside_its_arrays(case):
    shape, roi, output, sampling_ratio = LARGE_QUANTIZED[case]
    X = np.full(shape, 7, np.uint8)
    attributes = Attributes(*output, sampling_ratio, semantics=PRESETS["torchvision_aligned"])
    scale, zero_point = np.array(0.1, np.float32), np.array(3, np.uint8)
    tracemalloc.start()
    try:
        Y = quantized.roi_align(X, scale, zero_point, np.float32([roi]), np.zeros(1, np.int64), attributes)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - Y.nbytes < MOST_BYTES
    assert Y.ravel()[0] == 7


@pytest.mark.parametrize("dtype", quantized.TYPES)
def test_quantized_sums_cut_into_pieces_are_the_same_to_the_bit(dtype, monkeypatch):
    rng = np.random.default_rng(20261130)
    X = rng.integers(0, 100, (1, 3, 12, 40)).astype(dtype)
    boxes = np.float32([[0, 1, 2, 30, 11], [0, 0, 0, 40, 12], [0, -9, 3, 60, 8], [0, 9, 8, 2, 3], [0, -3e7, 0, 3e7, 9]])
    for size, ratio in (((1, 1), -1), ((2, 3), -1), ((3, 2), 5)):
        whole = roi_align_quantized(X, 0.1, 3, boxes, size, 0.9, ratio, True, engine="reference")
        with monkeypatch.context() as patched:
            patched.setattr(quantized, "_BLOCK", 3)
            patched.setattr(quantized, "_CHUNK", 5)
            cut = roi_align_quantized(X, 0.1, 3, boxes, size, 0.9, ratio, True, engine="reference")
        assert np.array_equal(cut, whole)
        assert np.array_equal(
            roi_align_quantized(X, 0.1, 3, boxes, size, 0.9, ratio, True, engine="native")[:4], whole[:4]
        )


TOO_FINE = "sampling_ratio must be at most 32 where the output is quantized, got 33"


@pytest.mark.parametrize("engine", CALL_ENGINES)
def test_a_quantized_grid_finer_than_32_is_refused(engine):
    X, boxes = np.full((1, 1, 4, 4), 9, np.uint8), np.float32([[0, 0, 0, 4, 4]])
    assert roi_align_quantized(X, 0.1, 3, boxes, 1, sampling_ratio=32, engine=engine).item() == 9
    with pytest.raises(RoiAlignError, match=f"^{TOO_FINE}$"):
        roi_align_quantized(X, 0.1, 3, boxes, 1, sampling_ratio=33, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_quantized_grid_finer_than_32_is_refused_in_a_model(engine):
    kinds = {"X": TensorProto.UINT8, "x_scale": TensorProto.FLOAT, "x_zero_point": TensorProto.UINT8}
    kinds |= {"rois": TensorProto.FLOAT, "batch_indices": TensorProto.INT64}
    model = private_model([qlinear_node(sampling_ratio=33)], kinds)
    with pytest.raises(RoiAlignError, match=re.escape(f"{TOO_FINE} (node 'pool')")):
        quiet_session(model, engine)


def test_a_grid_of_more_samples_along_an_axis_than_2_20_is_refused(public_roi_align):
    call = np.full((1, 1, 2, 2), 0.5, np.float32), np.float32([[0, 0, 1, 1]]), np.zeros(1, np.int64)
    assert np.allclose(public_roi_align(*call, output_width=32768, sampling_ratio=32), 0.5)
    message = "sampling_ratio must leave at most 1048576 samples along an axis, got 33 in each of 32768 bins"
    for name in ("output_width", "output_height"):
        with pytest.raises(RoiAlignError, match=f"^{message}$"):
            public_roi_align(*call, **{name: 32768}, sampling_ratio=33)


@pytest.mark.parametrize("min_size", [None, 1.0])
@pytest.mark.parametrize("column", [2, 3])
def test_a_mirrored_roi_whose_size_overflows_is_refused(public_roi_align, min_size, column):
    roi = np.float32([[1, 1, 2, 2]])
    roi[0, [column - 2, column]] = 3e38, -3e38  # min_size would turn minus infinity into 1
    message = (
        f"rois must stay finite when scaled by 1, got -3.00000001e+38 at row 0, column {column} ({'xy'[column - 2]}2)"
    )
    with pytest.raises(RoiAlignError, match=f"^{re.escape(message)}$"):
        public_roi_align(np.ones((1, 1, 4, 4), np.float32), roi, [0], semantics=Semantics(min_size=min_size))


@pytest.mark.parametrize("name", ["offset", "start_shift", "end_shift", "min_size", "max_start"])
@pytest.mark.parametrize("value", [1e39, -1e300])
def test_a_number_that_the_private_ops_node_cannot_say_is_refused(name, value):
    attributes = Attributes(semantics=Semantics(**{name: value}))
    with pytest.raises(RoiAlignError, match=re.escape(f"{name} must be finite in float32, got {value:g}")):
        private_op.make_node("X", "rois", "batch_indices", "Y", attributes)


@pytest.mark.parametrize("shape", [(1, 0, 1, 2**22), (1, 0, 2**22, 1)])
def test_a_map_may_be_2_27_pixels_long(public_roi_align, shape):
    X = np.broadcast_to(np.float32(1), shape)
    assert public_roi_align(X, np.float32([[0, 0, 9, 9]]), [0]).shape == (1, 0, 1, 1)
    longer = tuple(size + 1 if size > 1 else size for size in shape)
    with pytest.raises(RoiAlignError, match=re.escape(f"X must have H and W of at most 4194304, got shape {longer}")):
        public_roi_align(np.broadcast_to(np.float32(1), longer), np.float32([[0, 0, 9, 9]]), [0])


def test_the_last_sample_of_a_bin_wider_than_float64_counts_lies_at_its_end(engine):
    """Between 1.5e38 and the float before lie 1e22 numbers of samples: the last ones round up to the end of the bin."""
    X = np.arange(1.0, 181.0).reshape(1, 1, 12, 15)
    rois = np.array([[3.0, -3e38, 3.5, 4.0]])
    Y = engine(
        X, rois, np.zeros(1, np.int64), output_height=2, output_width=1, mode="max", semantics="onnx_output_half_pixel"
    )
    np.testing.assert_array_equal(Y.ravel(), [0, 2.5])  # half of the 5 at (0, 4), and no sample in the first bin
