"""Triton's config.pbtxt for a model: types and dimensions of inputs and outputs, the batch, the library."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import MappingProxyType

from google.protobuf.text_encoding import CEscape  # type: ignore[import-untyped]

from onnx_roialign.errors import ModelError
from onnx_roialign.serving.load_apart import Tensor

__all__ = ["check_tensors", "config_text", "why_no_batch"]

# onnxruntime's types that Triton's ONNX Runtime backend has: OnnxDataTypeToModelConfigDataType in onnxruntime_utils.cc.
_TYPES = MappingProxyType(
    {
        "tensor(float)": "TYPE_FP32",
        "tensor(double)": "TYPE_FP64",
        "tensor(float16)": "TYPE_FP16",
        "tensor(string)": "TYPE_STRING",
        "tensor(bool)": "TYPE_BOOL",
        **{
            f"tensor({sign}int{bits})": f"TYPE_{sign.upper()}INT{bits}"
            for sign in ("", "u")
            for bits in (8, 16, 32, 64)
        },
    }
)


def check_tensors(tensors: Sequence[Tensor], scalars: Sequence[str]) -> None:
    """Refuses what Triton cannot pass on.

    Args:
        tensors: inputs or outputs.
        scalars: names of those without dimensions whose model says so; for Triton, an unknown shape is a scalar too.

    Raises:
        ModelError: an input or output is no tensor, or has another type, no known shape or a dimension of size 0.
    """
    for name, kind, shape in tensors:
        if not kind.startswith("tensor("):
            raise ModelError(name, "unsupported", f"must be a tensor for Triton, got {kind}")
        if kind not in _TYPES:
            rule = f"must be of a type that Triton's ONNX Runtime backend has, got {kind}; cast it in the model"
            raise ModelError(name, "unsupported", rule)
        if not shape and name not in scalars:
            rule = "must have a known number of dimensions for Triton, got none; declare its shape in the model"
            raise ModelError(name, "missing", rule)
        if 0 in shape:
            raise ModelError(name, "shape", f"must have no dimension of size 0 for Triton, got shape {shape}")


def why_no_batch(inputs: Sequence[Tensor], outputs: Sequence[Tensor], per_roi: Collection[str]) -> str | None:
    """Returns why the first dimensions of inputs and outputs are not one batch; None if they are.

    They are if all have the same name, or are one unknown dimension for onnxruntime, which names these, and if that is
    not a number of RoIs, which a limit on the requests of a batch would limit.

    Args:
        inputs: of the model.
        outputs: of the model.
        per_roi: names of the values that RoiAligns read as rois or batch_indices.
    """
    first = inputs[0]
    for tensor in (*inputs, *outputs):
        size = tensor.shape[0] if tensor.shape else None
        if not isinstance(size, str):
            state = "is a scalar" if not tensor.shape else f"begins with {size or 'a dimension without a name'}"
            return f"{tensor.name} {state}"
        if size != first.shape[0]:
            return f"{first.name} begins with {first.shape[0]!r} and {tensor.name} with {size!r}"
    if all(tensor.name in per_roi for tensor in inputs):
        return f"{first.name} begins with {first.shape[0]!r}, the number of RoIs"
    return None


def config_text(
    name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], library: str, max_batch_size: int
) -> str:
    """Returns the text of config.pbtxt.

    The instances run on the CPU, for which the library is. Triton compares the dimensions of outputs with onnxruntime's
    exactly; those of a batch do not have its dimension.

    Args:
        name: of the model.
        inputs: checked tensors.
        outputs: checked tensors.
        library: path of the compiled library as the server sees it.
        max_batch_size: 0: requests are not joined.
    """
    batched = max_batch_size > 0
    lines = [
        f"name: {_quoted(name)}",
        'backend: "onnxruntime"',
        f"max_batch_size: {max_batch_size}",
        *(f"input {_tensor(tensor, batched)}" for tensor in inputs),
        *(f"output {_tensor(tensor, batched)}" for tensor in outputs),
        "instance_group { kind: KIND_CPU count: 1 }",
        *(["dynamic_batching { }"] if batched else []),
        f"model_operations {{ op_library_filename: {_quoted(library)} }}",
    ]
    return "\n".join(lines) + "\n"


def _tensor(tensor: Tensor, batched: bool) -> str:
    sizes = [size if isinstance(size, int) else -1 for size in tensor.shape[int(batched) :]]
    dims = ", ".join(map(str, sizes or [1]))  # a config has at least one dimension
    reshape = " reshape { shape: [ ] }" if batched and not sizes else ""
    return f"{{ name: {_quoted(tensor.name)} data_type: {_TYPES[tensor.type]} dims: [ {dims} ]{reshape} }}"


def _quoted(text: str) -> str:
    return f'"{CEscape(text, as_utf8=True)}"'
