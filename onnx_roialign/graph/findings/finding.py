"""Finding: an error in a model's RoiAlign; and the table of all kinds of findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["CODES", "Finding", "Severity", "make_finding"]

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """An error in, or a remark on, a RoiAlign of a model.

    Attributes:
        code: the kind, one of `CODES`; stable across versions.
        severity: ``error``: the results are wrong, or the model does not run; ``warning``: this holds on some runtimes,
            or the model probably does not compute what was intended; ``info``: the results are wrong only for rare
            inputs, or the finding is for information.
        node: name of the node, or of its first output if it has no name; empty if it concerns the whole model.
        message: what the model contains and what it should contain, without a final period.
        effect: what that does to the results, in sentences.
        repairable: whether `repair` corrects it.
    """

    code: str
    severity: Severity
    node: str
    message: str
    effect: str
    repairable: bool

    @property
    def text(self) -> str:
        """The message, the effect and the way out, in sentences."""
        way_out = " `onnx-roialign repair` fixes it." if self.repairable else ""
        return f"{self.message}. {self.effect}{way_out}"

    def __str__(self) -> str:
        where = f" (node {self.node!r})" if self.node else ""
        return f"{self.severity} {self.code}{where}: {self.text}"


_REFUSED = "Runtimes refuse the model."
_ENLARGED = (
    "RoIs of at least 1 x 1 pixel of the feature map are right; smaller ones are enlarged to 1 x 1, and their results "
    "are wrong."
)

# code -> severity, effect on the results
CODES: Mapping[str, tuple[Severity, str]] = MappingProxyType(
    {
        # Errors in the model itself.
        "broken-model": ("error", _REFUSED),
        "inconsistent-types": ("error", "Runtimes refuse the model, or compute other shapes than it declares."),
        "opset-too-new": (
            "warning",
            "Runtimes refuse the model, unless they support newer opsets than the installed onnx.",
        ),
        "missing-weights": ("error", "Runtimes refuse the model until the data is there."),
        "conflicting-opsets": (
            "error",
            "The meaning of RoiAlign and other operators depends on the opset, and runtimes choose different ones: the "
            "results differ.",
        ),
        "undecided-meaning": (
            "info",
            "onnx_roialign.session() runs the model. register() and the library alone have one default for all nodes "
            "and refuse the model until make_explicit writes the attribute.",
        ),
        "invalid-attribute": ("error", "Runtimes refuse the model, or use another value without a message."),
        "unknown-attribute": ("error", "Runtimes refuse the model, or ignore the attribute."),
        "invalid-input": ("error", _REFUSED),
        "invalid-output": ("error", _REFUSED),
        "opset-too-old": ("error", _REFUSED),
        "no-roi-align": (
            "warning",
            "No RoiAlign was checked. The exporter may have written it in other operators, or this is another model.",
        ),
        # Wrong for every source.
        "zero-batch-indices": ("error", "Every RoI is pooled from the first image: RoIs of other images are wrong."),
        "unread-images": (
            "warning",
            "Every RoI is pooled from the first image; the other images are never read. Pass the image of each RoI as "
            "batch_indices.",
        ),
        "emulated-half-pixel": ("error", _ENLARGED),
        "end-shift-minimum-size": ("error", _ENLARGED),
        "half-pixel-twice": (
            "error",
            "Half a pixel of the feature map is subtracted twice: every sample is read half a pixel too far up and "
            "left.",
        ),
        "spatial-scale-stride": (
            "error",
            "RoIs are pooled from another part of the feature map. Set the scale in the source and export again.",
        ),
        "coarse-coordinates": ("warning", "Coordinates are rounded by up to half of that distance."),
        "max-mode": (
            "warning",
            "ONNX Runtime takes the maximum over the weighted pixels; OpenVINO, TVM and mmcv take it over the "
            "interpolated samples. The results differ. `repair` with the source makes session() compute "
            "the source's maximum.",
        ),
        "sampling-ratio-omitted": (
            "warning",
            "ONNX's default is 0 (adaptive). Some runtimes use another default (OpenVINO 2026.4: 1) and compute other "
            "results.",
        ),
        "no-builtin-kernel": (
            "warning",
            "ONNX Runtime's CPU provider refuses to load the model (NOT_IMPLEMENTED in 1.32). onnx_roialign.session() "
            "runs it; ONNX Runtime's own kernel runs it after convert_opset(model, 21).",
        ),
        # Different from the source.
        "half-pixel-lost": ("error", "Every sample is read half a pixel of the feature map too far down and right."),
        "half-pixel-added": ("error", "Every sample is read half a pixel of the feature map too far up and left."),
        "minimum-size": ("error", "RoIs smaller than 1 x 1 pixel of the feature map are pooled over another area."),
        "start-shift": ("error", "Every RoI begins at another position."),
        "end-shift": ("error", "Every RoI ends at another position."),
        "offset": ("error", "Every sample is moved by the same distance."),
        "adaptive-rule": ("error", "RoIs whose size is not a multiple of the number of bins have other samples."),
        "max-rule": ("error", "The maximum is taken over other values."),
        "max-start": ("error", "The maximum starts from another value, which is also that of a bin without samples."),
        "border": ("info", "A sample exactly at -1 or at H (W) counts in one and not in the other."),
        "empty-bins": ("info", "Bins of RoIs without area have another value (0 or NaN)."),
        # Found by running the model.
        "wrong-answer": ("error", "The outputs of this node and of every node after it are wrong."),
        "wrong-output": ("error", "The model does not compute the expected outputs."),
        "explained": ("info", "With one of these sources, `repair` makes the model compute the expected outputs."),
        "unexplained": ("error", "No source known to `repair` makes the model compute the expected outputs."),
    }
)


def make_finding(code: str, node: str, message: str, *, repairable: bool) -> Finding:
    """Returns a Finding of this kind, with the severity and the effect from `CODES`."""
    severity, effect = CODES[code]
    return Finding(code, severity, node, message, effect, repairable)
