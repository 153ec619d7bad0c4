"""`fuse`: poolers and mask pasting, as exporters write them, as one op each, where that is proved to change nothing."""

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
from onnx_roialign.graph.reading.sites import resolved, sites
from onnx_roialign.graph.reading.value_types import graphs, infer_known
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
    """What `fuse` returns.

    Attributes:
        model: the model with every part fused for which that was proved; an equal copy where there is none (with a
            source: of the repaired model).
        report: the parts.
    """

    model: onnx.ModelProto
    report: tuple[FusedPart, ...]


def fuse(model: Model, source: str | Semantics | None = None) -> Fused:
    """Writes an exporter's poolers as MultiScaleRoiAlign and its mask pasting as PasteMasks.

    Parts are found by how values flow, not by names. A rewrite is kept only where the old part and the new one return
    the same on inputs that tell them apart: boxes of all sizes, on the boundaries between levels and one unit in the
    last place to both sides, empty and turned-round boxes, no box and one, several images.

    Poolers return what the model's return, also where an exporter wrote something else than was meant, such as a RoI
    minus 0.5 / scale in the place of a half-pixel offset. With a source, the model is repaired first.

    Args:
        model: path, bytes or ModelProto; it is not changed. External data stays where it is.
        source: the framework call that the model was exported from, as `repair` takes it; None: the model's own
            results are right.

    Raises:
        RoiAlignError: no model, or `repair` raises it.
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
    """The outputs of the RoiAligns that `repair` gives another meaning."""
    wanted = parse_source(source)
    return frozenset(
        site.node.outputs[0].name or ""
        for site in sites(read(resolved(model)))
        if site.readable and not is_right(site, wanted, exact=False)
    )


def _graphs(model: ir.Model) -> list[ir.Graph]:
    nodes = ir.traversal.RecursiveGraphIterator(model.graph)
    return [model.graph, *(body for node in nodes for body in graphs(node))]


def _prune(graph: ir.Graph) -> None:
    """Removes nodes that nothing reads: one that reads a value of an old part would keep that."""
    for node in reversed(graph):
        if node.outputs:
            remove_unread(node.outputs[0])


def _fused(writing: Rewriting) -> Iterator[FusedPart]:
    """The parts of one graph."""
    for found in list(poolers(writing.graph, writing.opset, writing.known)):
        yield (
            write_pooler(found, writing) if isinstance(found, Pooler) else refused(multiscale_roi_align.OP_TYPE, *found)
        )
    for paste in list(pastings(writing.graph)):
        yield write_masks(paste, writing) if isinstance(paste, Pasting) else refused(paste_masks.OP_TYPE, *paste)
