"""Element types and shapes of a model's values, as far as ONNX's shape inference finds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
import onnx_ir as ir

from onnx_roialign.onnx_model.operators import tensor_of, type_text
from onnx_roialign.onnx_model.scopes import bodies, infer, name_domain_once
from onnx_roialign.onnx_model.tensor_data import without_weights

__all__ = ["Known", "Shape", "graphs", "infer_known", "inferable"]

Shape = tuple[int | str, ...]

_COMPOUND = ("sequence_type", "optional_type")

# Longer dimensions are open to shape inference, which goes through the values of a shape one by one.
_LONGEST = 65536


class Known:
    """Element types (TensorProto.DataType) and shapes; of a function's values, nothing is known.

    A dimension that is open has its name (maybe empty) in the place of a number. Passes tell what they know of the
    values that they make, so that a model's types are inferred once, however many passes follow.
    """

    def __init__(self) -> None:
        self._types: dict[ir.Value, int] = {}
        self._shapes: dict[ir.Value, Shape] = {}
        self._compound: dict[ir.Value, onnx.TypeProto] = {}

    @property
    def kinds(self) -> frozenset[int]:
        """The element types that values of the model have."""
        return frozenset(self._types.values())

    def type(self, value: ir.Value | None) -> int:
        """The element type of a value, 0 where it is not known."""
        return 0 if value is None else self._types.get(value, 0)

    def shape(self, value: ir.Value | None) -> Shape | None:
        """The shape of a value; None where not even its rank is known."""
        return None if value is None else self._shapes.get(value)

    def tell(self, value: ir.Value, kind: int, shape: Shape | None) -> None:
        """Takes note of a value that a pass has made: its element type, and its shape where that is known."""
        self._types[value] = kind
        if shape is not None:
            self._shapes[value] = shape

    def replace(self, value: ir.Value, new: ir.Value) -> None:
        """Takes note of a new value that is what the other one was."""
        tables: tuple[dict[ir.Value, Any], ...] = (self._types, self._shapes, self._compound)
        for table in tables:
            if value in table:
                table[new] = table[value]

    def compound(self, value: ir.Value | None) -> onnx.TypeProto | None:
        """The type of a sequence or an optional; None for a tensor, and where it is not known."""
        return None if value is None else self._compound.get(value)

    def text(self, value: ir.Value | None) -> str:
        """The type of a value as schemas write it, such as tensor(float); empty where it is not known."""
        kind, compound = self.type(value), self.compound(value)
        return tensor_of(kind) if kind else type_text(compound) if compound is not None else ""


def infer_known(model: onnx.ModelProto, graph: ir.Model) -> Known:
    """Infers types and shapes in the model's graph and the bodies in it; where inference fails, what it declares.

    Args:
        model: the model.
        graph: the same model in onnx-ir, whose values are asked for.
    """
    inferred = infer(inferable(model), data_prop=True)
    found = Known()
    scopes = zip(_protos(inferred.graph), _protos(model.graph), _scopes(graph.graph), strict=True)
    for proto, original, scope in scopes:
        here_types, here_shapes = _declared(proto)
        compound = {value.name: value.type for value in _values(proto) if value.type.WhichOneof("value") in _COMPOUND}
        here_shapes |= {name: shape for name, shape in _declared(original)[1].items() if _is_long(shape)}
        values = (*scope.inputs, *scope.initializers.values(), *(one for node in scope for one in node.outputs))
        for value in values:
            name = value.name or ""
            if name in here_types:
                found._types[value] = here_types[name]
            if name in here_shapes:
                found._shapes[value] = here_shapes[name]
            if name in compound:
                found._compound[value] = compound[name]
    return found


def graphs(node: ir.Node) -> list[ir.Graph]:
    """The bodies of a node of If, Loop or Scan, or of any operator that has some."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return found


def _scopes(graph: ir.Graph) -> Iterator[ir.Graph]:
    """The graph and the bodies in it, outer before inner, in the order of `_protos`."""
    yield graph
    for node in graph:
        for body in graphs(node):
            yield from _scopes(body)


def _protos(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for body in bodies(node):
            yield from _protos(body)


def inferable(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy for shape inference: small, and without what it would take long over."""
    light = without_weights(model)
    for scope in _protos(light.graph):
        for value in (*scope.input, *scope.output, *scope.value_info):
            for dim in value.type.tensor_type.shape.dim if value.type.HasField("tensor_type") else ():
                if dim.dim_value > _LONGEST:
                    dim.Clear()
    name_domain_once(light)
    return light


def _is_long(shape: Shape) -> bool:
    return any(isinstance(dim, int) and dim > _LONGEST for dim in shape)


def _values(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    yield from graph.input
    yield from graph.value_info
    yield from graph.output


def _declared(graph: onnx.GraphProto) -> tuple[dict[str, int], dict[str, Shape]]:
    """Types and shapes by name, of this graph alone."""
    types: dict[str, int] = {}
    shapes: dict[str, Shape] = {}
    for value in _values(graph):
        tensor = value.type.tensor_type
        if value.type.HasField("tensor_type") and tensor.elem_type:
            types[value.name] = tensor.elem_type
        if tensor.HasField("shape"):
            shapes[value.name] = tuple(
                dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else dim.dim_param
                for dim in tensor.shape.dim
            )
    for initializer in graph.initializer:
        types[initializer.name], shapes[initializer.name] = initializer.data_type, tuple(initializer.dims)
    return types, shapes
