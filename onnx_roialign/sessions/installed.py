"""Tests which opsets and kernels the installed onnxruntime supports, because releases differ."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence

import onnx
import onnxruntime
from onnx import TensorProto, helper

from onnx_roialign.errors import NativeLibraryError, RoiAlignError
from onnx_roialign.sessions.silent import silent_options

__all__ = ["has_builtin_kernel", "loads_opset", "opset_explained"]

_IR_VERSION = 8  # every supported onnxruntime reads it


@functools.cache
def has_builtin_kernel(opset: int) -> bool:
    """Returns whether onnxruntime's CPU provider has a kernel for ONNX's RoiAlign (float32) at this opset."""
    inputs = [
        helper.make_tensor_value_info("X", TensorProto.FLOAT, [1, 1, 2, 2]),
        helper.make_tensor_value_info("rois", TensorProto.FLOAT, [1, 4]),
        helper.make_tensor_value_info("batch_indices", TensorProto.INT64, [1]),
    ]
    return _loads("RoiAlign", inputs, [1, 1, 1, 1], opset)


@functools.cache
def loads_opset(opset: int) -> bool:
    """Returns whether onnxruntime supports this opset of ONNX's own operators."""
    return _loads("Identity", [helper.make_tensor_value_info("X", TensorProto.FLOAT, [1])], [1], opset)


@contextlib.contextmanager
def opset_explained(read_opset: Callable[[], int | None]) -> Iterator[None]:
    """Context manager for creating a session: names the cause if onnxruntime is too old for the model's opset.

    Args:
        read_opset: reads the opset from the model; called only if onnxruntime refuses the model.

    Raises:
        RoiAlignError: onnxruntime refused the model and does not support its opset.
    """
    try:
        yield
    except (RoiAlignError, NativeLibraryError):
        raise
    except Exception as error:  # onnxruntime's exceptions have no common base
        opset = read_opset()
        if opset is None or loads_opset(opset):
            raise
        newest = next(known for known in range(min(opset, onnx.defs.onnx_opset_version()), 0, -1) if loads_opset(known))
        raise RoiAlignError(
            "model",
            "unsupported",
            f"must be of opset {newest} at most for onnxruntime {onnxruntime.__version__}, got opset {opset}: "
            f"upgrade onnxruntime, or convert the model (onnx_roialign.graph.convert_opset(model, {newest}))",
        ) from error


def _loads(op_type: str, inputs: Sequence[onnx.ValueInfoProto], shape: Sequence[int], opset: int) -> bool:
    node = helper.make_node(op_type, [value.name for value in inputs], ["Y"])
    output = helper.make_tensor_value_info("Y", TensorProto.FLOAT, shape)
    graph = helper.make_graph([node], "probe", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=_IR_VERSION)
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), silent_options(), ["CPUExecutionProvider"])
    except Exception:  # any exception means that it has no such kernel
        return False
    return True
