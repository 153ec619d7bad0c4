"""The private ops as onnx sees them: schemas, and types and shapes to infer with."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import onnx
from onnx import defs

from onnx_roialign.private_op import ATTRIBUTE_TYPES, DOMAIN, OP_TYPE, OP_TYPES, OPSET_VERSION, QLINEAR_OP_TYPE

__all__ = ["known_to_onnx", "qlinear_schema", "schema"]

_FLOATS = ["tensor(float)", "tensor(double)", "tensor(float16)", "tensor(bfloat16)"]
_QUANTIZED = ["tensor(uint8)", "tensor(int8)"]
_ATTRIBUTE_KINDS: tuple[tuple[int, Any], ...] = (
    (onnx.AttributeProto.INT, defs.OpSchema.AttrType.INT),
    (onnx.AttributeProto.FLOAT, defs.OpSchema.AttrType.FLOAT),
    (onnx.AttributeProto.STRING, defs.OpSchema.AttrType.STRING),
)

_lock = threading.Lock()


def schema(name: str = OP_TYPE) -> Any:
    """The schema of onnx_roialign::AnyRoiAlign, by one of its names."""
    inputs = (("X", "T1"), ("rois", "T2"), ("batch_indices", "tensor(int64)"))
    return _schema(name, inputs, (("T1", _FLOATS), ("T2", _FLOATS)), rois_input=1)


def qlinear_schema() -> Any:
    """The schema of onnx_roialign::QLinearRoiAlign."""
    inputs = (
        ("X", "T1"),
        ("x_scale", "tensor(float)"),
        ("x_zero_point", "T1"),
        ("rois", "tensor(float)"),
        ("batch_indices", "tensor(int64)"),
    )
    return _schema(QLINEAR_OP_TYPE, inputs, (("T1", _QUANTIZED),), rois_input=3)


def _schema(
    name: str, inputs: tuple[tuple[str, str], ...], types: tuple[tuple[str, list[str]], ...], rois_input: int
) -> Any:
    kinds = dict(_ATTRIBUTE_KINDS)
    made = defs.OpSchema(
        name,
        DOMAIN,
        OPSET_VERSION,
        inputs=[defs.OpSchema.FormalParameter(*parameter) for parameter in inputs],
        outputs=[defs.OpSchema.FormalParameter("Y", "T1")],
        type_constraints=[(name, list(allowed), "") for name, allowed in types],
        attributes=[defs.OpSchema.Attribute(name, kinds[kind], required=False) for name, kind in ATTRIBUTE_TYPES],
    )
    made.set_type_and_shape_inference_function(_inference(rois_input))
    return made


def _inference(rois_input: int) -> Callable[[Any], None]:
    """Y has X's type and the shape (num_rois, C, output_height, output_width)."""

    def infer(context: Any) -> None:
        X, rois = (context.get_input_type(i).tensor_type for i in (0, rois_input))
        Y = onnx.TypeProto()
        Y.tensor_type.elem_type = X.elem_type
        dims = Y.tensor_type.shape.dim
        for source, rank, axis in ((rois, 2, 0), (X, 4, 1)):
            known = len(source.shape.dim) == rank
            dims.add().CopyFrom(source.shape.dim[axis] if known else onnx.TensorShapeProto.Dimension())
        for name in ("output_height", "output_width"):
            size = context.get_attribute(name)
            dims.add().dim_value = 1 if size is None else size.i
        context.set_output_type(0, Y)

    return infer


@contextlib.contextmanager
def known_to_onnx() -> Iterator[None]:
    """Lets onnx.checker and onnx.shape_inference know the private ops for a while.

    Not for good: onnx.reference cannot be imported while two domains share an operator's name.
    """
    with _lock:
        registered = []
        try:
            for made in (*map(schema, OP_TYPES), qlinear_schema()):
                if not defs.has(made.name, made.domain):
                    defs.register_schema(made)
                    registered.append(made)
            yield
        finally:
            for made in registered:
                defs.deregister_schema(made.name, made.since_version, made.domain)
