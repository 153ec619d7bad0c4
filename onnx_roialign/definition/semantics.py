"""Semantics: all differences between implementations of RoiAlign, and the presets of frameworks and runtimes."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from onnx_roialign.errors import RoiAlignError, shown

__all__ = ["CHOICES", "FIELDS", "NUMBERS", "PRESETS", "Semantics", "from_onnx", "resolve"]

# RoiAlign exists since opset 10. Opset 16 added coordinate_transformation_mode and made half_pixel the default.
FIRST_OPSET = 10
HALF_PIXEL_OPSET = 16


@dataclass(frozen=True, slots=True)
class Semantics:
    """The semantics of an implementation of RoiAlign. Implementations with equal fields compute equal results.

    Attributes:
        offset: pixels of the feature map subtracted from every scaled coordinate; 0.5 places pixel centres at integers
            (ONNX: ``half_pixel``; torchvision, Detectron2: ``aligned=True``).
        min_size: lower bound on the width and height of the scaled RoI, in pixels of the feature map; None: no bound.
        start_shift: pixels of the image added to x1 and y1 before scaling (OpenVINO's own ``half_pixel``: 0.5).
        end_shift: pixels of the image added to x2 and y2 before scaling (MindSpore's ``roi_end_mode=1``: 1).
        adaptive: rounding of ``roi_size / output_size`` to the number of samples per bin where sampling_ratio is 0.
        empty: value of a bin without samples (the adaptive grid is 0).
        max_rule: the values over which mode ``max`` takes the maximum: the four weighted neighbours of every sample
            (``corners``, as in ONNX's reference and ONNX Runtime) or the interpolated samples (``samples``).
        max_start: initial value of the maximum, so that no bin is less (OpenVINO: 0, mmcv: -10000); it is also the
            value of a bin without samples. None: the maximum starts from the bin's first sample.
        border: whether a sample exactly at -1 or at H (W) counts.

    Raises:
        RoiAlignError: a field has an invalid value.
    """

    offset: float = 0.5
    min_size: float | None = None
    start_shift: float = 0.0
    end_shift: float = 0.0
    adaptive: Literal["ceil", "floor"] = "ceil"
    empty: Literal["zero", "nan"] = "zero"
    max_rule: Literal["corners", "samples"] = "corners"
    max_start: float | None = None
    border: Literal["inclusive", "exclusive"] = "inclusive"

    def __post_init__(self) -> None:
        for name in NUMBERS:
            value = getattr(self, name)
            if value is not None or name not in _OPTIONAL:
                object.__setattr__(self, name, _finite(name, value))
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if not (isinstance(value, str) and value in choices):
                raise RoiAlignError(name, "choice", f"must be {choices[0]!r} or {choices[1]!r}, got {shown(value)}")


def _finite(name: str, value: object) -> float:
    try:
        if isinstance(value, numbers.Real) and math.isfinite(number := float(value)):
            return number
    except OverflowError:  # an integer or a fraction beyond float64
        pass
    raise RoiAlignError(name, "range", f"must be a finite number, got {shown(value)}")


# The fields that are texts, with their possible values, the default first; all fields; the fields that are numbers.
CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: get_args(kind) for name, kind in get_type_hints(Semantics).items() if get_origin(kind) is Literal}
)
FIELDS = tuple(field.name for field in fields(Semantics))
NUMBERS = tuple(field.name for field in fields(Semantics) if field.name not in CHOICES)
_OPTIONAL = tuple(field.name for field in fields(Semantics) if field.default is None)


def _legacy_and_aligned(**fields: Any) -> tuple[Semantics, Semantics]:
    """Returns the two semantics that most frameworks offer: Mask R-CNN's original and the half-pixel offset."""
    return Semantics(offset=0.0, min_size=1.0, **fields), Semantics(offset=0.5, min_size=None, **fields)


_LEGACY, _ALIGNED = _legacy_and_aligned()
_LEGACY_NAN, _ALIGNED_NAN = _legacy_and_aligned(empty="nan")
_LEGACY_MMCV, _ALIGNED_MMCV = _legacy_and_aligned(max_rule="samples", max_start=-10000.0)
_LEGACY_OPENVINO, _ALIGNED_OPENVINO = _legacy_and_aligned(empty="nan", max_rule="samples", max_start=0.0)
_LEGACY_TVM = Semantics(offset=0.0, min_size=1.0, max_rule="samples")


class _Presets(Mapping[str, Semantics]):
    """Semantics by name, read-only. Pickle restores the module's own object, which it cannot do for a mappingproxy."""

    def __init__(self, presets: Mapping[str, Semantics]) -> None:
        self._presets = dict(presets)

    def __getitem__(self, name: str) -> Semantics:
        return self._presets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._presets)

    def __len__(self) -> int:
        return len(self._presets)

    def __repr__(self) -> str:
        return repr(self._presets)

    def __reduce__(self) -> str:
        return "PRESETS"


# Tested against recorded outputs of the frameworks (tests/data/golden); detectron2, mmcv_* and mindspore_half_pixel
# against vectors that those projects publish (tests/definition/test_published.py).
PRESETS: Mapping[str, Semantics] = _Presets(
    {
        "onnx_output_half_pixel": _LEGACY,
        "onnx_half_pixel": _ALIGNED,
        "torchvision_legacy": _LEGACY,
        "torchvision_aligned": _ALIGNED,
        "detectron2": _ALIGNED,
        "paddle_legacy": _LEGACY_NAN,
        "paddle_aligned": _ALIGNED_NAN,
        "mindspore_0": Semantics(offset=0.0, min_size=1.0, adaptive="floor", empty="nan"),
        "mindspore_1": Semantics(offset=0.0, end_shift=1.0, adaptive="floor", empty="nan"),
        # The semantics that MindSpore's test of its GPU kernel expects without roi_end_mode; the fields that the test
        # does not determine are ONNX's.
        "mindspore_half_pixel": Semantics(offset=0.5, border="exclusive"),
        "openvino_asymmetric": _LEGACY_OPENVINO,
        # OpenVINO's half_pixel_for_nn is ONNX's half_pixel; its own half_pixel is (x + 0.5) * spatial_scale - 0.5.
        "openvino_half_pixel_for_nn": _ALIGNED_OPENVINO,
        "openvino_half_pixel": replace(_ALIGNED_OPENVINO, start_shift=0.5, end_shift=0.5),
        "mmcv_legacy": _LEGACY_MMCV,
        "mmcv_aligned": _ALIGNED_MMCV,
        # TVM's aligned=True has no minimum size, but no half-pixel offset either. TVM does not write bins without
        # samples: they keep the previous content of the memory.
        "tvm_legacy": _LEGACY_TVM,
        "tvm_aligned": replace(_LEGACY_TVM, min_size=None),
    }
)


def resolve(semantics: Semantics | str) -> Semantics:
    """Returns the Semantics itself, or the preset of that name.

    Raises:
        RoiAlignError: there is no preset of that name.
    """
    if isinstance(semantics, Semantics):
        return semantics
    preset = PRESETS.get(semantics) if isinstance(semantics, str) else None
    if preset is None:
        raise RoiAlignError(
            "semantics", "choice", f"must be a Semantics or one of {', '.join(PRESETS)}, got {shown(semantics)}"
        )
    return preset


def from_onnx(opset: int, coordinate_transformation_mode: str | None) -> Semantics:
    """Returns the semantics of an ONNX RoiAlign node; without the attribute, they depend on the model's opset.

    Args:
        opset: the version of ONNX's own operator set that the model imports.
        coordinate_transformation_mode: the node's attribute; None if the node does not have it.

    Raises:
        RoiAlignError: the opset is older than RoiAlign, or ONNX does not have the mode.
    """
    if opset < FIRST_OPSET:
        raise RoiAlignError("opset", "range", f"must be at least {FIRST_OPSET} for RoiAlign, got {opset}")
    if coordinate_transformation_mode is None:
        coordinate_transformation_mode = "half_pixel" if opset >= HALF_PIXEL_OPSET else "output_half_pixel"
    if not (isinstance(coordinate_transformation_mode, str) and f"onnx_{coordinate_transformation_mode}" in PRESETS):
        raise RoiAlignError(
            "coordinate_transformation_mode",
            "choice",
            f"must be 'half_pixel' or 'output_half_pixel', got {shown(coordinate_transformation_mode)}",
        )
    return PRESETS[f"onnx_{coordinate_transformation_mode}"]
