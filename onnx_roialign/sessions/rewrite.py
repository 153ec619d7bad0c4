"""Copies a model with every RoiAlign as a private or Python operator that has all fields as attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper

from onnx_roialign.definition.attributes import PLAIN, Attributes
from onnx_roialign.definition.element_types import FLOATS
from onnx_roialign.definition.semantics import FIELDS, Semantics
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.onnx_model.expanded import expanded
from onnx_roialign.onnx_model.facts import ModelFacts, read_facts
from onnx_roialign.onnx_model.inlined import inlined
from onnx_roialign.onnx_model.operators import can_be_cast, type_name
from onnx_roialign.onnx_model.scopes import Scope, infer, inner_first, scopes
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.nodes import in_node, is_ours, is_private, is_roi_align, node_name, read_attributes
from onnx_roialign.ops.table import ANY_ROI_ALIGN, op_of

__all__ = [
    "DOMAIN",
    "TEXTS",
    "attributes_from_texts",
    "rewrite",
    "with_private_ops",
]

DOMAIN = "onnx_roialign.reference"
# The operator's attributes are JSON texts: onnxruntime-extensions keeps only six digits of a float attribute.
TEXTS = ("session", "node", *PLAIN, *FIELDS)

# Types that Python operators do not support. They are cast to float32 and back, hence computed in float32 and rounded
# once, as the definition requires.
_CAST_TYPES = tuple(element.number for element in FLOATS if element.bits == 16)


def with_private_ops(model: ModelFacts) -> onnx.ModelProto:
    """Returns a copy in which every RoiAlign is the private operator, which no provider of onnxruntime supports.

    The private operator means the same at every opset and with any session options. Nodes keep their names.

    Args:
        model: it is not changed.

    Raises:
        RoiAlignError: an attribute has the wrong type or value; the message names it and the node.
    """
    copy = _copy(model, private_op.DOMAIN, private_op.OPSET_VERSION)
    for scope in scopes(copy):
        for node in scope.nodes:
            if is_roi_align(node) or is_private(node):
                values = private_op.attributes_of(read_attributes(node, scope.opset))
                node.domain, node.op_type = private_op.DOMAIN, private_op.OP_TYPE
                del node.attribute[:]
                node.attribute.extend(helper.make_attribute(name, value) for name, value in values.items())
    return copy


def _copy(model: ModelFacts, domain: str, version: int) -> onnx.ModelProto:
    """A copy that imports the domain; functions with RoiAligns are inlined where onnx can inline them."""
    copy = inlined(model.proto) if model.in_functions else deepcopy(model.proto)
    for owner in (copy, *copy.functions):
        if not any(entry.domain == domain for entry in owner.opset_import):
            owner.opset_import.append(helper.make_opsetid(domain, version))
    return copy


def rewrite(model: ModelFacts, session: str) -> onnx.ModelProto:
    """Rewrites every RoiAlign of the model's graphs and functions, ONNX's and the private ones.

    MultiScaleRoiAlign and PasteMasks are expanded first: a Python op cannot have a variable number of inputs.

    onnx infers the type of X. Where it cannot, behind an operator that onnx does not have, onnxruntime chooses between
    the float32 and the float64 op and refuses a 16-bit X when the session is created.

    Args:
        model: it is not changed.
        session: a text that the nodes pass to the op; it identifies the session.

    Raises:
        RoiAlignError: an attribute has the wrong type or value; the message names it and the node.
    """
    copy = _copy(read_facts(expanded(model.proto)), DOMAIN, 1)
    # onnx infers the rank of a private operator's output even where the inputs are unknown.
    inferred = infer(with_private_ops(read_facts(copy)))
    found = 0
    for scope, typed in inner_first(copy, inferred):
        if scope.graph is not None and typed.graph is not None:
            # A Python op infers no shape, and Scan does not run a body whose outputs have no shape.
            for value, known in zip(scope.graph.output, typed.graph.output, strict=True):
                value.type.CopyFrom(known.type)
        found = _rewrite_nodes(scope, typed, session, found)
    return copy


def _rewrite_nodes(scope: Scope, typed: Scope, session: str, found: int) -> int:
    """Rewrites the RoiAligns of one graph or function; takes and returns the number of rewritten RoiAligns so far."""
    if not any(is_ours(node) for node in scope.nodes):
        return found
    graph = scope.graph or onnx.GraphProto()  # a function does not declare types
    shapes = {value.name: value.type for value in (*typed.graph.value_info, *typed.graph.output)} if typed.graph else {}
    nodes: list[NodeProto] = []
    for node in scope.nodes:
        if is_ours(node):
            attributes = read_attributes(node, scope.opset)
            prefix = f"onnx_roialign.{session}.{found}"
            nodes += _replacement(node, attributes, session, typed.types, scope.opset, prefix)
            found += 1
            if typed.types.get(node.input[0]) and node.output[0] in shapes:
                _describe(graph, nodes[-1], shapes[node.output[0]])
        else:
            nodes.append(node)
    del scope.nodes[:]
    scope.nodes.extend(nodes)
    return found


def _describe(graph: onnx.GraphProto, node: NodeProto, output: onnx.TypeProto) -> None:
    """Writes the shape of a Python op's output: a provider may need the rank of its inputs."""
    if node.op_type == "Cast":
        value = graph.value_info.add(name=node.input[0])
        value.type.CopyFrom(output)
        value.type.tensor_type.elem_type = TensorProto.FLOAT
    elif all(value.name != node.output[0] for value in (*graph.value_info, *graph.output)):
        graph.value_info.add(name=node.output[0]).type.CopyFrom(output)


