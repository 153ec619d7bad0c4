"""The private ops as onnx sees them: schemas, and types and shapes to infer with."""

from __future__ import annotations

import collections
import contextlib
import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any

import onnx
from onnx import defs

from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.roi_align import DOMAIN, OPSET_VERSION
from onnx_roialign.ops.table import OP_TYPES, Attribute, Axis, Dim, Input, Op, op_of

__all__ = ["known_to_onnx", "register_schemas", "schema"]

_KINDS: tuple[tuple[int, Any], ...] = (
    (onnx.AttributeProto.INT, defs.OpSchema.AttrType.INT),
    (onnx.AttributeProto.FLOAT, defs.OpSchema.AttrType.FLOAT),
    (onnx.AttributeProto.STRING, defs.OpSchema.AttrType.STRING),
    (onnx.AttributeProto.FLOATS, defs.OpSchema.AttrType.FLOATS),
)


def schema(name: str = private_op.OP_TYPE) -> Any:
    """The schema of a private op, by one of its names."""
    op = op_of(DOMAIN, name)
    assert op is not None
    kinds = dict(_KINDS)
    groups = {given.group: [_tensor(one) for one in given.types] for given in op.inputs if given.group}
    made = defs.OpSchema(
        name,
        DOMAIN,
        OPSET_VERSION,
        inputs=[_parameter(given) for given in op.inputs],
        outputs=[defs.OpSchema.FormalParameter("Y", op.output)],
        type_constraints=[(group, types, "") for group, types in sorted(groups.items())],
        attributes=[defs.OpSchema.Attribute(one, kinds[kind], required=False) for one, kind in op.attributes],
    )
    made.set_type_and_shape_inference_function(_inference(op))
    return made


def _tensor(type_name: str) -> str:
    return f"tensor({ {'float32': 'float', 'float64': 'double'}.get(type_name, type_name) })"


def _parameter(given: Input) -> Any:
    option = defs.OpSchema.FormalParameterOption
    kind = option.Variadic if given.variadic else option.Optional if given.optional else option.Single
    return defs.OpSchema.FormalParameter(given.name, given.group or _tensor(given.types[0]), param_option=kind)


def _inference(op: Op) -> Callable[[Any], None]:
    """Y has the type of its group, and the shape that the op's row tells."""
    typed = next(i for i, given in enumerate(op.inputs) if given.group == op.output)

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
    """The private schemas in onnx's registry, which is one for the process: each there while somebody needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: collections.Counter[str] = collections.Counter()

    def enter(self, names: Collection[str]) -> None:
        if not set(names).isdisjoint(private_op.OP_TYPES[1:]):
            # cannot be imported once two domains share an operator's name, and the older one is ONNX's
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
    """Makes the private ops known to onnx in this process, for good.

    onnx's registry is one for the process: from then on onnx.checker checks nodes of the domain ``onnx_roialign``, and
    onnx.shape_inference, and the tools that use it (quantizers, float16 converters, simplifiers), see through them.
    May be called several times, from any thread. It imports onnx.reference, which could not be imported afterwards.
    """
    _registration.enter(OP_TYPES)


@contextlib.contextmanager
def known_to_onnx(names: Collection[str] = OP_TYPES) -> Iterator[None]:
    """Makes the private ops known to onnx while the block runs, as `register_schemas` does for good.

    Blocks may lie in each other and run in several threads: a schema goes when the last one ends, and with it what
    another thread without a block of its own saw of it.

    Args:
        names: which of them; all unless told otherwise.
    """
    _registration.enter(names)
    try:
        yield
    finally:
        _registration.leave(names)
