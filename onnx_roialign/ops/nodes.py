"""RoiAlign nodes, ONNX's and the private ones: their kind, their attributes, and the rules that they must obey."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import onnx

from onnx_roialign.definition.attributes import PLAIN, Attributes
from onnx_roialign.definition.onnx_form import coordinate_mode
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, from_onnx
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.table import ANY_ROI_ALIGN, MULTISCALE_ROI_ALIGN, QLINEAR_ROI_ALIGN, ROI_ALIGNS, Node, op_of

__all__ = [
    "MODE",
    "ONNX_DOMAINS",
    "STANDARD_ATTRIBUTES",
    "check_form",
    "in_node",
    "input_names",
    "is_any_roi_align",
    "is_explicit",
    "is_ours",
    "is_private",
    "is_quantized",
    "is_roi_align",
    "is_single",
    "make_roi_align",
    "node_name",
    "plain_domain",
    "read_any",
    "read_attributes",
    "wrong_inputs",
    "wrong_outputs",
]

# The domain of ONNX's own operators has two names.
ONNX_DOMAINS = ("", "ai.onnx")

_SCHEMA = onnx.defs.get_schema("RoiAlign")

# The attribute of ONNX's RoiAlign that `Attributes` replaces by semantics.
MODE = "coordinate_transformation_mode"

_KINDS: tuple[tuple[int, str], ...] = (
    (onnx.AttributeProto.INT, "an integer"),
    (onnx.AttributeProto.FLOAT, "a float"),
    (onnx.AttributeProto.STRING, "a string"),
    (onnx.AttributeProto.INTS, "a list of integers"),
    (onnx.AttributeProto.FLOATS, "a list of floats"),
)
# The attributes that ONNX's RoiAlign has at any opset, with their types, in the order of the fields of Attributes.
STANDARD_ATTRIBUTES: Mapping[str, int] = MappingProxyType(
    {
        name: onnx.AttributeProto.AttributeType.Value(cast(Any, _SCHEMA.attributes[name].type).name)
        for name in sorted(_SCHEMA.attributes, key=(*PLAIN, MODE).index)
    }
)


def node_name(node: onnx.NodeProto) -> str:
    """Returns the node's name, as messages show it; the name of its first output if it has none."""
    return node.name or next(filter(None, node.output), "")


def plain_domain(domain: str) -> str:
    """Returns the domain, with "" for both names of ONNX's own."""
    return ONNX_DOMAINS[0] if domain in ONNX_DOMAINS else domain


def is_roi_align(node: Node) -> bool:
    """Whether the node is ONNX's RoiAlign."""
    return node.op_type == "RoiAlign" and node.domain in ONNX_DOMAINS


def is_private(node: Node) -> bool:
    """Whether the node is onnx_roialign::AnyRoiAlign, under its present or its former name."""
    return op_of(node) is ANY_ROI_ALIGN


def is_quantized(node: Node) -> bool:
    """Whether the node is onnx_roialign::QLinearRoiAlign."""
    return op_of(node) is QLINEAR_ROI_ALIGN


def is_single(node: Node) -> bool:
    """Whether the node is a RoiAlign of one feature map: ONNX's, AnyRoiAlign or QLinearRoiAlign."""
    return is_roi_align(node) or op_of(node) in ROI_ALIGNS


def is_ours(node: Node) -> bool:
    """Whether this package computes the node: ONNX's RoiAlign, or a private op."""
    return is_roi_align(node) or op_of(node) is not None


def is_any_roi_align(node: Node) -> bool:
    """Whether the node is a RoiAlign of one feature map or of several: ours without PasteMasks."""
    return is_single(node) or op_of(node) is MULTISCALE_ROI_ALIGN


def input_names(node: Node) -> tuple[str, ...]:
    """The names of a RoiAlign's inputs in their order."""
    return (op_of(node) or ANY_ROI_ALIGN).input_names  # ONNX's RoiAlign and AnyRoiAlign have the same inputs


def make_roi_align(
    inputs: Sequence[str], Y: str, attributes: Attributes, opset: int, *, name: str = "", same_type: bool = True
) -> onnx.NodeProto:
    """Creates a node of ONNX's RoiAlign if it can express the attributes at this opset, else of the private operator.

    Args:
        inputs: names of X, rois and batch_indices.
        Y: name of the output.
        attributes: the attributes.
        opset: the opset of ONNX's own domain.
        name: name of the node.
        same_type: whether rois have the type of X, which ONNX's RoiAlign requires.

    Raises:
        RoiAlignError: a number is too large for a node, whose floats are float32.
    """
    attributes.check_in(np.dtype(np.float32))
    mode = coordinate_mode(attributes, opset) if same_type else None
    if mode is None:
        X, rois, batch_indices = inputs
        return private_op.make_node(X, rois, batch_indices, Y, attributes, name=name)
    explicit = {MODE: mode} if opset >= HALF_PIXEL_OPSET else {}
    return onnx.helper.make_node("RoiAlign", list(inputs), [Y], name=name, **attributes.plain(), **explicit)


