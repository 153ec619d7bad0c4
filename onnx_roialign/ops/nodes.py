"""A node that is a RoiAlign, ONNX's or a private one: which it is, what it says, and what it must say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx

from onnx_roialign.definition.attributes import TYPES, Attributes
from onnx_roialign.definition.semantics import from_onnx
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.ops import roi_align as private_op
from onnx_roialign.ops.table import Input, Op, op_of

__all__ = [
    "ONNX_DOMAINS",
    "ROI_ALIGN_INPUTS",
    "check_form",
    "in_node",
    "is_explicit",
    "is_ours",
    "is_private",
    "is_quantized",
    "is_roi_align",
    "private",
    "read_any",
    "read_attributes",
    "wrong_inputs",
    "wrong_outputs",
]

# Of ONNX's RoiAlign; its rois have X's type.
ROI_ALIGN_INPUTS = (Input("X", TYPES, "T1"), Input("rois", TYPES, "T1"), Input("batch_indices", ("int64",)))

# The domain of ONNX's own operators has two names.
ONNX_DOMAINS = ("", "ai.onnx")

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
    """Whether this package computes the node: ONNX's RoiAlign, or a private op."""
    return is_roi_align(node) or private(node) is not None


def private(node: onnx.NodeProto) -> Op | None:
    """The private op that the node is; None for any other node."""
    return op_of(node.domain, node.op_type)


def is_explicit(node: onnx.NodeProto) -> bool:
    """Whether a RoiAlign of ONNX says which coordinate_transformation_mode it has, whatever its opset."""
    # A reference to a function's attribute is none where the function is called without it.
    return any(a.name == "coordinate_transformation_mode" and not a.ref_attr_name for a in node.attribute)


def check_form(node: onnx.NodeProto, opset: int | None) -> None:
    """Checks what a node says by itself: how many inputs and outputs it has, and its attributes.

    An attribute that refers to a function's is left to the runtime, which inlines functions.

    Raises:
        RoiAlignError: the text names the rule and the node.
    """
    op = private(node)
    inputs = ROI_ALIGN_INPUTS if op is None else op.inputs
    for problem in (wrong_inputs(node.op_type, inputs, node.input), wrong_outputs(node.op_type, node.output)):
        if problem:
            raise RoiAlignError(problem).in_node(node.name)
    said = onnx.NodeProto(op_type=node.op_type, domain=node.domain, name=node.name)
    said.attribute.extend(attribute for attribute in node.attribute if not attribute.ref_attr_name)
    read_any(said, opset)


def wrong_inputs(op_type: str, inputs: Sequence[Input], given: Sequence[str]) -> str | None:
    """What is wrong with the inputs of a node, by name, empty where one is left out; None where nothing is."""
    variadic = inputs[-1].variadic
    enough = len(given) >= len(inputs) if variadic else len(given) == len(inputs)
    if enough and all(name or (i < len(inputs) and inputs[i].optional) for i, name in enumerate(given)):
        return None
    names = [f"{one.name} (or '')" if one.optional else one.name for one in inputs]
    return f"{op_type} must have the inputs {', '.join(names[:-1])} and {names[-1]}, got {sum(map(bool, given))}"


def wrong_outputs(op_type: str, given: Sequence[str]) -> str | None:
    """What is wrong with the outputs of a node, likewise."""
    count = sum(bool(name) for name in given)
    return None if count == len(given) == 1 else f"{op_type} must have one output, got {count or 'none'}"


def in_node(node: onnx.NodeProto, check: Callable[..., None], *values: object) -> None:
    """Calls a check; what it raises names the node."""
    try:
        check(*values)
    except RoiAlignError as error:
        raise error.in_node(node.name) from None


def read_any(node: onnx.NodeProto, opset: int | None) -> Any:
    """What a node of ONNX's RoiAlign, at this opset, or of a private op asks for: what its `Op.read` returns.

    Raises:
        RoiAlignError: as `read_attributes`.
    """
    op = private(node)
    if op is None:
        return read_attributes(node, opset)
    types = dict(op.attributes)
    try:
        return op.read({a.name: _value(a, types.get(a.name, a.type)) for a in node.attribute})
    except RoiAlignError as error:
        raise error.in_node(node.name) from None


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
