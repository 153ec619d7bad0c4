"""Writes a model without its functions: their nodes in the place of the calls."""

from __future__ import annotations

from copy import deepcopy

import onnx
import onnx.inliner

__all__ = ["inlined"]


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns a copy of the model with its functions inlined; it imports their domains, which onnx's inliner does not.

    A function at another opset than the model's is left as it is.
    """
    copy = deepcopy(model)
    imported = {entry.domain for entry in copy.opset_import}
    for function in copy.functions:
        for entry in function.opset_import:
            if entry.domain not in imported:
                copy.opset_import.append(entry)
                imported.add(entry.domain)
    return onnx.inliner.inline_local_functions(copy)
