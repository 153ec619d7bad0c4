"""Regions of a detector's graph that the benchmark tells apart, before and after `fuse`, and the model without them.

What belongs to a pooler or to mask pasting is what `fuse` removed, and what it wrote instead; no name decides.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import onnx

from onnx_roialign.bench.profiler import ProfiledNode
from onnx_roialign.graph import fuse
from onnx_roialign.graph.fusion.fuse import FusedPart
from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.ops import multiscale_roi_align, paste_masks
from onnx_roialign.ops.nodes import is_ours

__all__ = ["CONVOLUTIONS", "HEADS", "PASTING", "POOLER", "REGIONS", "REST", "ROI_ALIGN", "Regions", "Versions", "split"]

CONVOLUTIONS = "convolutions"
HEADS = "heads"
ROI_ALIGN = "RoiAlign"
POOLER = "gather and merge"
PASTING = "mask pasting"
REST = "the rest"
REGIONS = (CONVOLUTIONS, HEADS, ROI_ALIGN, POOLER, PASTING, REST)

# As ONNX names them and as ONNX Runtime's own fusions do; it reorders data for its convolutions alone.
_CONVOLVES = re.compile(r"(Fused|QLinear)?Conv(Transpose|Integer)?|Reorder(Input|Output)")
_MULTIPLIES = re.compile(r"(Fused|Transposed|QLinear)?(MatMul|Gemm)\w*")
_LABEL = re.compile(r"\[\[(\d+)\]\]")
_REORDERED = "_nchwc"  # ONNX Runtime names a node in its blocked layout by the output of the one that it was


@dataclass(frozen=True, slots=True)
class Regions:
    """The region of every node of one model.

    Attributes:
        by_name: of the nodes that belong to a pooler or to pasting; HEADS for all that are computed from pooled
            features.
        makers: of a value, its node's name.
    """

    by_name: Mapping[str, str]
    makers: Mapping[str, str]

    def of(self, node: ProfiledNode) -> str:
        """The region of a node that ran: that of the Loop around it, if it is part of one."""
        for name in (*node.within, node.name):
            region = self.by_name.get(self._original(name), HEADS)
            if region != HEADS:
                return region
        convolves = _CONVOLVES.fullmatch(node.operator) is not None
        if self.by_name.get(self._original(node.name)) == HEADS and (
            convolves or _MULTIPLIES.fullmatch(node.operator) is not None
        ):
            return HEADS
        return CONVOLUTIONS if convolves else REST

    def _original(self, name: str) -> str:
        label = _LABEL.search(name)
        return label[0] if label is not None else self.makers.get(name.removesuffix(_REORDERED), name)


@dataclass(frozen=True, slots=True)
class Versions:
    """A model as it is, fused, and with what the fused parts return handed in.

    Attributes:
        before: the model, its nodes renamed.
        after: what `fuse` makes of it; None where nothing was fused.
        free: `after` without the fused parts, whose outputs are inputs; None likewise, or where nothing else is left.
        handed_in: those of the outputs that something reads.
        report: of `fuse`.
        regions_before: of `before`.
        regions_after: of `after` and `free`.
    """

    before: onnx.ModelProto
    after: onnx.ModelProto | None
    free: onnx.ModelProto | None
    handed_in: tuple[str, ...]
    report: tuple[FusedPart, ...]
    regions_before: Regions
    regions_after: Regions


def split(model: onnx.ModelProto) -> Versions:
    """Makes the versions of a model, which stays as it is.

    Raises:
        RoiAlignError: as `fuse`.
    """
    before = deepcopy(model)
    _label(before)
    fused = fuse(before)
    parts = [part for part in fused.report if part.fused]
    if not parts:
        regions = _regions(before, {})
        return Versions(before, None, None, (), fused.report, regions, regions)
    after = fused.model
    kept = {_identity(node) for node in _nodes(before)} & {_identity(node) for node in _nodes(after)}
    removed = _parts(before, parts, kept)
    added = _parts(after, parts, kept)
    ends = {part.output for part in parts}
    free, handed_in = _without(after, added, ends)
    return Versions(before, after, free, handed_in, fused.report, _regions(before, removed), _regions(after, added))


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for scope in scopes(model):
        if scope.graph is not None:
            yield from scope.nodes


def _label(model: onnx.ModelProto) -> None:
    for number, node in enumerate(_nodes(model)):
        node.name = f"[[{number}]]"


def _identity(node: onnx.NodeProto) -> tuple[str, str, str]:
    """What a node that a pass leaves alone keeps; the last node of a part hands its name down."""
    return node.name, node.domain, node.op_type


def _parts(
    model: onnx.ModelProto, parts: Collection[FusedPart], kept: Collection[tuple[str, str, str]]
) -> dict[str, str]:
    """The region of each node that the other version has not, poolers first: what both have led to is theirs."""
    makers = _makers(model)
    found: dict[str, str] = {}
    for part in sorted(parts, key=lambda part: part.op != multiscale_roi_align.OP_TYPE):
        region = PASTING if part.op == paste_masks.OP_TYPE else POOLER
        pending = [part.output]
        while pending:
            node = makers.get(pending.pop())
            if node is None or _identity(node) in kept or node.name in found:
                continue
            found[node.name] = _region_of_ours(node) if is_ours(node) else region
            pending += _read(node)
    for node in model.graph.node:  # what was computed beside them, and nothing reads any more
        if _identity(node) not in kept:
            found.setdefault(node.name, POOLER)
    return found


def _makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in _nodes(model) for name in node.output if name}


def _region_of_ours(node: onnx.NodeProto) -> str:
    return PASTING if node.op_type == paste_masks.OP_TYPE else ROI_ALIGN


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """Names that a node and its bodies read; those that the bodies define are among them."""
    yield from node.input
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            for inner in body.node:
                yield from _read(inner)
            yield from (value.name for value in body.output)


def _regions(model: onnx.ModelProto, parts: Mapping[str, str]) -> Regions:
    by_name = dict(parts)
    pooled: set[str] = set()
    for node in _nodes(model):  # a graph's in order, and those of its bodies after them
        if is_ours(node):
            by_name.setdefault(node.name, _region_of_ours(node))
        if by_name.get(node.name) == ROI_ALIGN or not pooled.isdisjoint(_read(node)):
            pooled.update(node.output)
            by_name.setdefault(node.name, HEADS)
    return Regions(by_name, {value: node.name for value, node in _makers(model).items()})


def _keep(field: Any, kept: Iterable[Any]) -> None:
    copies = [type(one).FromString(one.SerializeToString()) for one in kept]
    del field[:]
    field.extend(copies)


def _without(
    model: onnx.ModelProto, added: Collection[str], ends: Collection[str]
) -> tuple[onnx.ModelProto | None, tuple[str, ...]]:
    """The model with the parts' outputs handed in, and which are; an output of the model that is one goes."""
    free = deepcopy(model)
    nodes = [node for node in free.graph.node if node.name not in added]
    outputs = [value for value in free.graph.output if value.name not in ends]
    if not outputs:
        return None, ()
    known = {value.name: value for value in (*free.graph.value_info, *free.graph.output)}
    read = {name for node in nodes for name in _read(node)}
    handed_in = tuple(sorted(name for name in ends if name in read))
    info = [value for value in free.graph.value_info if value.name not in handed_in]
    _keep(free.graph.node, nodes)
    _keep(free.graph.output, outputs)
    _keep(free.graph.value_info, info)
    for name in handed_in:
        kind = known[name].type.tensor_type.elem_type
        free.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, None))
    return free, handed_in
