"""Checks the rules of ONNX on which every later step relies, once.

`defects` finds names, graphs, attributes, tensors and functions that break these rules. `validate` also runs ONNX's
own checker.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import Message  # type: ignore[import-untyped]

from onnx_roialign.errors import ModelError, shown
from onnx_roialign.onnx_model.file import Model, parse
from onnx_roialign.onnx_model.scopes import bodies
from onnx_roialign.onnx_model.tensor_data import sizes
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.nodes import ONNX_DOMAINS, is_ours, node_name, plain_domain
from onnx_roialign.ops.table import OPS_BY_NAME

__all__ = ["Defect", "call_defects", "defects", "require_none", "sound"]

_DEEPEST = 100  # nested messages that protobuf reads: about 33 nested bodies
_INT64 = re.compile("[0-9]{1,18}")  # offsets and lengths in a file
_MOST_NUMBERS = 2**40  # in one declared value; onnxruntime may allocate it when it creates a session
_DEEPEST_CALLS = 100  # the limit of onnx and onnxruntime

# Nodes of a model after its functions are inlined, as runtimes do: a few functions that each call the next one twice
# exceed any memory.
_MOST_NODES = 500_000

_NEWEST_VERSION = 2**31 - 1  # the largest version of a domain that ONNX's functions accept

_MOST_DEFECTS = 10  # reported per model: the first causes most of the others

_Attribute, _Tensor = onnx.AttributeProto, onnx.TensorProto

# The field that holds an attribute's value, by its type; lists may be empty.
_VALUE_FIELDS = {
    _Attribute.FLOAT: "f",
    _Attribute.INT: "i",
    _Attribute.STRING: "s",
    _Attribute.TENSOR: "t",
    _Attribute.GRAPH: "g",
    _Attribute.SPARSE_TENSOR: "sparse_tensor",
    _Attribute.TYPE_PROTO: "tp",
    _Attribute.FLOATS: "floats",
    _Attribute.INTS: "ints",
    _Attribute.STRINGS: "strings",
    _Attribute.TENSORS: "tensors",
    _Attribute.GRAPHS: "graphs",
    _Attribute.SPARSE_TENSORS: "sparse_tensors",
    _Attribute.TYPE_PROTOS: "type_protos",
}
_LISTS = ("floats", "ints", "strings", "tensors", "graphs", "sparse_tensors", "type_protos")
_NO_VALUE = ("name", "type", "doc_string", "ref_attr_name")

_ELEMENT_TYPES = frozenset(_Tensor.DataType.values()) - {_Tensor.UNDEFINED}


@dataclass(frozen=True, slots=True)
class Defect:
    """A rule of ONNX that a model breaks: the message, and the name of the node, empty if it is not about a node."""

    message: str
    node: str = ""


def sound(model: Model) -> onnx.ModelProto:
    """Returns the model as `parse` reads it.

    Raises:
        UnreadableModelError: the model cannot be read.
        ModelError: the model has a defect.
    """
    proto = parse(model)
    require_none(defects(proto))
    return proto


def require_none(found: Iterable[Defect]) -> None:
    """Raises the first defect.

    Raises:
        ModelError: there is a defect.
    """
    for defect in found:
        raise ModelError("", "broken", defect.message, node=defect.node or None)


def defects(model: onnx.ModelProto) -> tuple[Defect, ...]:
    """Returns the first few defects of a model."""
    message = _unwritable(model)  # the other checks visit every body and every name
    if message is not None:
        return (Defect(message),)
    found = itertools.chain(
        _import_defects(model),
        _graph_defects(model.graph, _Names()),
        *map(_function_defects, model.functions),
        call_defects(model),
        _argument_defects(model),
    )
    return tuple(itertools.islice(found, _MOST_DEFECTS))


def _import_defects(model: onnx.ModelProto) -> Iterator[Defect]:
    for entry in itertools.chain(model.opset_import, *(function.opset_import for function in model.functions)):
        if not 0 < entry.version <= _NEWEST_VERSION:
            rule = f"domain {entry.domain!r} must be imported at a version from 1 to {_NEWEST_VERSION}"
            yield Defect(f"{rule}, got {entry.version}")
        elif entry.domain == private_op.DOMAIN and entry.version != private_op.OPSET_VERSION:
            rule = f"domain {private_op.DOMAIN} must be imported at version {private_op.OPSET_VERSION}"
            yield Defect(f"{rule}, got {entry.version}")


def _unwritable(model: onnx.ModelProto) -> str | None:
    """Returns why protobuf cannot write and read the model, which every step in C++ needs; None if it can."""
    pending: list[tuple[Message, int]] = [(model, 1)]
    while pending:
        message, depth = pending.pop()
        if depth > _DEEPEST:
            return f"model must be at most {_DEEPEST} protobuf messages deep, got bodies or types nested deeper"
        for descriptor, value in message.ListFields():
            if descriptor.type == FieldDescriptor.TYPE_MESSAGE:
                inner = (value,) if isinstance(value, Message) else value
                pending.extend((part, depth + 1) for part in inner)
            elif descriptor.type == FieldDescriptor.TYPE_STRING:
                texts = (value,) if isinstance(value, (str, bytes)) else value
                wrong = next((text for text in texts if not isinstance(text, str)), None)
                if wrong is not None:
                    return f"{descriptor.name} must be text in UTF-8, got {wrong!r:.60}"
    return None


# Names.


@dataclass(slots=True)
class _Names:
    """The names of the values that a node can read: of the graph so far, and of the graphs around it."""

    outer: _Names | None = None
    here: set[str] = field(default_factory=set)
    attributes: frozenset[str] | None = None  # of the function; None outside of functions

    @property
    def of_the_model(self) -> bool:
        """Whether it is the model's own graph, not a body or a function."""
        return self.outer is None and self.attributes is None

    def __contains__(self, name: str) -> bool:
        scope: _Names | None = self
        while scope is not None:
            if name in scope.here:
                return True
            scope = scope.outer
        return False


