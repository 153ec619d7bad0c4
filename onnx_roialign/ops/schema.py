"""The private operators' schemas for onnx's registry, with inference of types and shapes."""

from __future__ import annotations

import collections
import contextlib
import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any

import onnx
from onnx import defs

from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.ops.roi_align import DOMAIN, OP_TYPES, OPSET_VERSION
from onnx_roialign.ops.table import OPS_BY_NAME, Attribute, Axis, Dim, Op

__all__ = ["known_to_onnx", "register_schemas", "schema"]


def schema(name: str) -> Any:
    """Creates the schema of a private operator.

    Args:
        name: one of the operator's names.
    """
    op = OPS_BY_NAME[name]
    created = defs.OpSchema(
        name,
        DOMAIN,
        OPSET_VERSION,
        inputs=[_parameter(op, name, kind) for name, kind in op.inputs.items()],
        outputs=[defs.OpSchema.FormalParameter("Y", next(iter(op.types)))],
        type_constraints=[(name, [element.tensor for element in allowed], "") for name, allowed in op.types.items()],
        attributes=[defs.OpSchema.Attribute(name, _kind(kind), required=False) for name, kind in op.attributes],
    )
    created.set_type_and_shape_inference_function(_inference(op))
    return created


def _kind(kind: int) -> Any:
    """Converts AttributeProto's number of an attribute type to the schema's."""
    return getattr(defs.OpSchema.AttrType, onnx.AttributeProto.AttributeType.Name(kind))


def _parameter(op: Op, name: str, kind: str) -> Any:
    option = defs.OpSchema.FormalParameterOption
    if op.variadic and name == op.input_names[-1]:
        return defs.OpSchema.FormalParameter(name, kind, param_option=option.Variadic)
    chosen = option.Optional if name in op.optional else option.Single
    return defs.OpSchema.FormalParameter(name, kind, param_option=chosen)


def _inference(op: Op) -> Callable[[Any], None]:
    """The inference function: Y has the type of the first type parameter and the shape in the operator's row."""
    typed = list(op.inputs.values()).index(next(iter(op.types)))

    def infer(context: Any) -> None:
        Y = onnx.TypeProto()
        Y.tensor_type.elem_type = context.get_input_type(typed).tensor_type.elem_type
        for dim in op.shape:
            Y.tensor_type.shape.dim.add().CopyFrom(_dimension(context, dim))
        context.set_output_type(0, Y)

    return infer


def _dimension(context: Any, dim: Dim) -> onnx.TensorShapeProto.Dimension:
    if isinstance(dim, int):
        return onnx.TensorShapeProto.Dimension(dim_value=dim)
    if isinstance(dim, Axis):
        dims = context.get_input_type(dim.input).tensor_type.shape.dim
        return dims[dim.axis] if len(dims) == dim.rank else onnx.TensorShapeProto.Dimension()
    if isinstance(dim, Attribute):
        size = context.get_attribute(dim.name)
        return onnx.TensorShapeProto.Dimension(dim_value=1 if size is None else size.i)
    data = context.get_input_data(dim.input)
    if data is None:
        return onnx.TensorShapeProto.Dimension()
    return onnx.TensorShapeProto.Dimension(dim_value=int(onnx.numpy_helper.to_array(data).item()))


class _Registration:
    """Registers private schemas with onnx while they have users; onnx has one registry per process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: collections.Counter[str] = collections.Counter()

    def enter(self, names: Collection[str]) -> None:
        if not set(names).isdisjoint(OP_TYPES[1:]):
            # Its import fails once two domains have an operator of the same name; the former name is RoiAlign.
            import onnx.reference  # noqa: F401

        with self._lock:
            for name in names:
                if not self._users[name]:
                    defs.register_schema(schema(name))
                self._users[name] += 1

    def leave(self, names: Collection[str]) -> None:
        with self._lock:
            for name in names:
                self._users[name] -= 1
                if not self._users[name]:
                    defs.deregister_schema(name, OPSET_VERSION, DOMAIN)


_registration = _Registration()


def register_schemas() -> None:
    """Registers the private operators with onnx, permanently for this process.

    From then on onnx.checker checks nodes of the domain ``onnx_roialign``, and onnx.shape_inference and the tools that
    use it (quantizers, float16 converters, simplifiers) infer types and shapes through them. It can be called several
    times, from any thread. It imports onnx.reference, which cannot be imported afterwards.
    """
    _registration.enter(tuple(OPS_BY_NAME))


def _known(names: Collection[str]) -> Iterator[str]:
    try:
        iterator = iter(names)
    except TypeError:
        iterator = iter((names,))  # type: ignore[arg-type]
    for name in iterator:
        if not (isinstance(name, str) and name in OPS_BY_NAME):
            raise RoiAlignError("names", "choice", f"must be of {', '.join(OPS_BY_NAME)}, got {shown(name)}")
        yield name


@contextlib.contextmanager
def known_to_onnx(names: Collection[str] = tuple(OPS_BY_NAME)) -> Iterator[None]:
    """Context manager that registers the private operators with onnx while its block runs; see `register_schemas`.

    Blocks may be nested and run in several threads. A schema is removed when the last block ends, for all threads.

    Args:
        names: the operators to register.

    Raises:
        RoiAlignError: there is no operator of a name.
    """
    known = tuple(_known(names))
    _registration.enter(known)
    try:
        yield
    finally:
        _registration.leave(known)
