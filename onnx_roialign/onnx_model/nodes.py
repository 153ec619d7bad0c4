"""What a session needs to know of a model: its RoiAlign nodes, in every graph and function, and what they mean."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import onnx.shape_inference

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, from_onnx
from onnx_roialign.errors import RoiAlignError, UnreadableModelError
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.schema import known_to_onnx

__all__ = [
    "ONNX_DOMAINS",
    "Model",
    "OpsetConflictError",
    "Scope",
    "bodies",
    "default_opset",
    "external_data_size",
    "format_of",
    "function_scopes",
    "has_external_data",
    "infer",
    "is_explicit",
    "is_ours",
    "is_private",
    "is_quantized",
    "is_roi_align",
    "name_domain_once",
    "parse",
    "private_types",
    "read_attributes",
    "scopes",
    "session_opset",
    "to_bytes",
]

Model = str | os.PathLike[str] | bytes | onnx.ModelProto

# A protobuf message, and so a ModelProto with its data inside, ends here.
PROTOBUF_LIMIT = 2**31 - 1

# The domain of ONNX's own operators has two names.
ONNX_DOMAINS = ("", "ai.onnx")

# A flatbuffer of ONNX Runtime: these are its bytes 4 to 7.
_ORT_FORMAT = b"ORTM"

_LONGEST_REASON = 200  # what a text parser says may quote the whole file

_KINDS: tuple[tuple[int, str], ...] = (
    (onnx.AttributeProto.INT, "an integer"),
    (onnx.AttributeProto.FLOAT, "a float"),
    (onnx.AttributeProto.STRING, "a string"),
    (onnx.AttributeProto.INTS, "a list of integers"),
    (onnx.AttributeProto.FLOATS, "a list of floats"),
)
_ATTRIBUTES: tuple[tuple[str, int], ...] = (
    ("output_height", onnx.AttributeProto.INT),
    ("output_width", onnx.AttributeProto.INT),
    ("sampling_ratio", onnx.AttributeProto.INT),
    ("spatial_scale", onnx.AttributeProto.FLOAT),
    ("mode", onnx.AttributeProto.STRING),
    ("coordinate_transformation_mode", onnx.AttributeProto.STRING),
)


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


def parse(model: Model) -> onnx.ModelProto:
    """Reads a model without its external data, which may be larger than memory.

    Args:
        model: path, bytes or ModelProto. A path may end in one of the endings that onnx has for its text formats
            (.onnxtxt, .textproto, .json ...).

    Raises:
        UnreadableModelError: no such file, or nothing that holds a model with a graph.
        RoiAlignError: an argument of another type.
    """
    if isinstance(model, onnx.ModelProto):
        return _with_graph(model, "a ModelProto")
    if isinstance(model, bytes):
        return _with_graph(_decoded(model, f"{len(model)} bytes"), f"{len(model)} bytes")
    path = os.fspath(model) if isinstance(model, (str, os.PathLike)) else None
    if not isinstance(path, str):
        raise RoiAlignError(f"model must be a path, bytes or a ModelProto, got {type(model).__name__}")
    if not os.path.isfile(path):
        what = "is a folder" if os.path.isdir(path) else "is no file" if os.path.exists(path) else "does not exist"
        raise UnreadableModelError(f"model must be a file, got {path!r}, which {what}")
    try:
        if os.path.getsize(path) > PROTOBUF_LIMIT:
            raise UnreadableModelError(
                f"model must be a file of less than 2 GB, its weights in files beside it, got {path!r} of "
                f"{os.path.getsize(path)} bytes"
            )
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UnreadableModelError(f"model must be a file to read, got {path!r} ({error.strerror})") from error
    return _with_graph(_decoded(data, repr(path), format_of(path)), repr(path))


def format_of(path: str) -> str:
    """The format that onnx reads and writes at a path, by its ending: "protobuf" where it knows none."""
    return onnx.serialization.registry.get_format_from_file_extension(os.path.splitext(path)[1]) or "protobuf"


def _decoded(data: bytes, what: str, text_format: str = "protobuf") -> onnx.ModelProto:
    if data[4:8] == _ORT_FORMAT:
        raise UnreadableModelError(
            f"model must be an ONNX model, got {what} in ORT format, which only ONNX Runtime reads; use the ONNX model "
            "that it was converted from, made explicit before it is converted: onnx-roialign make-explicit MODEL -o OUT"
        )
    try:
        return onnx.load_model_from_string(data, text_format)
    except Exception as error:  # protobuf, its JSON and text formats and onnx's parser share no base below Exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableModelError(
            f"model must be an ONNX model, got {what} that do{'' if what.endswith('bytes') else 'es'} not parse "
            f"({reason[:_LONGEST_REASON]})"
        ) from error


def _with_graph(model: onnx.ModelProto, what: str) -> onnx.ModelProto:
    if not model.HasField("graph"):
        raise UnreadableModelError(f"model must be an ONNX model, got {what} without a graph")
    return model


def to_bytes(model: onnx.ModelProto) -> bytes:
    """The model as onnxruntime takes it.

    Raises:
        RoiAlignError: it is larger than protobuf can write.
    """
    size = model.ByteSize()
    if size > PROTOBUF_LIMIT:
        raise RoiAlignError(
            f"model must be a path where it is over 2 GB, got a ModelProto of {size} bytes; "
            "save it with onnx.save_model(..., save_as_external_data=True) and pass the path"
        )
    return bytes(model.SerializeToString())


def is_roi_align(node: onnx.NodeProto) -> bool:
    """Whether the node is ONNX's RoiAlign."""
    return node.op_type == "RoiAlign" and node.domain in ONNX_DOMAINS


