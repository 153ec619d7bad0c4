"""Every RoiAlign of a model, in any graph or function: its attributes, its opset, and the shift of its boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import onnx
import onnx_ir as ir

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import FIRST_OPSET, HALF_PIXEL_OPSET, Semantics
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.reading.value_types import every_node
from onnx_roialign.graph.reading.values import Values
from onnx_roialign.onnx_model.inlined import inlined
from onnx_roialign.onnx_model.scopes import function_scopes
from onnx_roialign.ops.nodes import (
    MODE,
    ONNX_DOMAINS,
    STANDARD_ATTRIBUTES,
    input_names,
    is_ours,
    is_quantized,
    is_roi_align,
    is_single,
    read_attributes,
    wrong_inputs,
    wrong_outputs,
)
from onnx_roialign.ops.table import op_of

__all__ = ["Problem", "Shift", "Site", "opset_of", "resolved", "sites"]

# The shifts of boxes that count as part of a RoiAlign's meaning: half a pixel of the feature map, subtracted for a
# runtime without half_pixel (offset 0.5; 1.0 if the node subtracts it too), and MindSpore's one pixel of the image at
# the end. Any other shift is arithmetic of the model itself.
_OFFSETS = (0.0, 0.5, 1.0)
_END_SHIFTS = (0.0, 1.0)
_CLOSE = 1e-4


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that a node breaks independently of its source.

    Attributes:
        code: the code of the finding, one of `finding.CODES`.
        error: the broken rule.
        repairable: whether `repair` corrects it.
    """

    code: str
    error: RoiAlignError
    repairable: bool


@dataclass(frozen=True, slots=True)
class Shift:
    """The constants that the graph adds to the boxes before the node, in pixels of the image.

    Attributes:
        start: added to x1 and y1.
        end: added to x2 and y2.
        root: the boxes before the addition, if the graph has them as one matrix of four columns; else None.
    """

    start: float
    end: float
    root: ir.Value | None


@dataclass(frozen=True, eq=False, slots=True)
class Site:
    """One RoiAlign.

    Attributes:
        node: the node.
        opset: the version of ONNX's own operators in its graph or function; None if they are not imported.
        attributes: the attributes of the node; those that cannot be read have their defaults.
        problems: the rules that the node breaks.
        given: names of the attributes that the node has.
        shift: the constants that the graph adds to the boxes before the node.
        boxes: the boxes before every such addition; None if the node has no rois.
        first_image: whether its batch indices are zero for all inputs of the model.
        in_function: whether it is in a function of the model.
    """

    node: ir.Node
    opset: int | None
    attributes: Attributes
    problems: tuple[Problem, ...]
    given: frozenset[str]
    shift: Shift
    boxes: ir.Value | None
    first_image: bool
    in_function: bool

    @property
    def name(self) -> str:
        """The node's name; the name of its output if it has none."""
        return self.node.name or next((value.name for value in self.node.outputs if value.name), "")

    @property
    def private(self) -> bool:
        """Whether it is a private operator, which has all fields of `Semantics` as attributes."""
        return op_of(self.node) is not None

    @property
    def quantized(self) -> bool:
        """Whether it is the private operator for quantized features."""
        return is_quantized(self.node)

    def position(self, name: str) -> int:
        """Returns the position of an input in the operator's schema."""
        return input_names(self.node).index(name)

    def input(self, name: str) -> ir.Value | None:
        """Returns the input with this name in the operator's schema; None if the node does not have it."""
        inputs, position = self.node.inputs, self.position(name)
        return inputs[position] if position < len(inputs) else None

    @property
    def readable(self) -> bool:
        """Whether its attributes can be read, apart from those that `repair` corrects."""
        return all(problem.repairable for problem in self.problems)

    @property
    def effective(self) -> Attributes:
        """The attributes of one RoiAlign that equals the node together with the shift before it."""
        node, shift = self.attributes.semantics, self.shift
        offset = _nearest(node.offset - shift.start * self.attributes.spatial_scale, _OFFSETS)
        end_shift = _nearest(node.end_shift + shift.end - shift.start, _END_SHIFTS)
        return replace(self.attributes, semantics=replace(node, offset=offset, end_shift=end_shift))

    def wanted_here(self, wanted: Semantics) -> Semantics:
        """Returns the semantics that the node must have for ``wanted``, given the shift before it."""
        shift = self.shift
        return replace(
            wanted,
            offset=wanted.offset + shift.start * self.attributes.spatial_scale,
            end_shift=wanted.end_shift - (shift.end - shift.start),
        )


def opset_of(imports: Mapping[str, int]) -> int | None:
    """Returns the version of ONNX's own operators among the imports of a graph; None if they are not imported."""
    return next((imports[domain] for domain in ONNX_DOMAINS if domain in imports), None)


def resolved(model: onnx.ModelProto) -> onnx.ModelProto:
    """Returns the model, with functions inlined if an attribute of a RoiAlign refers to one of its function."""
    nodes = [node for scope in function_scopes(model) for node in scope.nodes if is_ours(node)]
    if any(attribute.ref_attr_name for node in nodes for attribute in node.attribute):
        return inlined(model)
    return model


def sites(model: ir.Model) -> Iterator[Site]:
    """Yields every RoiAlign of the graph, the functions, and the bodies of If, Loop and Scan in them, in order."""
    values = Values()
    owners: list[tuple[ir.Graph | ir.Function, bool]] = [(model.graph, False)]
    owners += [(function, True) for function in model.functions.values()]
    for owner, in_function in owners:
        opset = opset_of(owner.opset_imports)
        for node in every_node(owner):
            if is_single(node):
                yield _site(node, opset, values, in_function=in_function)


