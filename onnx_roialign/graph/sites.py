"""Every RoiAlign of a model, at any depth: where it is, what its node says, what it means with the nodes before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import onnx
import onnx.inliner
import onnx_ir as ir

from onnx_roialign import model as models
from onnx_roialign import private_op
from onnx_roialign.attributes import Attributes
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.values import column, unshifted
from onnx_roialign.semantics import FIRST_OPSET, HALF_PIXEL_OPSET, Semantics

__all__ = ["Problem", "Shift", "Site", "is_private", "is_standard", "resolved", "sites"]

STANDARD_ATTRIBUTES = (
    *("output_height", "output_width", "sampling_ratio", "spatial_scale", "mode"),
    "coordinate_transformation_mode",
)

# What a shift of the boxes before a RoiAlign can be part of its meaning by: half a pixel of the feature map, taken off
# for a runtime that cannot (offset 0.5; 1.0: by the node too), and MindSpore's one pixel of the image at the end. Any
# other shift is the model's own arithmetic.
_OFFSETS = (0.0, 0.5, 1.0)
_END_SHIFTS = (0.0, 1.0)
_CLOSE = 1e-4


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about a node that no source can mean: a code of `finding.CODES`, and the message."""

    code: str
    message: str
    repairable: bool


@dataclass(frozen=True, slots=True)
class Shift:
    """How far the graph moves the boxes, in pixels of the image, before the node reads them.

    Attributes:
        start: added to x1 and y1.
        end: added to x2 and y2.
        root: the boxes before that, where the graph has them as one matrix of four columns; else None.
    """

    start: float
    end: float
    root: ir.Value | None


@dataclass(frozen=True, eq=False, slots=True)
class Site:
    """One RoiAlign.

    Attributes:
        node: the node itself.
        opset: the version of ONNX's own operators where it lies; None where they are not imported.
        attributes: what the node alone means; attributes that cannot be read are left out.
        problems: what of the node no source can mean.
        given: names of the attributes that the node has.
        shift: how the boxes are moved before.
        in_function: whether it lies in a function of the model.
    """

    node: ir.Node
    opset: int | None
    attributes: Attributes
    problems: tuple[Problem, ...]
    given: frozenset[str]
    shift: Shift
    in_function: bool

    @property
    def name(self) -> str:
        """The node's name, or its output's where it has none."""
        return self.node.name or self.node.outputs[0].name or ""

    @property
    def private(self) -> bool:
        """Whether it is the private op, which carries its whole meaning."""
        return is_private(self.node)

    @property
    def readable(self) -> bool:
        """Whether what it means is known, up to what `repair` sets right by itself."""
        return all(problem.repairable for problem in self.problems)

    @property
    def effective(self) -> Attributes:
        """What the node and the shift before it mean together."""
        node, shift = self.attributes.semantics, self.shift
        offset = _nearest(node.offset - shift.start * self.attributes.spatial_scale, _OFFSETS)
        end_shift = _nearest(node.end_shift + shift.end - shift.start, _END_SHIFTS)
        return replace(self.attributes, semantics=replace(node, offset=offset, end_shift=end_shift))

    def wanted_here(self, wanted: Semantics) -> Semantics:
        """What a node on the shifted boxes must mean, to mean ``wanted`` on the boxes before the shift."""
        shift = self.shift
        return replace(
            wanted,
            offset=wanted.offset + shift.start * self.attributes.spatial_scale,
            end_shift=wanted.end_shift - (shift.end - shift.start),
        )


def is_standard(node: ir.Node) -> bool:
    """Whether the node is ONNX's RoiAlign."""
    return node.op_type == "RoiAlign" and node.domain in ("", "ai.onnx")


def is_private(node: ir.Node) -> bool:
    """Whether the node is onnx_roialign::AnyRoiAlign."""
    return node.op_type in private_op.OP_TYPES and node.domain == private_op.DOMAIN


def resolved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, its functions inlined where a RoiAlign of theirs takes an attribute from where they are called."""
    for function in model.functions:
        for node in function.node:
            if models.is_roi_align(node) and any(attribute.ref_attr_name for attribute in node.attribute):
                return onnx.inliner.inline_local_functions(model)
    return model


def sites(model: ir.Model) -> Iterator[Site]:
    """Every RoiAlign of the model's graph, its functions, and the bodies of If, Loop and Scan in them, in order."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if is_standard(node) or is_private(node):
            yield _site(node, model.graph.opset_imports.get(""), in_function=False)
    for function in model.functions.values():
        for node in ir.traversal.RecursiveGraphIterator(function):
            if is_standard(node) or is_private(node):
                yield _site(node, function.opset_imports.get(""), in_function=True)