def is_explicit(node: onnx.NodeProto) -> bool:
    """Returns whether a RoiAlign of ONNX has the attribute coordinate_transformation_mode."""
    # A reference to a function's attribute is absent if the call does not pass the attribute.
    return any(a.name == MODE and not a.ref_attr_name for a in node.attribute)


def check_form(node: onnx.NodeProto, opset: int | None) -> None:
    """Checks the number of a node's inputs and outputs, and its attributes.

    References to attributes of a function are not checked; the runtime resolves them when it inlines the function.

    Raises:
        RoiAlignError: the node breaks a rule; the message names both.
    """
    op = op_of(node)
    for problem in (wrong_inputs(node, node.input), wrong_outputs(node.op_type, node.output)):
        if problem is not None:
            raise problem.in_node(node_name(node))
    resolved = onnx.NodeProto(op_type=node.op_type, domain=node.domain, name=node_name(node))
    resolved.attribute.extend(attribute for attribute in node.attribute if not attribute.ref_attr_name)
    read = read_any(resolved, opset)
    if op is not None:
        in_node(node, op.check_attributes, read)
        in_node(node, op.check_count, read, len(node.input))


def wrong_inputs(node: Node, given: Sequence[str]) -> RoiAlignError | None:
    """Returns the error in a node's inputs, given as names ("" for an omitted input); None if there is none."""
    op, names = op_of(node), input_names(node)
    optional, variadic = ((), False) if op is None else (op.optional, op.variadic)
    enough = len(given) >= len(names) if variadic else len(given) == len(names)
    if enough and all(name or (i < len(names) and names[i] in optional) for i, name in enumerate(given)):
        return None
    shown_names = [f"{name} (or '')" if name in optional else name for name in names]
    count = sum(bool(name) for name in given)
    rule = f"must have the inputs {', '.join(shown_names[:-1])} and {shown_names[-1]}, got {count}"
    return RoiAlignError(node.op_type, "shape", rule)


def wrong_outputs(op_type: str, given: Sequence[str]) -> RoiAlignError | None:
    """Returns the error in a node's outputs, given as names; None if there is none."""
    count = sum(bool(name) for name in given)
    if count == len(given) == 1:
        return None
    return RoiAlignError(op_type, "shape", f"must have one output, got {count or 'none'}")


def in_node(node: onnx.NodeProto, check: Callable[..., None], *values: object) -> None:
    """Calls a check and adds the node's name to its error."""
    try:
        check(*values)
    except RoiAlignError as error:
        raise error.in_node(node_name(node)) from None


def read_any(node: onnx.NodeProto, opset: int | None) -> Any:
    """Returns the attributes of a node: `Attributes` of ONNX's RoiAlign at this opset, or the result of `Op.read`.

    Raises:
        RoiAlignError: as for `read_attributes`.
    """
    op = op_of(node)
    if op is None:
        return read_attributes(node, opset)
    types = dict(op.attributes)
    try:
        return op.read({a.name: _value(a, types.get(a.name, a.type)) for a in node.attribute})
    except RoiAlignError as error:
        raise error.in_node(node_name(node)) from None


def read_attributes(node: onnx.NodeProto, opset: int | None) -> Attributes:
    """Returns the attributes of a RoiAlign node, ONNX's at this opset or a private one.

    Raises:
        RoiAlignError: the operator does not have an attribute, or an attribute has the wrong type or value; the message
            names it and the node.
    """
    try:
        given = {a.name: a for a in node.attribute}
        if op := op_of(node):
            types = dict(op.attributes)
            return private_op.read_attributes({name: _value(a, types.get(name, a.type)) for name, a in given.items()})
        if opset is None:
            raise RoiAlignError(
                "the model", "missing", "must import ONNX's own operators, got a RoiAlign without an opset"
            )
        if unknown := [name for name in given if name not in STANDARD_ATTRIBUTES]:
            raise RoiAlignError(
                "an attribute of RoiAlign",
                "choice",
                f"must be one of {', '.join(STANDARD_ATTRIBUTES)}, got {unknown[0]!r}",
            )
        values = {name: _value(given[name], kind) for name, kind in STANDARD_ATTRIBUTES.items() if name in given}
        semantics = from_onnx(opset, values.pop(MODE, None))
        return Attributes(**values, semantics=semantics)
    except RoiAlignError as error:
        raise error.in_node(node_name(node)) from None


def _value(attribute: onnx.AttributeProto, kind: int) -> Any:
    kinds = dict(_KINDS)
    if attribute.ref_attr_name:
        raise RoiAlignError(
            attribute.name,
            "unsupported",
            f"must be a value, got a reference to the function's attribute "
            f"{attribute.ref_attr_name!r}; inline the model's functions (onnx.inliner)",
        )
    if attribute.type != kind:
        raise RoiAlignError(
            attribute.name, "type", f"must be {kinds[kind]}, got {kinds.get(attribute.type, 'another type')}"
        )
    value = onnx.helper.get_attribute_value(attribute)
    return value.decode(errors="replace") if kind == onnx.AttributeProto.STRING else value