def _site(node: ir.Node, opset: int | None, values: Values, *, in_function: bool) -> Site:
    attributes, problems = (_read_standard if is_roi_align(node) else _read_private)(node, opset)
    problems += _wrong_inputs(node)
    names = dict(zip(input_names(node), node.inputs, strict=False))
    rois = names.get("rois")
    return Site(
        node,
        opset,
        attributes,
        tuple(problems),
        frozenset(node.attributes),
        _shift(rois, attributes, values),
        None if rois is None else values.unshifted(rois),
        values.is_zero(names.get("batch_indices")),
        in_function,
    )


def _proto(node: ir.Node) -> onnx.NodeProto:
    """Returns a node with the same operator and attributes, without inputs and outputs."""
    attributes = [ir.serde.serialize_attribute(attribute) for attribute in node.attributes.values()]
    return onnx.NodeProto(op_type=node.op_type, domain=node.domain, attribute=attributes)


def _read_private(node: ir.Node, opset: int | None) -> tuple[Attributes, list[Problem]]:
    proto = _proto(node)
    readable, problems = _readable(proto, FIRST_OPSET)
    del proto.attribute[:]
    proto.attribute.extend(readable)
    attributes = read_attributes(proto, opset)
    if op := op_of(node):
        try:
            op.check_attributes(attributes)
        except RoiAlignError as error:
            problems.append(Problem("invalid-attribute", error, False))
    return attributes, problems


def _read_standard(node: ir.Node, opset: int | None) -> tuple[Attributes, list[Problem]]:
    problems = []
    if opset is None or opset < FIRST_OPSET:
        rule = f"must be at least {FIRST_OPSET} for RoiAlign, got {'none' if opset is None else opset}"
        problems.append(Problem("opset-too-old", RoiAlignError("opset", "range", rule), False))
    known_opset = max(opset or FIRST_OPSET, FIRST_OPSET)
    readable, unreadable = _readable(_proto(node), known_opset)
    problems += unreadable
    if opset is not None and FIRST_OPSET <= opset < HALF_PIXEL_OPSET and MODE in node.attributes:
        rule = f"must not be set below opset {HALF_PIXEL_OPSET}, got it at opset {opset}"
        problems.append(Problem("unknown-attribute", RoiAlignError(MODE, "choice", rule), True))
    proto = onnx.NodeProto(op_type="RoiAlign", attribute=readable)
    return read_attributes(proto, known_opset), problems


def _readable(node: onnx.NodeProto, opset: int) -> tuple[list[onnx.AttributeProto], list[Problem]]:
    """Returns the valid attributes of a node, each checked separately, and the rules that the others break."""
    problems = [_problem(node, attribute, opset) for attribute in node.attribute]
    readable = [attribute for attribute, problem in zip(node.attribute, problems, strict=True) if problem is None]
    return readable, [problem for problem in problems if problem is not None]


def _problem(node: onnx.NodeProto, attribute: onnx.AttributeProto, opset: int) -> Problem | None:
    name, standard = attribute.name, is_roi_align(node)
    op = op_of(node)
    names = tuple(STANDARD_ATTRIBUTES if op is None else dict(op.attributes))
    if name not in names:
        rule = f"must be one of {', '.join(names)}, got {name!r}"
        return Problem("unknown-attribute", RoiAlignError(f"an attribute of {node.op_type}", "choice", rule), standard)
    alone = onnx.NodeProto(op_type=node.op_type, domain=node.domain, attribute=[attribute])
    try:
        read_attributes(alone, opset)
    except RoiAlignError as error:
        return Problem("invalid-attribute", error, standard and _mendable(name, attribute))
    return None


def _mendable(name: str, attribute: onnx.AttributeProto) -> bool:
    """Returns whether `repair` can write the right value: the source's mode, or 0 for a negative sampling_ratio."""
    if name == MODE:
        return True
    return name == "sampling_ratio" and attribute.type == onnx.AttributeProto.INT and attribute.i < 0


def _wrong_inputs(node: ir.Node) -> list[Problem]:
    inputs = ["" if value is None else value.name or "_" for value in node.inputs]
    outputs = [value.name or "" for value in node.outputs]
    errors = {"invalid-input": wrong_inputs(node, inputs), "invalid-output": wrong_outputs(node.op_type, outputs)}
    return [Problem(code, error, False) for code, error in errors.items() if error is not None]


def _shift(rois: ir.Value | None, attributes: Attributes, values: Values) -> Shift:
    if rois is None:
        return Shift(0.0, 0.0, None)
    columns = [values.column(rois, index) for index in range(4)]
    first = columns[0]
    here = Shift(0.0, 0.0, rois)
    if any(column.root is not first.root or column.index != first.index + i for i, column in enumerate(columns)):
        return here
    start, _, end, _ = (column.shift for column in columns)
    if any(abs(column.shift - same) > _CLOSE for column, same in zip(columns, (start, start, end, end), strict=True)):
        return here
    offset = attributes.semantics.offset - start * attributes.spatial_scale
    end_shift = attributes.semantics.end_shift + end - start
    if _nearest(offset, _OFFSETS) not in _OFFSETS or _nearest(end_shift, _END_SHIFTS) not in _END_SHIFTS:
        return here
    before = values.unshifted(rois)
    unmoved = all(values.column(before, index).shift == 0 for index in range(4))
    return Shift(start, end, before if unmoved else None)


def _nearest(value: float, choices: tuple[float, ...]) -> float:
    return next((choice for choice in choices if abs(value - choice) <= _CLOSE), value)
