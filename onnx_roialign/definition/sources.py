"""Parses the name of a framework's call, such as "paddle:aligned=True", into its Semantics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from onnx_roialign.definition.semantics import PRESETS, Semantics, from_onnx, resolve
from onnx_roialign.errors import RoiAlignError, shown

__all__ = ["parse"]

_MOST_DIGITS = 10  # of an opset


@dataclass(frozen=True, slots=True)
class _Call:
    """A framework's call: the argument that changes its semantics, and its presets.

    Attributes:
        argument: name of the argument.
        default: the framework's default of the argument.
        presets: name of the preset for each value as written.
    """

    argument: str
    default: str
    presets: Mapping[str, str]


def _aligned(legacy: str, aligned: str, default: str) -> _Call:
    values = {"False": legacy, "false": legacy, "0": legacy, "True": aligned, "true": aligned, "1": aligned}
    return _Call("aligned", default, MappingProxyType(values))


# The defaults are those of torchvision 0.29, Paddle 3.3, MindSpore 2.10, OpenVINO 2026.4 and TVM 0.27, which a test
# checks where they are installed, and those in the sources of Detectron2 0.6 and mmcv 2
# (detectron2/layers/roi_align.py, mmcv/ops/roi_align.py).
_CALLS: Mapping[str, _Call] = MappingProxyType(
    {
        "torchvision": _aligned("torchvision_legacy", "torchvision_aligned", "False"),
        "detectron2": _aligned("torchvision_legacy", "detectron2", "True"),
        "mmcv": _aligned("mmcv_legacy", "mmcv_aligned", "True"),
        "paddle": _aligned("paddle_legacy", "paddle_aligned", "True"),
        "tvm": _aligned("tvm_legacy", "tvm_aligned", "False"),
        "mindspore": _Call("roi_end_mode", "1", MappingProxyType({"0": "mindspore_0", "1": "mindspore_1"})),
        "openvino": _Call(
            "aligned_mode",
            "asymmetric",
            MappingProxyType({mode: f"openvino_{mode}" for mode in ("asymmetric", "half_pixel_for_nn", "half_pixel")}),
        ),
    }
)


def parse(source: str | Semantics) -> Semantics:
    """Returns the Semantics of the framework call that a source names.

    Args:
        source: one of
            ``"FRAMEWORK"``, with that framework's default: ``torchvision`` and ``tvm`` (aligned=False), ``detectron2``,
            ``mmcv`` and ``paddle`` (aligned=True), ``mindspore`` (roi_end_mode=1), ``openvino``
            (aligned_mode=asymmetric);
            ``"FRAMEWORK:ARGUMENT=VALUE"``, such as ``"paddle:aligned=False"``;
            ``"onnx:OPSET"``, the semantics of a RoiAlign without coordinate_transformation_mode at that opset, or
            ``"onnx:OPSET,MODE"``, such as ``"onnx:16,output_half_pixel"``;
            the name of a preset; or a Semantics, which is returned unchanged.

    Raises:
        RoiAlignError: there is no source, argument or value of that name.
    """
    if isinstance(source, Semantics):
        return source
    if not isinstance(source, str):
        raise RoiAlignError("source", "type", f"must be a text or a Semantics, got {shown(source)}")
    name, colon, arguments = (part.strip() for part in source.partition(":"))
    if name == "onnx":
        return _onnx(source, arguments)
    call = _CALLS.get(name)
    if call is None:
        if name in PRESETS and not colon:
            return resolve(name)
        names = dict.fromkeys((*_CALLS, "onnx", *PRESETS))  # a preset may have a framework's name
        raise RoiAlignError("source", "choice", f"must be one of {', '.join(names)}, got {shown(source)}")
    value = call.default if not colon else _argument(source, arguments, call)
    return PRESETS[call.presets[value]]


def _argument(source: str, arguments: str, call: _Call) -> str:
    argument, _, value = (part.strip() for part in arguments.partition("="))
    if argument != call.argument:
        raise RoiAlignError("source", "form", f"must be of the form 'NAME:{call.argument}=VALUE', got {shown(source)}")
    if value not in call.presets:
        raise RoiAlignError(argument, "choice", f"must be one of {', '.join(call.presets)}, got {shown(source)}")
    return value


def _onnx(source: str, arguments: str) -> Semantics:
    opset, comma, mode = (part.strip() for part in arguments.partition(","))
    if not (opset.isdecimal() and len(opset) < _MOST_DIGITS):
        raise RoiAlignError(
            "source", "form", f"must be of the form 'onnx:OPSET' or 'onnx:OPSET,MODE', got {shown(source)}"
        )
    mode = mode.removeprefix("coordinate_transformation_mode=")
    return from_onnx(int(opset), mode if comma else None)
