"""Element types and shapes of a model's values, from ONNX's shape inference."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
import onnx_ir as ir

from onnx_roialign.onnx_model.operators import tensor_of, type_text
from onnx_roialign.onnx_model.scopes import bodies, infer, name_domain_once
from onnx_roialign.onnx_model.tensor_data import without_weights

__all__ = ["Known", "Shape", "every_node", "graphs", "infer_known", "inferable"]

Shape = tuple[int | str, ...]

_COMPOUND = ("sequence_type", "optional_type")

# Shape inference takes time for each element of a shape tensor, so longer dimensions are passed to it as unknown.
_LONGEST = 65536


class Known:
    """Element types (TensorProto.DataType) and shapes of values; those of values in functions are unknown.

    A dimension without a number has its name, which may be empty. Passes record the types of the values that they
    create, so that types are inferred once for any number of passes.
    """

    def __init__(self) -> None:
        self._types: dict[ir.Value, int] = {}
        self._shapes: dict[ir.Value, Shape] = {}
        self._compound: dict[ir.Value, onnx.TypeProto] = {}

    @property
    def kinds(self) -> frozenset[int]:
        """Returns the element types of the model's values."""
        return frozenset(self._types.values())

    def type(self, value: ir.Value | None) -> int:
        """Returns the element type of a value; 0 if it is unknown."""
        return 0 if value is None else self._types.get(value, 0)

    def shape(self, value: ir.Value | None) -> Shape | None:
        """Returns the shape of a value; None if its rank is unknown."""
        return None if value is None else self._shapes.get(value)

    def record(self, value: ir.Value, kind: int, shape: Shape | None) -> None:
        """Records the element type and the known shape of a value that a pass creates."""
        self._types[value] = kind
        if shape is not None:
            self._shapes[value] = shape

    def replace(self, value: ir.Value, new: ir.Value) -> None:
        """Records that a new value has the type and shape of another."""
        tables: tuple[dict[ir.Value, Any], ...] = (self._types, self._shapes, self._compound)
        for table in tables:
            if value in table:
                table[new] = table[value]

    def compound(self, value: ir.Value | None) -> onnx.TypeProto | None:
        """Returns the type of a sequence or an optional; None for a tensor or an unknown type."""
        return None if value is None else self._compound.get(value)

    def text(self, value: ir.Value | None) -> str:
        """Returns the type of a value as schemas write it, such as tensor(float); empty if it is unknown."""
        kind, compound = self.type(value), self.compound(value)
        return tensor_of(kind) if kind else type_text(compound) if compound is not None else ""


def infer_known(model: onnx.ModelProto, graph: ir.Model) -> Known:
    """Infers types and shapes in the model's graph and its bodies; if inference fails, returns the declared ones.

    Args:
        model: the model.
        graph: the same model in onnx-ir; its values are the keys.
    """
    inferred = infer(inferable(model), data_prop=True)
    found = Known()
    scopes = zip(_protos(inferred.graph), _protos(model.graph), _scopes(graph.graph), strict=True)
    for proto, original, scope in scopes:
        here_types, here_shapes = _declared(proto)
        compound = {value.name: value.type for value in _values(proto) if value.type.WhichOneof("value") in _COMPOUND}
        here_shapes |= {name: shape for name, shape in _declared(original)[1].items() if _is_long(shape)}
        values = (*scope.inputs, *scope.initializers.values(), *(value for node in scope for value in node.outputs))
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
    """Returns the bodies of a node: of If, Loop, Scan or any other operator with graphs as attributes."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return found


def every_node(owner: ir.Graph | ir.Function) -> Iterator[ir.Node]:
    """Yields the nodes of a graph or function, each before those of its bodies.

    A third of the time of onnx-ir's own iterator, which keeps records for its callbacks.
    """
    for node in owner:
        yield node
        if node.attributes:
            for body in graphs(node):
                yield from every_node(body)


def _scopes(graph: ir.Graph) -> Iterator[ir.Graph]:
    """Yields the graph and its bodies, outer before inner, in the order of `_protos`."""
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
    """Returns a copy for shape inference, without weights and without very long dimensions."""
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
    """Returns the types and shapes that a graph declares, by name."""
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