def _graph_defects(graph: onnx.GraphProto, names: _Names) -> Iterator[Defect]:
    """Yields the defects of a graph, which can read the values in `names`, and of its bodies."""
    for value in graph.input:
        yield from _added(value.name, names, "an input")
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield from _type_defects(value)
    initialized = set()
    for tensor in itertools.chain(graph.initializer, (sparse.values for sparse in graph.sparse_initializer)):
        if not tensor.name or tensor.name in initialized:
            yield Defect(f"an initializer must have a name that no other has, got {tensor.name!r}")
        initialized.add(tensor.name)
        names.here.add(tensor.name)  # an input may have an initializer, which is its default
        yield from _tensor_defects(tensor, "")
    for sparse in graph.sparse_initializer:
        yield from _sparse_defects(sparse, "")
    yield from _node_defects(graph.node, names)
    for value in graph.output:
        if value.name not in names.here:
            yield Defect(f"an output of a graph must be computed in it, got {value.name!r}, which nothing computes")


def _function_defects(function: onnx.FunctionProto) -> Iterator[Defect]:
    if any(entry.domain in ONNX_DOMAINS[1:] for entry in function.opset_import):
        yield Defect(f"ONNX's own domain must be '' in bodies and functions, got 'ai.onnx' in {function.name!r}")
    attributes = frozenset((*function.attribute, *(attribute.name for attribute in function.attribute_proto)))
    names = _Names(attributes=attributes)
    for name in function.input:
        yield from _added(name, names, f"an input of the function {function.name!r}")
    for attribute in function.attribute_proto:
        yield from _attribute_defects(attribute, function.name, names)
    for value in function.value_info:
        yield from _type_defects(value)
    yield from _node_defects(function.node, names)
    for name in function.output:
        if name not in names.here:
            yield Defect(f"an output of the function {function.name!r} must be computed in it, got {name!r}")


def _node_defects(nodes: Sequence[onnx.NodeProto], names: _Names) -> Iterator[Defect]:
    later: set[str] | None = None
    for node in nodes:
        where = node_name(node)
        if not node.op_type:
            yield Defect("a node must have an op_type, got none", where)
        if node.domain in ONNX_DOMAINS[1:] and not names.of_the_model:
            yield Defect(f"ONNX's own domain must be '' in bodies and functions, got {node.domain!r}", where)
        if node.domain == private_op.DOMAIN and not is_ours(node):
            names_of_ours = ", ".join(OPS_BY_NAME)
            text = f"an operator of domain {private_op.DOMAIN} must be one of {names_of_ours}, got {node.op_type!r}"
            yield Defect(text, where)
        for name in node.input:
            if name and name not in names:
                if later is None:
                    later = {output for producer in nodes for output in producer.output}
                why = "this or a later node computes" if name in later else "nothing computes"
                yield Defect(f"inputs must be computed before a node reads them, got {name!r}, which {why}", where)
        yield from _attributes_defects(node, where, names)
        for body in bodies(node):
            yield from _graph_defects(body, _Names(names, attributes=names.attributes))
        for name in node.output:
            if name:
                yield from _added(name, names, "an output", where)