def _site(node: ir.Node, opset: int | None, *, in_function: bool) -> Site:
    attributes, problems = (_read_private if is_private(node) else _read_standard)(node, opset)
    shift = _shift(node, attributes)
    return Site(node, opset, attributes, tuple(problems), frozenset(node.attributes), shift, in_function)


def _read_private(node: ir.Node, opset: int | None) -> tuple[Attributes, list[Problem]]:
    values = {name: attribute.value for name, attribute in node.attributes.items()}
    try:
        return private_op.read_attributes(values), _wrong_inputs(node)
    except RoiAlignError as error:
        return Attributes(), [Problem("invalid-attribute", str(error), False), *_wrong_inputs(node)]


def _read_standard(node: ir.Node, opset: int | None) -> tuple[Attributes, list[Problem]]:
    problems = _wrong_inputs(node)
    if opset is None or opset < FIRST_OPSET:
        text = f"opset must be at least {FIRST_OPSET} for RoiAlign, got {'none' if opset is None else opset}"
        problems.append(Problem("opset-too-old", text, False))
    given = {attribute.name: attribute for attribute in ir.serde.serialize_node(node).attribute}
    readable = []
    for name, attribute in given.items():
        problem = _problem(name, attribute, opset)
        if problem is None:
            readable.append(attribute)
        else:
            problems.append(problem)
    if opset is not None and FIRST_OPSET <= opset < HALF_PIXEL_OPSET and "coordinate_transformation_mode" in given:
        text = f"coordinate_transformation_mode must not be set below opset {HALF_PIXEL_OPSET}, got it at opset {opset}"
        problems.append(Problem("unknown-attribute", text, True))
    proto = onnx.NodeProto(op_type="RoiAlign", attribute=readable)
    return models.read_attributes(proto, max(opset or FIRST_OPSET, FIRST_OPSET)), problems


def _problem(name: str, attribute: onnx.AttributeProto, opset: int | None) -> Problem | None:
    if name not in STANDARD_ATTRIBUTES:
        text = f"an attribute of RoiAlign must be one of {', '.join(STANDARD_ATTRIBUTES)}, got {name!r}"
        return Problem("unknown-attribute", text, True)
    try:
        models.read_attributes(onnx.NodeProto(attribute=[attribute]), max(opset or FIRST_OPSET, FIRST_OPSET))
    except RoiAlignError as error:
        text = str(error).removesuffix(" (node '')")
        return Problem("invalid-attribute", text, _mendable(name, attribute))
    return None


def _mendable(name: str, attribute: onnx.AttributeProto) -> bool:
    """Whether what an invalid attribute should be is known: a source decides the one, frameworks write -1 for 0."""
    if name == "coordinate_transformation_mode":
        return True
    return name == "sampling_ratio" and attribute.type == onnx.AttributeProto.INT and attribute.i < 0


def _wrong_inputs(node: ir.Node) -> list[Problem]:
    count = sum(one is not None for one in node.inputs)
    if count == 3 and len(node.inputs) == 3:
        return []
    return [Problem("invalid-input", f"RoiAlign must have the inputs X, rois and batch_indices, got {count}", False)]


def _shift(node: ir.Node, attributes: Attributes) -> Shift:
    rois = node.inputs[1] if len(node.inputs) > 1 else None
    if rois is None:
        return Shift(0.0, 0.0, None)
    columns = [column(rois, index) for index in range(4)]
    first = columns[0]
    here = Shift(0.0, 0.0, rois)
    if any(one.root is not first.root or one.index != first.index + i for i, one in enumerate(columns)):
        return here
    start, _, end, _ = (one.shift for one in columns)
    if any(abs(one.shift - same) > _CLOSE for one, same in zip(columns, (start, start, end, end), strict=True)):
        return here
    offset = attributes.semantics.offset - start * attributes.spatial_scale
    end_shift = attributes.semantics.end_shift + end - start
    if _nearest(offset, _OFFSETS) not in _OFFSETS or _nearest(end_shift, _END_SHIFTS) not in _END_SHIFTS:
        return here
    before = unshifted(rois)
    return Shift(start, end, before if all(column(before, index).shift == 0 for index in range(4)) else None)


def _nearest(value: float, choices: tuple[float, ...]) -> float:
    return next((choice for choice in choices if abs(value - choice) <= _CLOSE), value)
