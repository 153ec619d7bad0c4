"""Tests Semantics: the meaning of each framework, and the errors for impossible meanings."""

from __future__ import annotations

import dataclasses

import pytest

from onnx_roialign import PRESETS, RoiAlignError, Semantics
from onnx_roialign.definition.semantics import from_onnx, resolve

LEGACY = Semantics(offset=0.0, min_size=1.0)
ALIGNED = Semantics(offset=0.5, min_size=None)

OPENVINO = {"empty": "nan", "max_rule": "samples", "max_start": 0.0}


def test_the_presets_are_those_of_the_design():
    assert dict(PRESETS) == {
        "onnx_output_half_pixel": LEGACY,
        "onnx_half_pixel": ALIGNED,
        "torchvision_legacy": LEGACY,
        "torchvision_aligned": ALIGNED,
        "detectron2": ALIGNED,
        "paddle_legacy": dataclasses.replace(LEGACY, empty="nan"),
        "paddle_aligned": dataclasses.replace(ALIGNED, empty="nan"),
        "mindspore_0": Semantics(offset=0.0, min_size=1.0, adaptive="floor", empty="nan"),
        "mindspore_1": Semantics(offset=0.0, end_shift=1.0, adaptive="floor", empty="nan"),
        "mindspore_half_pixel": Semantics(offset=0.5, border="exclusive"),
        "openvino_asymmetric": dataclasses.replace(LEGACY, **OPENVINO),
        "openvino_half_pixel_for_nn": dataclasses.replace(ALIGNED, **OPENVINO),
        "openvino_half_pixel": dataclasses.replace(ALIGNED, **OPENVINO, start_shift=0.5, end_shift=0.5),
        "mmcv_legacy": dataclasses.replace(LEGACY, max_rule="samples", max_start=-10000.0),
        "mmcv_aligned": dataclasses.replace(ALIGNED, max_rule="samples", max_start=-10000.0),
        "tvm_legacy": Semantics(offset=0.0, min_size=1.0, max_rule="samples"),
        "tvm_aligned": Semantics(offset=0.0, min_size=None, max_rule="samples"),
    }


def test_nobody_can_add_to_the_presets():
    with pytest.raises(TypeError, match="does not support item assignment"):
        PRESETS["mine"] = LEGACY


def test_semantics_cannot_be_changed_and_can_be_a_key():
    with pytest.raises(dataclasses.FrozenInstanceError):
        LEGACY.offset = 0.5
    assert {LEGACY: 1}[Semantics(offset=0, min_size=1)] == 1


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("offset", float("nan"), "offset must be a finite number, got nan"),
        ("offset", "half", "offset must be a finite number, got 'half'"),
        ("min_size", float("inf"), "min_size must be a finite number, got inf"),
        ("start_shift", float("-inf"), "start_shift must be a finite number, got -inf"),
        ("end_shift", None, "end_shift must be a finite number, got None"),
        ("max_start", float("-inf"), "max_start must be a finite number, got -inf"),
        ("adaptive", "round", "adaptive must be 'ceil' or 'floor', got 'round'"),
        ("empty", 0, "empty must be 'zero' or 'nan', got 0"),
        ("max_rule", "bilinear", "max_rule must be 'corners' or 'samples', got 'bilinear'"),
        ("border", "open", "border must be 'inclusive' or 'exclusive', got 'open'"),
    ],
)
def test_a_field_that_no_roialign_can_have_is_refused(field, value, message):
    with pytest.raises(RoiAlignError, match=f"^{message}$"):
        Semantics(**{field: value})


@pytest.mark.parametrize("opset", [10, 15])
def test_before_opset_16_a_node_without_the_attribute_means_output_half_pixel(opset):
    assert from_onnx(opset, None) is PRESETS["onnx_output_half_pixel"]


@pytest.mark.parametrize("opset", [16, 22, 26])
def test_from_opset_16_a_node_without_the_attribute_means_half_pixel(opset):
    assert from_onnx(opset, None) is PRESETS["onnx_half_pixel"]


@pytest.mark.parametrize("opset", [10, 16])
@pytest.mark.parametrize("mode", ["half_pixel", "output_half_pixel"])
def test_the_attribute_decides_where_it_is_given(opset, mode):
    assert from_onnx(opset, mode) is PRESETS[f"onnx_{mode}"]


def test_an_opset_before_roialign_is_refused():
    with pytest.raises(RoiAlignError, match=r"^opset must be at least 10 for RoiAlign, got 9$"):
        from_onnx(9, None)


def test_an_unknown_coordinate_mode_is_refused():
    with pytest.raises(
        RoiAlignError,
        match=r"^coordinate_transformation_mode must be 'half_pixel' or 'output_half_pixel', got 'asymmetric'$",
    ):
        from_onnx(16, "asymmetric")


def test_a_name_resolves_to_its_preset_and_a_semantics_to_itself():
    assert resolve("mindspore_1") is PRESETS["mindspore_1"]
    assert resolve(LEGACY) is LEGACY


@pytest.mark.parametrize("name", ["torchvision", None, 3])
def test_an_unknown_preset_is_refused_with_the_names_of_all(name):
    with pytest.raises(RoiAlignError, match=f"semantics must be .* one of onnx_output_half_pixel, .*, got {name!r}$"):
        resolve(name)
