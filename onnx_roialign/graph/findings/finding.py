"""Finding: one thing that is wrong with a model's RoiAlign, and the table of all kinds of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["CODES", "Finding", "make_finding"]

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a RoiAlign of a model.

    Attributes:
        code: what kind, one of `CODES`; stable over versions.
        severity: ``error``: the answers are wrong, or there are none; ``warning``: they are on some runtimes, or the
            model is likely not what was meant; ``info``: only on inputs that hardly occur, or good to know.
        node: name of the node, or of its output where it has none; empty where it concerns the whole model.
        message: what was found, in plain words.
        effect: what it does to the results.
        repairable: whether `repair` mends it.
    """

    code: str
    severity: Severity
    node: str
    message: str
    effect: str
    repairable: bool

    def __str__(self) -> str:
        where = f" (node {self.node!r})" if self.node else ""
        return f"{self.severity} {self.code}: {self.message}{where}; {self.effect}"


# code -> severity, what it does to the results
CODES: Mapping[str, tuple[Severity, str]] = MappingProxyType(
    {
        # What no model may have.
        "broken-model": ("error", "runtimes refuse the model"),
        "inconsistent-types": ("error", "runtimes refuse the model, or take other shapes than it declares"),
        "opset-too-new": ("warning", "runtimes refuse the model, unless they are newer than the installed onnx"),
        "missing-weights": ("error", "runtimes refuse the model until it has them"),
        "conflicting-opsets": (
            "error",
            "runtimes choose differently, and what RoiAlign and other operators mean depends on it: other answers",
        ),
        "undecided-meaning": (
            "info",
            "onnx_roialign.session() runs the model; register() and the library by itself, which know one default for "
            "all nodes, refuse it until the attribute is written (make_explicit)",
        ),
        "invalid-attribute": ("error", "runtimes refuse the model, or take another value without saying so"),
        "unknown-attribute": ("error", "runtimes refuse the model, or ignore what the attribute should say"),
        "invalid-input": ("error", "runtimes refuse the model"),
        "invalid-output": ("error", "runtimes refuse the model"),
        "opset-too-old": ("error", "runtimes refuse the model"),
        # What is wrong whatever the source.
        "zero-batch-indices": ("error", "every RoI is read from the first image: wrong for all images after it"),
        "unread-images": ("warning", "every RoI is read from the first image, and the other images never"),
        "emulated-half-pixel": (
            "error",
            "right for RoIs of at least 1 x 1 pixel of the feature map, wrong for smaller ones, which grow to that",
        ),
        "end-shift-minimum-size": (
            "error",
            "right for RoIs of at least 1 x 1 pixel of the feature map, wrong for smaller ones, which grow to that",
        ),
        "half-pixel-twice": ("error", "every sample lies half a pixel of the feature map from where it should"),
        "spatial-scale-stride": ("error", "RoIs are read from another place of the feature map than they mean"),
        "coarse-coordinates": ("warning", "RoIs move by up to half the distance between two numbers of this type"),
        "max-mode": (
            "warning",
            "ONNX Runtime takes the maximum of the weighted pixels, OpenVINO, TVM and mmcv that of the interpolated "
            "samples: the answers differ",
        ),
        "sampling-ratio-omitted": (
            "warning",
            "adaptive in ONNX, but runtimes exist that take another default (OpenVINO 2026.4: 1): other answers there",
        ),
        "no-builtin-kernel": (
            "warning",
            "ONNX Runtime's CPU provider refuses to load the model (NOT_IMPLEMENTED in 1.32); onnx_roialign.session() "
            "runs it, and its own kernel does after convert_opset(model, 21)",
        ),
        # Not what the source means.
        "half-pixel-lost": ("error", "every sample lies half a pixel of the feature map too far right and down"),
        "half-pixel-added": ("error", "every sample lies half a pixel of the feature map too far left and up"),
        "minimum-size": ("error", "RoIs smaller than 1 x 1 pixel of the feature map are read over another area"),
        "start-shift": ("error", "every RoI begins at another place"),
        "end-shift": ("error", "every RoI ends at another place"),
        "offset": ("error", "every sample is moved by the same distance"),
        "adaptive-rule": ("error", "RoIs whose size is no multiple of the bins are sampled at other points"),
        "max-rule": ("error", "the maximum is taken over other values"),
        "max-start": ("error", "no maximum is less than another number, which bins without samples are, too"),
        "border": ("info", "a sample exactly on the border of the map counts in one and not in the other"),
        "empty-bins": ("info", "the bins of RoIs without area answer another value (0, or NaN)"),
        # Found by running.
        "wrong-answer": ("error", "this and every later node answers wrong"),
        "wrong-output": ("error", "the model's answer is not the expected one"),
        "explained": ("info", "repair with this source makes the model answer what is expected"),
        "unexplained": ("error", "no source that repair knows makes the model answer what is expected"),
    }
)


def make_finding(code: str, node: str, message: str, *, repairable: bool) -> Finding:
    """A Finding of this kind, its severity and effect from the table."""
    severity, effect = CODES[code]
    return Finding(code, severity, node, message, effect, repairable)
