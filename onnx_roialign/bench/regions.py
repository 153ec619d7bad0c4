"""Splits a detector's graph into regions, before and after `fuse`, and makes the model without the fused parts.

The nodes of poolers and mask pasting are the nodes that `fuse` removes and the nodes that it writes.
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

# The names in ONNX and of ONNX Runtime's fusions; ONNX Runtime reorders data only for its convolutions.
_CONVOLVES = re.compile(r"(Fused|QLinear)?Conv(Transpose|Integer)?|Reorder(Input|Output)")
_MULTIPLIES = re.compile(r"(Fused|Transposed|QLinear)?(MatMul|Gemm)\w*")
_LABEL = re.compile(r"\[\[(\d+)\]\]")
_REORDERED = "_nchwc"  # ONNX Runtime names a node in its blocked layout after the original node's output


@dataclass(frozen=True, slots=True)
class Regions:
    """The region of every node of one model.

    Attributes:
        by_name: the region of each node of a pooler or of pasting, by name; HEADS for nodes that depend on pooled
            features.
        makers: the name of the node that computes each value, by the value's name.
    """

    by_name: Mapping[str, str]
    makers: Mapping[str, str]

    def of(self, node: ProfiledNode) -> str:
        """Returns the region of a profiled node: the region of a Loop around it if that has one."""
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
    """A model unchanged, fused, and with the outputs of the fused parts as inputs.

    Attributes:
        before: the model with renamed nodes.
        after: the result of `fuse`; None if nothing was fused.
        free: `after` without the fused parts, whose outputs are inputs; None if nothing was fused or no output remains.
        new_inputs: the names of these inputs.
        report: the report of `fuse`.
        regions_before: the regions of `before`.
        regions_after: the regions of `after` and `free`.
    """

    before: onnx.ModelProto
    after: onnx.ModelProto | None
    free: onnx.ModelProto | None
    new_inputs: tuple[str, ...]
    report: tuple[FusedPart, ...]
    regions_before: Regions
    regions_after: Regions


def split(model: onnx.ModelProto) -> Versions:
    """Returns the versions of a model, which is not changed.

    Raises:
        RoiAlignError: as for `fuse`.
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
    free, new_inputs = _without(after, added, ends)
    return Versions(before, after, free, new_inputs, fused.report, _regions(before, removed), _regions(after, added))


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for scope in scopes(model):
        if scope.graph is not None:
            yield from scope.nodes


def _label(model: onnx.ModelProto) -> None:
    for number, node in enumerate(_nodes(model)):
        node.name = f"[[{number}]]"


def _identity(node: onnx.NodeProto) -> tuple[str, str, str]:
    """The properties that identify a node in both versions; a fused node has the name of its part's last node."""
    return node.name, node.domain, node.op_type


def _parts(
    model: onnx.ModelProto, parts: Collection[FusedPart], kept: Collection[tuple[str, str, str]]
) -> dict[str, str]:
    """Returns the region of each node that only this version has; nodes of a pooler and of pasting count as pooler."""
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
    for node in model.graph.node:  # removed nodes whose outputs no part reads
        if _identity(node) not in kept:
            found.setdefault(node.name, POOLER)
    return found


def _makers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {name: node for node in _nodes(model) for name in node.output if name}


def _region_of_ours(node: onnx.NodeProto) -> str:
    return PASTING if node.op_type == paste_masks.OP_TYPE else ROI_ALIGN


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """Yields the names that a node and its bodies read, including names that the bodies define."""
    yield from node.input
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            for inner in body.node:
                yield from _read(inner)
            yield from (value.name for value in body.output)


def _regions(model: onnx.ModelProto, parts: Mapping[str, str]) -> Regions:
    by_name = dict(parts)
    pooled: set[str] = set()
    for node in _nodes(model):  # the nodes of a graph in order, then the nodes of its bodies
        if is_ours(node):
            by_name.setdefault(node.name, _region_of_ours(node))
        if by_name.get(node.name) == ROI_ALIGN or not pooled.isdisjoint(_read(node)):
            pooled.update(node.output)
            by_name.setdefault(node.name, HEADS)
    return Regions(by_name, {value: node.name for value, node in _makers(model).items()})


def _keep(field: Any, kept: Iterable[Any]) -> None:
    copies = [type(message).FromString(message.SerializeToString()) for message in kept]
    del field[:]
    field.extend(copies)


def _without(
    model: onnx.ModelProto, added: Collection[str], ends: Collection[str]
) -> tuple[onnx.ModelProto | None, tuple[str, ...]]:
    """Returns the model with the parts' outputs as inputs, and their names; removes those outputs of the model."""
    free = deepcopy(model)
    nodes = [node for node in free.graph.node if node.name not in added]
    outputs = [value for value in free.graph.output if value.name not in ends]
    if not outputs:
        return None, ()
    known = {value.name: value for value in (*free.graph.value_info, *free.graph.output)}
    read = {name for node in nodes for name in _read(node)}
    new_inputs = tuple(sorted(name for name in ends if name in read))
    info = [value for value in free.graph.value_info if value.name not in new_inputs]
    _keep(free.graph.node, nodes)
    _keep(free.graph.output, outputs)
    _keep(free.graph.value_info, info)
    for name in new_inputs:
        kind = known[name].type.tensor_type.elem_type
        free.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, None))
    return free, new_inputs