def _texts(node: NodeProto, attributes: Attributes, session: str) -> dict[str, str]:
    values: dict[str, Any] = {"session": session, "node": node.name}
    values |= attributes.plain()
    values |= {name: getattr(attributes.semantics, name) for name in FIELDS}
    return {name: json.dumps(values[name]) for name in TEXTS}


def attributes_from_texts(texts: Mapping[str, str]) -> Attributes:
    """Returns the attributes that `rewrite` wrote into a node."""
    values = {name: json.loads(text) for name, text in texts.items()}
    semantics = Semantics(**{name: values[name] for name in FIELDS})
    return Attributes(**{name: values[name] for name in PLAIN}, semantics=semantics)


def _element_types(node: NodeProto, types: Mapping[str, int]) -> tuple[int, int]:
    """Returns the types of X (and Y) and of rois; 0 if they are not known."""
    X, rois = (types.get(name, 0) for name in node.input[:2])
    X = X or types.get(node.output[0], 0)
    if is_private(node):
        return X, rois
    if X and rois and rois != X:
        names = (helper.tensor_dtype_to_np_dtype(X), helper.tensor_dtype_to_np_dtype(rois))
        raise RoiAlignError("rois", "type", f"must have X's type {names[0]}, got {names[1]}").in_node(node_name(node))
    return X or rois, X or rois


def _replacement(
    node: NodeProto, attributes: Attributes, session: str, types: Mapping[str, int], opset: int | None, prefix: str
) -> list[NodeProto]:
    inputs, outputs = list(node.input), list(node.output)
    texts = _texts(node, attributes, session)
    op = op_of(node) or ANY_ROI_ALIGN
    in_node(node, op.check_attributes, attributes)
    if op is not ANY_ROI_ALIGN:
        return [helper.make_node(op.name, inputs, outputs, name=node.name, domain=DOMAIN, **texts)]
    X, rois = _element_types(node, types)
    computed = TensorProto.FLOAT if X in _CAST_TYPES else X
    before: list[NodeProto] = []
    after: list[NodeProto] = []
    for i, (name, kind) in enumerate((("X", X), ("rois", rois))):
        if X and kind != computed:
            if kind and opset is not None and not can_be_cast(kind, opset):
                rule = f"must be of a type that opset {opset} can cast on engine 'reference'"
                rule += f", got {type_name(kind)}; engine 'native' accepts it"
                raise RoiAlignError(name, "unsupported", rule).in_node(node_name(node))
            before.append(helper.make_node("Cast", [inputs[i]], [f"{prefix}.{i}"], to=computed))
            inputs[i] = f"{prefix}.{i}"
    if X in _CAST_TYPES:
        after = [helper.make_node("Cast", [f"{prefix}.Y"], outputs, to=X)]
        outputs = [f"{prefix}.Y"]
    pooled = helper.make_node(op.name, inputs, outputs, name=node.name, domain=DOMAIN, **texts)
    return [*before, pooled, *after]