def _added(name: str, names: _Names, subject: str, node: str = "") -> Iterator[Defect]:
    """Adds a name to the names that can be read, or yields the defect of the name."""
    if not name or name in names.here:
        yield Defect(f"{subject} must have a name that no other value of its graph has, got {name!r}", node)
    names.here.add(name)


# Attributes, tensors and types.


def _attributes_defects(node: onnx.NodeProto, where: str, names: _Names) -> Iterator[Defect]:
    seen = set()
    for attribute in node.attribute:
        if attribute.name in seen:
            yield Defect(f"a node must have an attribute only once, got {attribute.name!r} twice", where)
        seen.add(attribute.name)
        yield from _attribute_defects(attribute, where, names)


def _attribute_defects(attribute: onnx.AttributeProto, where: str, names: _Names) -> Iterator[Defect]:
    name = attribute.name
    if not name:
        yield Defect("an attribute must have a name, got none", where)
    value_field = _VALUE_FIELDS.get(attribute.type)
    if value_field is None:
        yield Defect(f"attribute {name!r} must have one of ONNX's types, got type {attribute.type}", where)
        return
    given = {descriptor.name for descriptor, _ in attribute.ListFields()}.difference(_NO_VALUE)
    if attribute.ref_attr_name:
        if given:
            yield Defect(f"attribute {name!r} must be a value or a reference to one, got both", where)
        if attribute.ref_attr_name not in (names.attributes or ()):
            text = f"attribute {name!r} must refer to an attribute of its function, got {attribute.ref_attr_name!r}"
            yield Defect(text, where)
    elif given != {value_field} and not (value_field in _LISTS and not given):
        kind = _Attribute.AttributeType.Name(attribute.type)
        got = ", ".join(sorted(given)) or "none"
        yield Defect(f"attribute {name!r} of type {kind} must have its value in {value_field}, got {got}", where)
    for tensor in (*((attribute.t,) if attribute.HasField("t") else ()), *attribute.tensors):
        yield from _tensor_defects(tensor, where)
    single = (attribute.sparse_tensor,) if attribute.HasField("sparse_tensor") else ()
    for sparse in (*single, *attribute.sparse_tensors):
        yield from _tensor_defects(sparse.values, where)
        yield from _sparse_defects(sparse, where)


def _sparse_defects(sparse: onnx.SparseTensorProto, where: str) -> Iterator[Defect]:
    yield from _tensor_defects(sparse.indices, where)
    if min(sparse.dims, default=1) < 1:
        yield Defect(f"a sparse tensor must have dimensions of at least 1, got {_listed(sparse.dims)}", where)


def _tensor_defects(tensor: onnx.TensorProto, where: str) -> Iterator[Defect]:
    name, kind = tensor.name, tensor.data_type
    if kind not in _ELEMENT_TYPES:
        yield Defect(f"tensor {name!r} must have one of ONNX's element types, got type {kind}", where)
        return
    if any(dim < 0 for dim in tensor.dims):
        yield Defect(f"tensor {name!r} must have dimensions of at least 0, got {_listed(tensor.dims)}", where)
        return
    numbers = math.prod(tensor.dims)
    if tensor.data_location == _Tensor.EXTERNAL:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if not entries.get("location"):
            yield Defect(f"tensor {name!r} must have the name of the file with its data, got none", where)
        for key in ("offset", "length"):
            if key in entries and not _INT64.fullmatch(entries[key]):
                yield Defect(
                    f"tensor {name!r} must have data whose {key} is a number, got {shown(entries[key])}", where
                )
        return
    got, wanted = sizes(tensor)
    if got != wanted and got:  # a tensor without any data is a removed weight, which is permitted
        text = f"tensor {name!r} of shape {_listed(tensor.dims)} must have data for {numbers} numbers"
        yield Defect(f"{text}, got {got} {'bytes' if tensor.HasField('raw_data') else 'items'}", where)


