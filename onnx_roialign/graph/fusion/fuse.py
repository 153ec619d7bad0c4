"""`fuse`: writes an exporter's poolers and mask pasting as one operator each, where a test shows equal results."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.definition.sources import parse as parse_source
from onnx_roialign.errors import last_guard
from onnx_roialign.graph.fusion.masks import Pasting, pastings
from onnx_roialign.graph.fusion.pooler import Pooler, poolers
from onnx_roialign.graph.fusion.rewriting import FusedPart, Rewriting, refused
from onnx_roialign.graph.fusion.write_masks import write_masks
from onnx_roialign.graph.fusion.write_pooler import write_pooler
from onnx_roialign.graph.reading.collector import collector_paused
from onnx_roialign.graph.reading.sites import resolved, sites
from onnx_roialign.graph.reading.value_types import every_node, graphs, infer_known
from onnx_roialign.graph.repairs.repair import repair
from onnx_roialign.graph.repairs.state_meaning import is_right
from onnx_roialign.graph.writing.fresh import Names
from onnx_roialign.graph.writing.restore import read, restored
from onnx_roialign.graph.writing.unread import remove_unread
from onnx_roialign.onnx_model.file import Model
from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.onnx_model.soundness import sound
from onnx_roialign.onnx_model.value_info import add_value_info
from onnx_roialign.ops import multiscale_roi_align, paste_masks
from onnx_roialign.ops.roi_align import DOMAIN, OPSET_VERSION
from onnx_roialign.sessions.run_apart import Apart

__all__ = ["Fused", "FusedPart", "fuse"]


@dataclass(frozen=True, slots=True)
class Fused:
    """The result of `fuse`.

    Attributes:
        model: a copy of the model (with a source: of the repaired model) in which every part is fused whose fused form
            returned the same results.
        report: the parts that are poolers or mask pasting, or resemble them, fused or not.
    """

    model: onnx.ModelProto
    report: tuple[FusedPart, ...]


@collector_paused()
def fuse(model: Model, source: str | Semantics | None = None) -> Fused:
    """Writes an exporter's poolers as MultiScaleRoiAlign and its mask pasting as PasteMasks.

    Parts are found by the flow of values, not by names. A part is replaced only if it and the new operator return the
    same results on test inputs: boxes of all sizes, on the boundaries between levels and at the neighbouring
    floating-point numbers, empty and mirrored boxes, no box, one box, several images.

    A fused pooler returns the model's own results, even where the exporter approximated the framework, for example
    with a RoI minus 0.5 / scale instead of a half-pixel offset. With a source, the model is repaired first.

    Args:
        model: path, bytes or ModelProto; it is not changed. External data stays where it is.
        source: the framework call that the model was exported from, as in `repair`; None: the model's own results
            are correct.

    Raises:
        RoiAlignError: `model` is not a model, or `repair` raises it.
    """
    original = sound(model)
    with last_guard("fused"), Apart() as apart:
        corrected = frozenset[str]() if source is None else _wrong(original, source)
        if source is not None:
            original = repair(original, source)
        proto = resolved(original)
        graph = read(proto)
        seen = infer_known(proto, graph)
        weights = {tensor.name: tensor for scope in scopes(proto) if scope.graph for tensor in scope.graph.initializer}
        report: list[FusedPart] = []
        names, opset = Names(graph), graph.graph.opset_imports.get("", 0)
        for owner in _graphs(graph):
            _prune(owner)
            report += _fused(Rewriting(owner, seen, names, weights, opset, corrected, apart))
        if not any(part.fused for part in report):
            return Fused(deepcopy(original), tuple(report))
        graph.graph.opset_imports.setdefault(DOMAIN, OPSET_VERSION)
        result = restored(proto, ir.to_proto(graph))
        add_value_info(result)
        return Fused(result, tuple(report))


def _wrong(model: onnx.ModelProto, source: str | Semantics) -> frozenset[str]:
    """The names of the outputs of the RoiAligns whose semantics `repair` changes."""
    wanted = parse_source(source)
    return frozenset(
        site.node.outputs[0].name or ""
        for site in sites(read(resolved(model)))
        if site.readable and not is_right(site, wanted, exact=False)
    )


def _graphs(model: ir.Model) -> list[ir.Graph]:
    nodes = every_node(model.graph)
    return [model.graph, *(body for node in nodes for body in graphs(node))]


def _prune(graph: ir.Graph) -> None:
    """Removes nodes whose outputs nothing reads: such a reader would keep nodes of a replaced part."""
    for node in reversed(graph):
        if node.outputs:
            remove_unread(node.outputs[0])


def _fused(writing: Rewriting) -> Iterator[FusedPart]:
    """Fuses the parts of one graph and returns the report on each."""
    for found in list(poolers(writing.graph, writing.opset, writing.known)):
        yield (
            write_pooler(found, writing) if isinstance(found, Pooler) else refused(multiscale_roi_align.OP_TYPE, *found)
        )
    for paste in list(pastings(writing.graph)):
        yield write_masks(paste, writing) if isinstance(paste, Pasting) else refused(paste_masks.OP_TYPE, *paste)
