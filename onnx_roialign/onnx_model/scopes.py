"""The graphs and functions of a model, each a scope of its own: its nodes, the opset they are read at, its types."""

from __future__ import annotations

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
    "name_domain_once",
    "private_types",
    "scopes",
]


@dataclass(frozen=True, slots=True)
class Scope:
    """The nodes of one graph or function, the opset of ONNX's own operators in it, and the element types it declares.

    Attributes:
        nodes: the protobuf's own list: what is changed here changes the model.
        opset: None where ONNX's own operators are not imported.
        types: element type (TensorProto.DataType) by value name, those of the graphs around it too.
        graph: the graph; None for a function.
        outer: the scope around it, whose values can be read in it too.
    """

    nodes: Any
    opset: int | None
    types: Mapping[str, int]
    graph: onnx.GraphProto | None = None
    outer: Scope | None = None


def scopes(model: onnx.ModelProto) -> Iterator[Scope]:
    """The model's graph, its functions, and every body of If, Loop and Scan in them."""
    yield from graph_scopes(model)
    yield from function_scopes(model)


def graph_scopes(model: onnx.ModelProto) -> Iterator[Scope]:
    """The model's graph, and every body in it."""
    yield from _graph_scopes(model.graph, Scope((), default_opset(model.opset_import), {}))


def function_scopes(model: onnx.ModelProto) -> Iterator[Scope]:
    """The model's functions, and every body in them."""
    for function in model.functions:
        yield from _with_bodies(Scope(function.node, default_opset(function.opset_import), {}))


def _graph_scopes(graph: onnx.GraphProto, outer: Scope) -> Iterator[Scope]:
    types = dict(outer.types)
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
    """The graphs inside a node: the bodies of If, Loop and Scan, and those of any operator that takes graphs."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def name_domain_once(model: onnx.ModelProto) -> None:
    """Gives ONNX's own domain its first name in the model and its graph, as runtimes do before they read on."""
    for named in (*model.opset_import, *model.graph.node):
        if named.domain in ONNX_DOMAINS:
            named.domain = ONNX_DOMAINS[0]


def infer(model: onnx.ModelProto, *, data_prop: bool = False) -> onnx.ModelProto:
    """The model with the types and shapes that ONNX infers, behind the private ops too; as it is where that fails.

    Args:
        model: the model.
        data_prop: whether the values of shapes are computed too, which shows more of what depends on them.
    """
    try:
        with known_to_onnx(private_types(model)):
            return onnx.shape_inference.infer_shapes(model, data_prop=data_prop)
    except Exception:  # what a broken model makes onnx raise has no common base
        return model


def private_types(model: onnx.ModelProto) -> set[str]:
    """The types of the private ops that stand in the model."""
    return {node.op_type for scope in scopes(model) for node in scope.nodes if op_of(node)}


def default_opset(imports: Sequence[onnx.OperatorSetIdProto]) -> int | None:
    """The version of ONNX's own operators that a model or a function imports; None where it imports none.

    Raises:
        RoiAlignError: several versions are imported, of which ONNX takes the highest and ONNX Runtime the last.
    """
    versions = list(dict.fromkeys(entry.version for entry in imports if entry.domain in ONNX_DOMAINS))
    if len(versions) > 1:
        raise RoiAlignError(
            "opset_import",
            "broken",
            "must have one version of ONNX's own operators (domain '', also written 'ai.onnx'), got "
            f"{' and '.join(str(version) for version in versions)}: ONNX takes the highest, ONNX Runtime the last; "
            "remove all but the one that the model was written for",
        )
    return versions[0] if versions else None


def has_external_data(model: onnx.ModelProto) -> bool:
    """Whether an initializer of the model lies in another file."""
    return any(next(external_files(scope), None) is not None for scope in scopes(model))


def external_files(scope: Scope) -> Iterator[str]:
    """The file that an initializer of a graph lies in, by its name beside the model, for each that lies in another."""
    for tensor in () if scope.graph is None else scope.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            yield next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