def _type_defects(value: onnx.ValueInfoProto) -> Iterator[Defect]:
    pending: list[Any] = [value.type]
    while pending:
        kind = pending.pop()
        which = kind.WhichOneof("value")
        if which in ("sequence_type", "optional_type"):
            if getattr(kind, which).elem_type.WhichOneof("value") is None:
                yield Defect(f"value {value.name!r} must have the type of its elements, got a {which} without one")
            pending.append(getattr(kind, which).elem_type)
        elif which in ("map_type", "opaque_type"):
            yield Defect(f"value {value.name!r} must be of tensors, got a {which}, which onnx-ir does not support")
        elif which in ("tensor_type", "sparse_tensor_type"):
            element = getattr(kind, which).elem_type
            dims = [dim.dim_value for dim in getattr(kind, which).shape.dim]
            numbers = math.prod(dim for dim in dims if dim > 0)
            if numbers > _MOST_NUMBERS:
                yield Defect(f"value {value.name!r} must be at most {_MOST_NUMBERS} numbers, got shape {_listed(dims)}")
            if element not in _ELEMENT_TYPES:
                yield Defect(f"value {value.name!r} must have one of ONNX's element types, got type {element}")


def _listed(dims: Iterable[int]) -> str:
    return f"({', '.join(map(str, dims))})"


# Functions.


def call_defects(model: onnx.ModelProto) -> Iterator[Defect]:
    """Yields functions with equal names, functions that call themselves, and functions that are too large inlined."""
    calls: dict[tuple[str, str, str], list[tuple[str, str, str]]] = {}
    for function in model.functions:
        key = (plain_domain(function.domain), function.name, function.overload)
        if key in calls:
            yield Defect(f"a function must have a name that no other has, got {function.name!r} twice")
        calls[key] = list(_called(function.node))
    sizes: dict[tuple[str, str, str], int] = {}
    depths: dict[tuple[str, str, str], int] = {}
    for key in calls:
        pending, open_calls = [key], set()
        while pending:
            caller = pending[-1]
            if caller in sizes:
                pending.pop()
                continue
            open_calls.add(caller)
            missing = [called for called in calls[caller] if called in calls and called not in sizes]
            if any(called in open_calls for called in missing):
                yield Defect(f"a function must not call itself, got {caller[1]!r}, which does, or calls one that does")
                return
            if missing:
                pending.extend(dict.fromkeys(missing))
            else:
                sizes[caller] = sum(sizes.get(called, 1) for called in calls[caller])
                depths[caller] = 1 + max((depths.get(called, 0) for called in calls[caller]), default=0)
                open_calls.discard(pending.pop())
    if max(depths.values(), default=0) > _DEEPEST_CALLS:
        yield Defect(f"functions must call each other at most {_DEEPEST_CALLS} deep, got {max(depths.values())}")
    total = sum(sizes.get(called, 1) for called in _called(model.graph.node))
    if calls and total > _MOST_NODES:
        yield Defect(f"functions must be at most {_MOST_NODES} nodes when they are inlined, got more")


def _argument_defects(model: onnx.ModelProto) -> Iterator[Defect]:
    """Yields calls without an optional input that a RoiAlign in the function needs."""
    needed = {}
    for function in model.functions:
        read = {name for node in function.node if is_ours(node) for name in node.input}
        key = plain_domain(function.domain), function.name, function.overload
        needed[key] = [(place, name) for place, name in enumerate(function.input) if name in read]
    pending = [model.graph.node, *(function.node for function in model.functions)] if model.functions else []
    while pending:
        for node in pending.pop():
            pending.extend(body.node for body in bodies(node))
            for place, name in needed.get((plain_domain(node.domain), node.op_type, node.overload), ()):
                if place >= len(node.input) or not node.input[place]:
                    text = f"a call of {node.op_type!r} must pass {name!r}, which a RoiAlign in it reads, got none"
                    yield Defect(text, node_name(node))


def _called(nodes: Iterable[onnx.NodeProto]) -> Iterator[tuple[str, str, str]]:
    """Yields the functions that the nodes call, also in bodies."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        yield plain_domain(node.domain), node.op_type, node.overload
        pending.extend(inner for body in bodies(node) for inner in body.node)
