"""Tests that both engines refuse attributes that no RoiAlign can have, in the same words."""

from __future__ import annotations

import re

import ml_dtypes
import numpy as np
import pytest
import tolerances
from spoiled import good_call, refused

import onnx_roialign
from onnx_roialign import RoiAlignError
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import NUMBERS

NAN, INF = np.nan, np.inf
ENGINES = ("reference", "native")


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("mode", "foo", "mode must be 'avg' or 'max', got 'foo'"),
        ("mode", 1, "mode must be 'avg' or 'max', got 1"),
        (
            "coordinate_transformation_mode",
            "asymmetric",
            "coordinate_transformation_mode must be 'half_pixel' or 'output_half_pixel', got 'asymmetric'",
        ),
        ("sampling_ratio", -1, "sampling_ratio must be in [0, 16384], got -1"),
        ("sampling_ratio", 16385, "sampling_ratio must be in [0, 16384], got 16385"),
        ("sampling_ratio", 2.0, "sampling_ratio must be an integer, got a float"),
        ("sampling_ratio", np.float32(2), "sampling_ratio must be an integer, got a float"),
        ("output_height", 0, "output_height must be at least 1, got 0"),
        ("output_width", -3, "output_width must be at least 1, got -3"),
        ("output_width", "7", "output_width must be an integer, got a str"),
        ("output_height", np.zeros(2), "output_height must be an integer, got a ndarray"),
        ("spatial_scale", -1, "spatial_scale must be finite and > 0, got -1"),
        ("spatial_scale", 0.0, "spatial_scale must be finite and > 0, got 0"),
        ("spatial_scale", NAN, "spatial_scale must be finite and > 0, got nan"),
        ("spatial_scale", INF, "spatial_scale must be finite and > 0, got inf"),
        ("spatial_scale", "1", "spatial_scale must be a number, got a str"),
        ("spatial_scale", -NAN, "spatial_scale must be finite and > 0, got nan"),
        ("spatial_scale", np.float16(NAN), "spatial_scale must be finite and > 0, got nan"),
        ("spatial_scale", 10**400, f"spatial_scale must be finite and > 0, got 1{'0' * 63}..."),
        pytest.param(
            *("spatial_scale", 10**5000, "spatial_scale must be finite and > 0, got a value of type int"),
            id="huge scale",
        ),
        ("output_height", 32769, "output_height must be at most 32768, got 32769"),
        ("output_width", 2**62, "output_width must be at most 32768, got 4611686018427387904"),
        pytest.param(
            *("output_width", 10**5000, "output_width must be at most 32768, got a value of type int"), id="huge width"
        ),
        ("sampling_ratio", -(2**70), "sampling_ratio must be in [0, 16384], got -1180591620717411303424"),
        pytest.param("mode", "x" * 10**6, f"mode must be 'avg' or 'max', got '{'x' * 63}...'", id="huge mode"),
        ("mode", "a\nb", r"mode must be 'avg' or 'max', got 'a\nb'"),
        ("mode", np.zeros(3), "mode must be 'avg' or 'max', got array([0., 0., 0.])"),
        ("mode", "", "mode must be 'avg' or 'max', got ''"),
    ],
)
def test_an_attribute_of_the_wrong_type_or_out_of_range_is_refused(public_roi_align, attribute, value, message):
    refused(public_roi_align, message, **{attribute: value})


def test_an_unknown_preset_is_refused(public_roi_align):
    names = ", ".join(onnx_roialign.PRESETS)
    refused(public_roi_align, f"semantics must be a Semantics or one of {names}, got 'caffe'", semantics="caffe")


def test_attributes_take_a_semantics_and_not_its_name():
    with pytest.raises(RoiAlignError, match=r"^semantics must be a Semantics, got a str$"):
        Attributes(semantics="torchvision_aligned")


def test_a_coordinate_mode_and_semantics_exclude_each_other(public_roi_align):
    refused(
        public_roi_align,
        "coordinate_transformation_mode must not be given together with semantics, "
        "got 'output_half_pixel' and 'mmcv_aligned'",
        coordinate_transformation_mode="output_half_pixel",
        semantics="mmcv_aligned",
    )


def test_semantics_replaces_the_coordinate_mode(public_roi_align):
    call = good_call()
    X = np.random.default_rng(0).standard_normal(call["X"].shape).astype(np.float32)
    arrays = X, call["rois"], call["batch_indices"]
    by_mode = public_roi_align(*arrays, coordinate_transformation_mode="output_half_pixel")
    assert np.array_equal(public_roi_align(*arrays, semantics="onnx_output_half_pixel"), by_mode)
    assert np.array_equal(public_roi_align(*arrays, semantics=onnx_roialign.PRESETS["torchvision_legacy"]), by_mode)
    assert not np.array_equal(public_roi_align(*arrays), by_mode)