def is_private(node: onnx.NodeProto) -> bool:
    """Whether the node is onnx_roialign::AnyRoiAlign."""
    return node.op_type in private_op.OP_TYPES and node.domain == private_op.DOMAIN


def is_quantized(node: onnx.NodeProto) -> bool:
    """Whether the node is onnx_roialign::QLinearRoiAlign."""
    return node.op_type == private_op.QLINEAR_OP_TYPE and node.domain == private_op.DOMAIN


def is_ours(node: onnx.NodeProto) -> bool:
    """Whether this package answers the node: RoiAlign of any domain and type."""
    return is_roi_align(node) or is_private(node) or is_quantized(node)


def scopes(model: onnx.ModelProto) -> Iterator[Scope]:
    """The model's graph, its functions, and every body of If, Loop and Scan in them."""
    yield from _graph_scopes(model.graph, Scope((), default_opset(model.opset_import), {}))
    yield from function_scopes(model)


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
    return {node.op_type for scope in scopes(model) for node in scope.nodes if is_private(node) or is_quantized(node)}


def default_opset(imports: Sequence[onnx.OperatorSetIdProto]) -> int | None:
    """The version of ONNX's own operators that a model or a function imports; None where it imports none.

    Raises:
        RoiAlignError: several versions are imported, of which ONNX takes the highest and ONNX Runtime the last.
    """
    versions = list(dict.fromkeys(entry.version for entry in imports if entry.domain in ONNX_DOMAINS))
    if len(versions) > 1:
        raise RoiAlignError(
            "opset_import must have one version of ONNX's own operators (domain '', also written 'ai.onnx'), got "
            f"{' and '.join(str(version) for version in versions)}: ONNX takes the highest, ONNX Runtime the last; "
            "remove all but the one that the model was written for"
        )
    return versions[0] if versions else None


def has_external_data(model: onnx.ModelProto) -> bool:
    """Whether an initializer of the model lies in another file."""
    return next(_external(model), None) is not None


def external_data_size(model: onnx.ModelProto, folder: str) -> int:
    """Bytes of the files in the folder that the model's initializers lie in; of those that are there."""
    entries = (entry for tensor in _external(model) for entry in tensor.external_data)
    files = {os.path.join(folder, entry.value) for entry in entries if entry.key == "location"}
    return sum(os.path.getsize(file) for file in files if os.path.isfile(file))


def _external(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for scope in scopes(model):
        for tensor in () if scope.graph is None else scope.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                yield tensor


class OpsetConflictError(RoiAlignError):
    """One opset must tell the meaning of nodes without coordinate_transformation_mode, and two that disagree do."""


def session_opset(model: onnx.ModelProto) -> int | None:
    """The opset that tells the kernels of a session what a RoiAlign without coordinate_transformation_mode means.

    A session has one such number, while every function of the model has an opset of its own.

    Returns:
        The opset of the nodes without the attribute; None where there is none, or it is not known.

    Raises:
        OpsetConflictError: nodes without the attribute lie in opsets that disagree on what that means.
    """
    undecided = [
        (scope.opset, node)
        for scope in scopes(model)
        for node in scope.nodes
        if is_roi_align(node) and scope.opset is not None and not is_explicit(node)
    ]
    if not undecided:
        return None
    first = undecided[0][0]
    for opset, node in undecided:
        if (opset < HALF_PIXEL_OPSET) != (first < HALF_PIXEL_OPSET):
            raise OpsetConflictError(
                "coordinate_transformation_mode must be set where the opsets of a model and its functions disagree on "
                f"its default, got nodes without it at opsets {first} and {opset}; write the attribute into the nodes",
                node=node.name,
            )
    return first


def is_explicit(node: onnx.NodeProto) -> bool:
    """Whether a RoiAlign of ONNX says which coordinate_transformation_mode it has, whatever its opset."""
    # A reference to a function's attribute is none where the function is called without it.
    return any(a.name == "coordinate_transformation_mode" and not a.ref_attr_name for a in node.attribute)


def read_attributes(node: onnx.NodeProto, opset: int | None) -> Attributes:
    """What a RoiAlign node asks for, ONNX's at this opset or a private one.

    Raises:
        RoiAlignError: an attribute that the op does not have, or of the wrong type or value; the text names it and the
            node.
    """
    try:
        given = {a.name: a for a in node.attribute}
        if node.domain == private_op.DOMAIN:
            types = dict(private_op.ATTRIBUTE_TYPES)
            return private_op.read_attributes({name: _value(a, types.get(name, a.type)) for name, a in given.items()})
        if opset is None:
            raise RoiAlignError("the model must import ONNX's own operators, got a RoiAlign without an opset")
        names = [name for name, _ in _ATTRIBUTES]
        if unknown := [name for name in given if name not in names]:
            raise RoiAlignError(f"an attribute of RoiAlign must be one of {', '.join(names)}, got {unknown[0]!r}")
        values = {name: _value(given[name], kind) for name, kind in _ATTRIBUTES if name in given}
        semantics = from_onnx(opset, values.pop("coordinate_transformation_mode", None))
        return Attributes(**values, semantics=semantics)
    except RoiAlignError as error:
        raise error.in_node(node.name) from None


def _value(attribute: onnx.AttributeProto, kind: int) -> Any:
    kinds = dict(_KINDS)
    if attribute.ref_attr_name:
        raise RoiAlignError(
            f"{attribute.name} must be a value, got a reference to the function's attribute "
            f"{attribute.ref_attr_name!r}; inline the model's functions (onnx.inliner)"
        )
    if attribute.type != kind:
        raise RoiAlignError(f"{attribute.name} must be {kinds[kind]}, got {kinds.get(attribute.type, 'another type')}")
    value = onnx.helper.get_attribute_value(attribute)
    return value.decode(errors="replace") if kind == onnx.AttributeProto.STRING else value
