"""Runs a session on NumPy arrays of any element type, also of types that onnxruntime's run() does not accept."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime

from onnx_roialign.arrays import Array

__all__ = ["run_session"]


def run_session(
    session: onnxruntime.InferenceSession, feeds: Mapping[str, Array], names: Sequence[str] | None = None
) -> list[Any]:
    """Returns the outputs of a session, as `InferenceSession.run` does.

    onnxruntime does not convert arrays of types that NumPy itself does not have, such as bfloat16: they are passed and
    returned through IoBinding and the memory of an OrtValue.

    Args:
        session: any session.
        feeds: arrays by input name, also of ml_dtypes' types.
        names: the outputs to return; None: all of them.
    """
    wanted = [output.name for output in session.get_outputs()] if names is None else list(names)
    foreign = [output.name for output in session.get_outputs() if _is_foreign_type(output.type)]
    if not any(_is_foreign(array) for array in feeds.values()) and not set(wanted) & set(foreign):
        outputs: list[Any] = session.run(wanted, dict(feeds))
        return outputs
    binding = session.io_binding()
    values = {name: _to_ort(array) for name, array in feeds.items()}  # must live until the run is over
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    for name in wanted:
        binding.bind_output(name)
    session.run_with_iobinding(binding)
    return [_to_numpy(value) for value in binding.get_outputs()]


def _is_foreign(array: Any) -> bool:
    # ml_dtypes registers its types with NumPy under the kind "V", NumPy's kind for all other data.
    return isinstance(array, np.ndarray) and array.dtype.kind == "V"


def _is_foreign_type(name: str) -> bool:
    return name == "tensor(bfloat16)" or name.startswith("tensor(float8")


def _to_ort(array: Array) -> onnxruntime.OrtValue:
    if not _is_foreign(array):
        return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    numbers = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(numbers, kind)


def _to_numpy(value: onnxruntime.OrtValue) -> Any:
    if not value.is_tensor() or not _is_foreign_type(value.data_type()):
        return value.numpy()
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.element_type()))
    shape = tuple(value.shape())
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    copy = ctypes.string_at(value.data_ptr(), size) if size else b""
    return np.frombuffer(copy, dtype).reshape(shape).copy()