def test_the_samples_of_a_roi_along_an_axis_are_bounded(public_roi_align):
    refused(
        public_roi_align,
        "sampling_ratio must leave at most 1048576 samples along an axis, got 16384 in each of 65 bins",
        output_height=2,
        output_width=65,
        sampling_ratio=16384,
    )
    Y = public_roi_align(*good_call().values(), output_width=64, sampling_ratio=16384)
    # The second RoI lies inside the map, where a bin's average of linear features is their value at its centre.
    centres = 0.5 + 4 * (np.arange(64) + 0.5) / 64
    want = [[216 + 72 * channel + 9 * 2.5 + centres] for channel in range(3)]
    np.testing.assert_allclose(Y[1], want, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    ("value", "text"),
    [(NAN, "nan"), (INF, "inf"), (-INF, "-inf"), ("1", "'1'"), (10**400, f"1{'0' * 63}..."), (1j, "1j")],
)
def test_a_number_of_a_semantics_is_finite(name, value, text):
    with pytest.raises(RoiAlignError, match=f"^{re.escape(f'{name} must be a finite number, got {text}')}$"):
        onnx_roialign.Semantics(**{name: value})


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [1e39, -1e39, 1e300, 3.4028235677973366e38])
def test_a_number_that_is_infinite_in_float32_is_refused_where_coordinates_are(public_roi_align, dtype, name, value):
    for mode in ("avg", "max"):
        for sampling_ratio in (0, 1, 2):
            refused(
                public_roi_align,
                f"{name} must be finite in float32, got {value:.9g}",
                X=good_call()["X"].astype(dtype),
                rois=np.zeros((3, 4), dtype),
                semantics=onnx_roialign.Semantics(**{name: value}),
                mode=mode,
                sampling_ratio=sampling_ratio,
            )


@pytest.mark.parametrize("value", [1e39, 1e300, 1e-50, 1e-320])
def test_a_scale_that_is_infinite_or_zero_in_float32_is_refused(public_roi_align, value):
    message = f"spatial_scale must be finite and > 0 in float32, got {value:.9g}"
    refused(public_roi_align, message, rois=np.zeros((3, 4), np.float32), spatial_scale=value)


@pytest.mark.parametrize("change", [{"spatial_scale": 1e39}, {"spatial_scale": 1e-50}, *({n: 1e39} for n in NUMBERS)])
def test_the_same_numbers_are_right_in_float64(change):
    X = np.random.default_rng(1).standard_normal((1, 1, 5, 6))
    attributes = dict(change)
    scale = {"spatial_scale": attributes.pop("spatial_scale")} if "spatial_scale" in attributes else {}
    answers = [
        onnx_roialign.roi_align(
            X,
            [[0, 0, 0, 0]],
            [0],
            output_width=2,
            semantics=onnx_roialign.Semantics(**attributes),
            engine=engine,
            **scale,
        )
        for engine in ENGINES
    ]
    assert np.isfinite(answers[0]).all()
    np.testing.assert_allclose(answers[1], answers[0], rtol=0, atol=tolerances.FLOAT64 * np.abs(X).max())


def test_an_unknown_engine_is_refused():
    arrays = good_call().values()
    with pytest.raises(RoiAlignError, match=r"^engine must be one of native, reference, got 'cuda'$"):
        onnx_roialign.roi_align(*arrays, engine="cuda")


@pytest.mark.parametrize(
    ("threads", "message"),
    [
        (-1, "threads must be in [0, 1024], got -1"),
        (1025, "threads must be in [0, 1024], got 1025"),
        (2**62, "threads must be in [0, 1024], got 4611686018427387904"),
        (2.0, "threads must be an integer, got a float"),
        ("2", "threads must be an integer, got a str"),
    ],
)
def test_a_number_of_threads_that_makes_no_sense_is_refused(public_roi_align, threads, message):
    refused(public_roi_align, message, threads=threads)


def test_no_number_of_threads_and_0_mean_one_per_core(public_roi_align):
    arrays = tuple(good_call().values())
    want = public_roi_align(*arrays, threads=1)
    for threads in (None, 0, np.int32(3), 1024):
        assert np.array_equal(public_roi_align(*arrays, threads=threads), want)
