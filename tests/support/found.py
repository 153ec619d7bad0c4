"""What validate found, in short."""

from __future__ import annotations

# What only data shows: tests/graph/test_by_running.py triggers these.
RUN_CODES = {"wrong-answer", "wrong-output", "explained", "unexplained"}


def source_of(name):
    """The framework call that an export's name says it came from."""
    folder, stem = name.split("/")
    if folder == "mindspore_ROIAlign":
        return f"mindspore:roi_end_mode={stem.removesuffix('.onnx')[-1]}"
    framework = folder.partition("_")[0] if folder.startswith(("torchvision", "paddle")) else "torchvision"
    return f"{framework}:aligned={'_aligned_' in stem}"


def codes(findings):
    return [finding.code for finding in findings]


def run_codes(findings):
    return [finding.code for finding in findings if finding.code in RUN_CODES]
