"""What the execution provider refuses by onnxruntime's own rules for RoiAlign, so that tests of both doors say it."""

from __future__ import annotations

import pytest
from quiet import quiet_session

from onnx_roialign import RoiAlignError

# A function is written out at the model's opset.
OTHER_OPSET = r"RoiAlign must be of the model's opset \d+ with door 'provider', got a function of opset \d+; use door="
# RoiAlign has the attribute since opset 16, and bfloat16 since 22.
EARLY_MODE = "coordinate_transformation_mode must be left out below opset 16 with door 'provider', got it at opset 1."
EARLY_BFLOAT16 = (
    r"X must be of a type that RoiAlign has at opset (1?\d|2[01]) with door 'provider', got bfloat16; use door="
)


def assert_provider_refuses(proto, text):
    with pytest.raises(RoiAlignError, match=rf"^{text}.*'custom_op' \(node '\w+'\)$"):
        quiet_session(proto, "provider")
