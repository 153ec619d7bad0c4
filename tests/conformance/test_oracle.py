"""Tests that the oracle is exact, shares no code with the package, and agrees with recordings of six frameworks."""

from __future__ import annotations

import ast
import math
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import golden
import ml_dtypes
import numpy as np
import onnx
import pytest

import onnx_roialign.conformance
from onnx_roialign import PRESETS
from onnx_roialign.arrays import RECORDED
from onnx_roialign.conformance import oracle
from onnx_roialign.conformance.cases.building import Call, features

PATH = Path(onnx_roialign.conformance.__path__[0]) / "oracle.py"


def test_the_oracle_imports_the_standard_library_and_numpy_only():
    tree = ast.parse(PATH.read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module.partition(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"numpy"}


def test_the_oracle_runs_where_the_package_cannot_be_imported(tmp_path):
    shutil.copy(PATH, tmp_path / "oracle.py")
    code = (
        "import sys; sys.modules['onnx_roialign'] = None\n"
        "import oracle, numpy as np\n"
        "print(oracle.roi_align(np.ones((1, 1, 4, 4)), np.array([[1, 1, 3, 3.]]), np.array([0]))[0, 0, 0, 0])\n"
        "print([name for name in sys.modules if name.startswith('onnx')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[:2] == ["1.0", "['onnx_roialign']"]


def test_a_mean_by_hand():
    # Two samples along x at 0.75 and 2.25, one row at 1: (0.25 * 1 + 0.75 * 2 + 0.75 * 4 + 0.25 * 8) / 2 in row 1.
    X = np.array([[0, 0, 0, 0], [1, 2, 4, 8], [0, 0, 0, 0]], np.float64)[None, None]
    rois = np.array([[0.5, 1.0, 3.5, 2.0]])
    Y = oracle.roi_align(X, rois, np.array([0]), output_height=1, output_width=1, sampling_ratio=2)
    # Rows at 0.75 and 1.25 weigh row 1 by 0.75 each.
    assert Y.item() == 0.75 * (0.25 * 1 + 0.75 * 2 + 0.75 * 4 + 0.25 * 8) / 2


def test_a_maximum_by_hand():
    X = np.array([[0, 0, 0], [0, 8, 4], [0, 0, 0]], np.float64)[None, None]
    rois = np.array([[1.25, 1.0, 2.25, 2.0]])  # one sample at x = 1.25, y = 1
    call = {"mode": "max", "sampling_ratio": 1}
    assert oracle.roi_align(X, rois, np.array([0]), **call).item() == 6
    assert oracle.roi_align(X, rois, np.array([0]), rules=oracle.Rules(maximum="samples"), **call).item() == 7


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_rounding_is_that_of_the_type_at_ties_subnormals_and_the_largest_number_too(dtype):
    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    info = ml_dtypes.finfo(kind)
    tiny, largest, eps = float(info.smallest_subnormal), float(info.max), Fraction(float(info.eps))
    for exact, want in (
        (1 + eps / 2, 1.0),  # a tie, rounded to the even one
        (1 + 3 * eps / 2, float(1 + 2 * eps)),
        (1 + eps / 2 + eps / 1000, float(1 + eps)),
        (Fraction(tiny) / 2, 0.0),
        (Fraction(tiny) * 3 / 4, tiny),
        (Fraction(tiny) * 3 / 2, 2 * tiny),
        (Fraction(largest) * 2, math.inf),
        (-Fraction(largest), -largest),
        (Fraction(largest) * (1 + eps / 100), largest),
        (Fraction(1, 3), float(np.asarray(1 / 3).astype(kind)) if dtype != "float64" else 1 / 3),
        (Fraction(0), 0.0),
    ):
        assert oracle.rounded(exact, kind) == want


def test_rounding_agrees_with_numpy_on_random_numbers():
    rng = np.random.default_rng(20)
    for value in rng.standard_normal(2000) * 10.0 ** rng.integers(-45, 39, 2000):
        for kind in (np.dtype(np.float16), np.dtype(np.float32)):
            with np.errstate(over="ignore"):
                assert oracle.rounded(Fraction(value), kind) == float(np.float64(value).astype(kind))


def test_the_defaults_are_those_of_onnx_at_every_opset():
    for opset in (10, 16, 22):
        attributes = onnx.defs.get_schema("RoiAlign", opset).attributes
        defaults = {
            name: onnx.helper.get_attribute_value(attribute.default_value) for name, attribute in attributes.items()
        }
        mode = defaults.pop("coordinate_transformation_mode", b"output_half_pixel").decode()
        own = {name: oracle.roi_align.__kwdefaults__[name] for name in defaults}
        assert own == {name: v.decode() if isinstance(v, bytes) else v for name, v in defaults.items()}
        call = Call(features(1, 1, 2, 2), np.zeros((0, 4)), np.zeros(0, np.int64), opset, {})
        assert call.rules == (oracle.HALF_PIXEL if mode == "half_pixel" else oracle.OUTPUT_HALF_PIXEL)


def rules(semantics):
    """The Rules of a Semantics without shifts."""
    return oracle.Rules(
        offset=Fraction(semantics.offset),
        minimum=None if semantics.min_size is None else Fraction(semantics.min_size),
        grid=semantics.adaptive,
        empty=math.nan if semantics.empty == "nan" else 0.0,
        maximum=semantics.max_rule,
        floor=semantics.max_start,
        border="inside" if semantics.border == "inclusive" else "outside",
        zero_weight="counted",
    )


@pytest.mark.parametrize("framework", ["torchvision", "mindspore", "onnxruntime", "openvino", "tvm"])
def test_the_oracle_agrees_with_recorded_calls(framework):
    compared = 0
    for case in golden.cases(framework):
        semantics = PRESETS[case.preset]
        if semantics.start_shift or semantics.end_shift:
            continue  # ONNX has no shift
        arguments = {name: value for name, value in case.arguments.items() if name != "semantics"}
        some = slice(0, 3)  # of each call, for time
        Y = oracle.roi_align(
            case.X[:, :2], case.rois[some], case.batch_indices[some], rules=rules(semantics), **arguments
        )
        apart = np.where(np.isnan(Y) & np.isnan(case.Y[some, :2]), 0, Y - case.Y[some, :2])
        assert np.abs(apart).max() <= RECORDED * np.abs(case.X).max(), case.name
        compared += 1
    assert compared >= 40


def test_an_infinite_feature_makes_its_bins_infinite_and_weight_0_counts_only_by_that_rule():
    X = np.ones((1, 1, 4, 4), np.float32)
    X[0, 0, 1, 2] = np.inf
    touching, beside = np.array([[1.25, 0.5, 2.25, 1.5]], np.float32), np.array([[0.5, 0.5, 1.5, 1.5]], np.float32)
    call = {"rules": oracle.OUTPUT_HALF_PIXEL, "sampling_ratio": 1}
    assert oracle.roi_align(X, touching, np.array([0]), **call).item() == np.inf
    assert oracle.roi_align(X, beside, np.array([0]), **call).item() == 1
    call["rules"] = oracle.Rules(Fraction(0), Fraction(1), zero_weight="counted")
    assert np.isnan(oracle.roi_align(X, beside, np.array([0]), **call).item())


def test_conditioning_is_the_distance_from_discontinuities():
    rois = np.array([[-1.75, 1.0, 2.75, 2.5]], np.float32)
    near = oracle.conditioning(rois, (1, 1, 8, 8), rules=oracle.OUTPUT_HALF_PIXEL, output_width=2)
    # 4.5 pixels in 2 bins: 2.25 each, 3 samples, of which the second, at -0.625, is nearest to -1.
    assert (near.cut, near.integer, near.exact) == (0.375, 0.25, True)
    fixed = oracle.conditioning(rois, (1, 1, 8, 8), rules=oracle.OUTPUT_HALF_PIXEL, output_width=2, sampling_ratio=4)
    assert fixed.integer == math.inf
    assert fixed.exact
    assert fixed.samples == 16


@pytest.mark.parametrize(
    ("size", "ratio", "exact"), [(6.0, 3, True), (2.25, 3, True), (4.0, 3, False), (0.5, 5, False)]
)
def test_a_grid_that_is_no_power_of_two_is_exact_where_it_divides_the_step(size, ratio, exact):
    rois = np.array([[-1.5, 1.0, -1.5 + size, 1.0 + size]], np.float32)
    assert oracle.conditioning(rois, (1, 1, 8, 8), sampling_ratio=ratio).exact == exact
