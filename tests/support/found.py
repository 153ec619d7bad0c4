"""Short forms of what validate found."""

from __future__ import annotations

# Codes that need data: tests/graph/test_by_running.py triggers these.
RUN_CODES = {"wrong-answer", "wrong-output", "explained", "unexplained"}


def source_of(name):
    """The framework call of an export, by the export's name."""
    folder, stem = name.split("/")
    if folder == "mindspore_ROIAlign":
        return f"mindspore:roi_end_mode={stem.removesuffix('.onnx')[-1]}"
    framework = folder.partition("_")[0] if folder.startswith(("torchvision", "paddle")) else "torchvision"
    return f"{framework}:aligned={'_aligned_' in stem}"


def codes(findings):
    return [finding.code for finding in findings]


def run_codes(findings):
    return [finding.code for finding in findings if finding.code in RUN_CODES]
