"""The graphs and functions of a model, each with its nodes, its opset and its element types."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import onnx.shape_inference

from onnx_roialign.errors import RoiAlignError
from onnx_roialign.ops.nodes import ONNX_DOMAINS
from onnx_roialign.ops.schema import known_to_onnx
from onnx_roialign.ops.table import op_of

__all__ = [
    "Scope",
    "bodies",
    "default_opset",
    "external_files",
    "function_scopes",
    "graph_scopes",
    "has_external_data",
    "infer",
    "inner_first",
    "name_domain_once",
    "private_types",
    "scopes",
]


@dataclass(frozen=True, slots=True)
class Scope:
    """One graph or function: its nodes, the opset of ONNX's own operators in it, and its declared element types.

    Attributes:
        nodes: the list in the protobuf message; changes to it change the model.
        opset: None if ONNX's own operators are not imported.
        types: element type (TensorProto.DataType) by value name, also of the graphs around it.
        graph: the graph; None for a function.
        outer: the scope around it, whose values can be read in it.
    """

    nodes: Any
    opset: int | None
    types: Mapping[str, int]
    graph: onnx.GraphProto | None = None
    outer: Scope | None = None


def scopes(model: onnx.ModelProto) -> Iterator[Scope]:
    """Yields the model's graph, its functions, and every body of If, Loop and Scan in them."""
    yield from graph_scopes(model)
    yield from function_scopes(model)


def inner_first(model: onnx.ModelProto, typed: onnx.ModelProto) -> list[tuple[Scope, Scope]]:
    """Returns the scopes of a model, each with that of an equal model with more types, bodies before their owners.

    Nodes that are put into a scope are copies: what is written into a body after that is lost.
    """
    return list(reversed(list(zip(scopes(model), scopes(typed), strict=True))))


def graph_scopes(model: onnx.ModelProto) -> Iterator[Scope]:
    """Yields the model's graph and every body in it."""
    yield from _graph_scopes(model.graph, Scope((), default_opset(model.opset_import), {}))


def function_scopes(model: onnx.ModelProto) -> Iterator[Scope]:
    """Yields the model's functions and every body in them."""
    for function in model.functions:
        yield from _with_bodies(Scope(function.node, default_opset(function.opset_import), {}))


def _graph_scopes(graph: onnx.GraphProto, outer: Scope) -> Iterator[Scope]:
    types: ChainMap[str, int] = ChainMap({}, outer.types)  # type: ignore[arg-type]  # only the first is written
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.HasField("tensor_type"):
            types[value.name] = value.type.tensor_type.elem_type
    for tensor in graph.initializer:
        types[tensor.name] = tensor.data_type
    yield from _with_bodies(Scope(graph.node, outer.opset, types, graph, outer))


def _with_bodies(scope: Scope) -> Iterator[Scope]:
    yield scope
    for node in scope.nodes:
        for graph in bodies(node):
            yield from _graph_scopes(graph, scope)


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yields the graphs in a node's attributes: the bodies of If, Loop, Scan or any other operator."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def name_domain_once(model: onnx.ModelProto) -> None:
    """Writes ONNX's own domain as "" in the model and its graph, as runtimes do when they load a model."""
    for named in (*model.opset_import, *model.graph.node):
        if named.domain in ONNX_DOMAINS:
            named.domain = ONNX_DOMAINS[0]


def infer(model: onnx.ModelProto, *, data_prop: bool = False) -> onnx.ModelProto:
    """Returns the model with the types and shapes that ONNX infers, also of private operators; unchanged if that fails.

    Args:
        model: the model.
        data_prop: whether the values of shape tensors are also computed, from which more shapes follow.
    """
    try:
        with known_to_onnx(private_types(model)):
            return onnx.shape_inference.infer_shapes(model, data_prop=data_prop)
    except Exception:  # onnx's exceptions on broken models have no common base
        return model


def private_types(model: onnx.ModelProto) -> set[str]:
    """Returns the types of the private operators in the model."""
    return {node.op_type for scope in scopes(model) for node in scope.nodes if op_of(node)}


def default_opset(imports: Sequence[onnx.OperatorSetIdProto]) -> int | None:
    """Returns the version of ONNX's own operators that a model or a function imports; None if it does not import them.

    Raises:
        RoiAlignError: several versions are imported; ONNX uses the highest, ONNX Runtime the last.
    """
    versions = list(dict.fromkeys(entry.version for entry in imports if entry.domain in ONNX_DOMAINS))
    if len(versions) > 1:
        raise RoiAlignError(
            "opset_import",
            "broken",
            "must have one version of ONNX's own operators (domain '', also written 'ai.onnx'), got "
            f"{' and '.join(str(version) for version in versions)}: ONNX uses the highest, ONNX Runtime the last; "
            "remove all but the one that the model was written for",
        )
    return versions[0] if versions else None


def has_external_data(model: onnx.ModelProto) -> bool:
    """Returns whether an initializer of the model is in another file."""
    return any(next(external_files(scope), None) is not None for scope in scopes(model))


def external_files(scope: Scope) -> Iterator[str]:
    """Yields, for each initializer with external data, the name of its file relative to the model."""
    for tensor in () if scope.graph is None else scope.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
