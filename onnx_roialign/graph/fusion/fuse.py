"""`fuse`: poolers and mask pasting, as exporters write them, as one op each, where that is proved to change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.pyramid import LevelRule, Pyramid
from onnx_roialign.errors import last_guard
from onnx_roialign.graph.fusion.masks import Pasting, pastings
from onnx_roialign.graph.fusion.pooler import Chain, Pooler, further, poolers
from onnx_roialign.graph.fusion.prove import Boxes, boxes_that_tell, disagreement, features
from onnx_roialign.graph.fusion.region import Region, region_of
from onnx_roialign.graph.fusion.rule import fit_rule
from onnx_roialign.graph.reading.sites import resolved
from onnx_roialign.graph.reading.value_types import Known, graphs, infer_known
from onnx_roialign.graph.writing.fresh import Names
from onnx_roialign.graph.writing.restore import read, restored
from onnx_roialign.graph.writing.unread import remove_unread
from onnx_roialign.onnx_model.file import Model
from onnx_roialign.onnx_model.scopes import scopes
from onnx_roialign.onnx_model.soundness import sound
from onnx_roialign.onnx_model.value_info import add_value_info
from onnx_roialign.ops import multiscale_roi_align, paste_masks
from onnx_roialign.ops.roi_align import DOMAIN, OPSET_VERSION

__all__ = ["Fused", "FusedPart", "fuse"]

_SEED = 20261127
_AXES_INPUT_OPSET = 13  # of Squeeze


@dataclass(frozen=True, slots=True)
class FusedPart:
    """A part of the model that is a pooler or pastes masks, or looks like it.

    Attributes:
        op: "MultiScaleRoiAlign" or "PasteMasks".
        output: name of the value that it ends in.
        fused: whether it is one op now.
        nodes: how many nodes went.
        text: what was written, or why nothing was.
    """

    op: str
    output: str
    fused: bool
    nodes: int
    text: str


@dataclass(frozen=True, slots=True)
class Fused:
    """What `fuse` returns.

    Attributes:
        model: the model with every part fused for which that was proved; an equal copy where there is none.
        report: the parts.
    """

    model: onnx.ModelProto
    report: tuple[FusedPart, ...]


def fuse(model: Model) -> Fused:
    """Writes an exporter's poolers as MultiScaleRoiAlign and its mask pasting as PasteMasks.

    Parts are found by how values flow, not by names. A rewrite is kept only where the old part and the new one return
    the same on inputs that tell them apart: boxes of all sizes, on the boundaries between levels and one unit in the
    last place to both sides, empty and turned-round boxes, no box and one, several images.

    Args:
        model: path, bytes or ModelProto; it is not changed. External data stays where it is.

    Raises:
        RoiAlignError: no model.
    """
    original = sound(model)
    with last_guard("fused"):
        proto = resolved(original)
        graph = read(proto)
        seen = infer_known(proto, graph)
        weights = {tensor.name: tensor for scope in scopes(proto) if scope.graph for tensor in scope.graph.initializer}
        report: list[FusedPart] = []
        for owner in _graphs(graph):
            report += _Fusing(graph, owner, seen, weights).run()
        result = onnx.ModelProto()
        if not any(part.fused for part in report):
            result.CopyFrom(original)
            return Fused(result, tuple(report))
        graph.graph.opset_imports.setdefault(DOMAIN, OPSET_VERSION)
        result = restored(proto, ir.to_proto(graph))
        add_value_info(result)
        return Fused(result, tuple(report))


def _graphs(model: ir.Model) -> list[ir.Graph]:
    nodes = ir.traversal.RecursiveGraphIterator(model.graph)
    return [model.graph, *(body for node in nodes for body in graphs(node))]


class _Fusing:
    """The parts of one graph."""

    def __init__(self, model: ir.Model, graph: ir.Graph, seen: Known, weights: Mapping[str, onnx.TensorProto]) -> None:
        self._graph, self._known, self._names, self._weights = graph, seen, Names(model), weights
        self._opset = model.graph.opset_imports.get("", 0)

    def run(self) -> Iterator[FusedPart]:
        for found in list(poolers(self._graph, self._opset)):
            yield self._pooler(found) if isinstance(found, Pooler) else _refused(multiscale_roi_align.OP_TYPE, *found)
        for paste in list(pastings(self._graph)):
            yield self._pasting(paste) if isinstance(paste, Pasting) else _refused(paste_masks.OP_TYPE, *paste)

    # Poolers

    def _pooler(self, pooler: Pooler) -> FusedPart:
        maps = dict.fromkeys(level.features for level in pooler.levels)
        others = tuple(Region((*maps, *pooler.boxes), [pooler.end]).others)
        if others and further(pooler, others):  # of which the boxes are joined, and their number read
            pooler = replace(pooler, boxes=others)
        starts = (*maps, *pooler.boxes)
        region = region_of(starts, pooler.end)
        if isinstance(region, str):
            return _refused(multiscale_roi_align.OP_TYPE, pooler.end, region)
        columns = self._columns(pooler)
        rows = self._baked_rows(pooler)
        rule = fit_rule(pooler, self._known, self._opset, self._weights, columns)
        reasons: list[str] = []
        for attempt in dict.fromkeys((rule, None)):
            nodes = self._pooler_nodes(pooler, attempt)
            if nodes is None:
                continue
            areas = attempt.smallest_areas(np.float64).tolist() if attempt is not None else []
            feeds = [*self._pooler_feeds(pooler, columns, areas)]
            if rows is not None:
                feeds = [_of_rows(feed, pooler.boxes, rows) for feed in feeds]
            wrong = self._prove(region, starts, pooler.end, nodes, feeds)
            if wrong is None:
                text = "levels are an input" if attempt is None else _rule_text(attempt)
                if rows is not None:
                    text += f"; it returned {rows} rows whatever boxes came in, and returns one for each box now"
                return self._replace(multiscale_roi_align.OP_TYPE, pooler.end, nodes, text)
            reasons.append(wrong)
        return _refused(multiscale_roi_align.OP_TYPE, pooler.end, reasons[0] if reasons else "its levels have no rule")

    def _baked_rows(self, pooler: Pooler) -> int | None:
        """How many rows the part returns whatever boxes come in: an exporter may write those of its example."""
        shape, boxes = self._known.shape(pooler.end), [self._known.shape(one) for one in pooler.boxes]
        if shape is None or not isinstance(shape[0], int):
            return None
        return None if all(one is not None and isinstance(one[0], int) for one in boxes) else shape[0]

    def _columns(self, pooler: Pooler) -> int:
        shape = self._known.shape(pooler.boxes[0])
        if shape is not None and len(shape) == 2 and isinstance(shape[1], int) and shape[1] in (4, 5):
            return int(shape[1])
        return 5 if pooler.boxes[0] is pooler.levels[0].rois.table else 4

    def _pooler_nodes(self, pooler: Pooler, rule: LevelRule | None) -> list[ir.Node] | None:
        first = pooler.levels[0]
        nodes: list[ir.Node] = []
        rois, batch_indices = (self._whole(chain, nodes) for chain in (first.rois, first.batch_indices))
        levels = None
        if rule is None:
            numbers = [level.number for level in pooler.levels]
            if first.levels is None or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
                return None
            levels = self._counted_from(first.levels, numbers[0], nodes)
        scales = tuple(level.attributes.spatial_scale for level in pooler.levels)
        common: Attributes = replace(first.attributes, spatial_scale=1.0)
        pyramid = Pyramid(scales, rule or LevelRule(), common)
        proto = multiscale_roi_align.make_node(
            "rois", "batch_indices", ["X"] * len(scales), "Y", pyramid, levels="levels" if levels is not None else ""
        )
        inputs = [rois, batch_indices, levels, *(level.features for level in pooler.levels)]
        nodes.append(self._node(proto, inputs, pooler.end.name or "pooled"))
        return nodes

    def _whole(self, chain: Chain, nodes: list[ir.Node]) -> ir.Value:
        """The chain's columns of all rows."""
        value = chain.table
        for node, output in chain.nodes:
            attributes = list(node.attributes.values())
            made = ir.Node(
                node.domain, node.op_type, [value, *node.inputs[1:]], attributes, num_outputs=len(node.outputs)
            )
            for one in made.outputs:
                one.name = self._names.fresh(f"{node.outputs[0].name}/all")
            nodes.append(made)
            value = made.outputs[output]
        return value

    def _counted_from(self, levels: ir.Value, first: int, nodes: list[ir.Node]) -> ir.Value:
        if self._known.type(levels) != ir.DataType.INT64.value:
            cast = ir.node("Cast", [levels], {"to": ir.DataType.INT64.value})
            nodes.append(self._named(cast, f"{levels.name}/int64"))
            levels = cast.outputs[0]
        if first == 0:
            return levels
        less = ir.node("Sub", [levels, self._constant(first, f"{levels.name}/first", nodes)])
        nodes.append(self._named(less, f"{levels.name}/from_0"))
        return less.outputs[0]

    def _pooler_feeds(self, pooler: Pooler, columns: int, areas: Sequence[float]) -> Iterator[dict[str, Any]]:
        kind = self._known.type(pooler.levels[0].features) or onnx.TensorProto.FLOAT
        boxes_kind = self._known.type(pooler.boxes[0]) or onnx.TensorProto.FLOAT
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(boxes_kind))
        images = 2 if columns == 5 else len(pooler.boxes)
        shapes = [self._known.shape(level.features) for level in pooler.levels]
        maps = {
            level.features.name or "": features(shape, i, images, kind, _SEED)
            for i, (level, shape) in enumerate(zip(pooler.levels, shapes, strict=True))
        }
        real_images = len(next(iter(maps.values())))
        rng = np.random.default_rng(_SEED)
        for boxes in boxes_that_tell(Boxes(_SEED, dtype), areas, 1 if columns == 5 else images):
            given = boxes
            if columns == 5:
                given = [np.hstack([rng.integers(0, real_images, (len(boxes[0]), 1)).astype(dtype), boxes[0]])]
            yield maps | {value.name or "": rows for value, rows in zip(pooler.boxes, given, strict=True)}

    # Pasting

    def _pasting(self, paste: Pasting) -> FusedPart:
        starts = [paste.masks, paste.boxes, *(one for one in (paste.height, paste.width) if isinstance(one, ir.Value))]
        region = region_of(starts, paste.end)
        if isinstance(region, str):
            return _refused(paste_masks.OP_TYPE, paste.end, region)
        nodes: list[ir.Node] = []
        sizes = []
        for name, given in (("height", paste.height), ("width", paste.width)):
            sizes.append(
                given if isinstance(given, ir.Value) else self._constant(given, f"{paste.end.name}/{name}", nodes)
            )
        proto = paste_masks.make_node("masks", "boxes", "height", "width", "images")
        nodes.append(self._node(proto, [paste.masks, paste.boxes, *sizes], paste.end.name or "pasted"))
        if not paste.has_channel:
            self._squeezed(nodes[-1].outputs[0], paste.end.name or "pasted", nodes)
        wrong = self._prove(region, starts, paste.end, nodes, [*self._pasting_feeds(paste)])
        if wrong is not None:
            return _refused(paste_masks.OP_TYPE, paste.end, wrong)
        return self._replace(paste_masks.OP_TYPE, paste.end, nodes, "masks go straight into their images")

    def _constant(self, numbers: int | list[int], name: str, nodes: list[ir.Node]) -> ir.Value:
        node = self._named(ir.node("Constant", [], {"value": ir.tensor(np.array(numbers, np.int64))}), name)
        nodes.append(node)
        return node.outputs[0]

    def _squeezed(self, images: ir.Value, name: str, nodes: list[ir.Node]) -> None:
        """(N, 1, height, width) to (N, height, width)."""
        if self._opset < _AXES_INPUT_OPSET:
            nodes.append(self._named(ir.node("Squeeze", [images], {"axes": [1]}), f"{name}/fused"))
            return
        axes = self._constant([1], f"{name}/axes", nodes)
        nodes.append(self._named(ir.node("Squeeze", [images, axes]), f"{name}/fused"))

    def _pasting_feeds(self, paste: Pasting) -> Iterator[dict[str, Any]]:
        kind = self._known.type(paste.masks) or onnx.TensorProto.FLOAT
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))
        boxes_kind = self._known.type(paste.boxes) or onnx.TensorProto.FLOAT
        boxes_dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(boxes_kind))
        shape = self._known.shape(paste.masks)
        side = shape[3] if shape is not None and len(shape) == 4 and isinstance(shape[3], int) and shape[3] > 0 else 28
        rng = np.random.default_rng(_SEED)
        for count, *sizes in ((12, 60, 83), (0, 20, 30), (1, 7, 5), (12, 31, 17)):
            height, width = (
                own if isinstance(own, int) else size
                for own, size in zip((paste.height, paste.width), sizes, strict=True)
            )
            corner = rng.uniform(-12, max(height, width), (count, 2))
            boxes = np.hstack([corner, corner + rng.uniform(-0.4, 60, (count, 2))])
            if count > 4:
                boxes[:4] = _odd_boxes(height, width)
            yield {
                paste.masks.name or "": rng.random((count, 1, side, side)).astype(dtype),
                paste.boxes.name or "": boxes.astype(boxes_dtype),
            } | {
                one.name or "": np.array(size)
                for one, size in ((paste.height, height), (paste.width, width))
                if isinstance(one, ir.Value)
            }

    # Both

    def _node(self, proto: onnx.NodeProto, inputs: Sequence[ir.Value | None], name: str) -> ir.Node:
        attributes = [ir.from_proto(one) for one in proto.attribute]
        return self._named(ir.Node(DOMAIN, proto.op_type, inputs, attributes, num_outputs=1), f"{name}/fused")

    def _named(self, node: ir.Node, name: str) -> ir.Node:
        node.outputs[0].name = node.name = self._names.fresh(name)
        return node

    def _prove(
        self, region: Region, starts: Sequence[ir.Value], end: ir.Value, nodes: Sequence[ir.Node], feeds: list[Any]
    ) -> str | None:
        kind = self._known.type(end)
        last = nodes[-1].outputs[0]
        producer = end.producer()
        assert producer is not None
        self._graph.insert_before(producer, list(nodes))
        made = Region(starts, [last])
        try:
            if made.others or not made.whole:
                return "the new node would read what the old part does not"
            old, new = (one.model(self._known, self._opset, self._weights) for one in (region, made))
            new.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(last.name or "", kind or 1, None))
            return disagreement(old, new, feeds, (end.name or "", last.name or ""))
        finally:
            self._graph.remove(list(nodes), safe=False)

    def _replace(self, op: str, end: ir.Value, nodes: Sequence[ir.Node], text: str) -> FusedPart:
        producer = end.producer()
        assert producer is not None
        name = end.name or ""
        before = sum(1 for _ in self._graph)
        read_before = [value for value in producer.inputs if value is not None]
        last = nodes[-1].outputs[0]
        ir.convenience.replace_nodes_and_values(self._graph, producer, [producer], list(nodes), [end], [last])
        last.name = name
        for value in read_before:
            remove_unread(value)
        return FusedPart(op, name, True, before - sum(1 for _ in self._graph), text)


def _odd_boxes(height: int, width: int) -> Any:
    """A point, corners in the middle of a pixel, and boxes outside the image."""
    rows: list[list[float]] = [[2, 3, 2, 3], [4.5, 4.5, 20.5, 9.5], [-9, -9, -2, -2]]
    return np.array([*rows, [width, height, width + 9, height + 2]], np.float64)


def _of_rows(feed: dict[str, Any], boxes: Sequence[ir.Value], rows: int) -> dict[str, Any]:
    """The feed with so many rows of boxes in all, repeated or left out: of each image as many as it had, in part."""
    names = [one.name or "" for one in boxes]
    given = np.vstack([feed[name] for name in names])
    ends = np.cumsum([len(feed[name]) for name in names]) * rows // max(len(given), 1)
    ends[-1] = rows
    all_rows = np.resize(given, (rows, given.shape[1])) if len(given) else np.zeros((rows, given.shape[1]), given.dtype)
    return feed | dict(zip(names, np.split(all_rows, ends[:-1]), strict=True))


def _refused(op: str, end: ir.Value, why: str) -> FusedPart:
    return FusedPart(op, end.name or "", False, 0, why)


def _rule_text(rule: LevelRule) -> str:
    epsilon = f" + {rule.log_epsilon:.3g}" if rule.log_epsilon else ""
    after = f" + {rule.floor_epsilon:.3g}" if rule.floor_epsilon else ""
    return (
        f"level = floor({rule.canonical_level} + log2(sqrt(area) / {rule.canonical_scale:g}{epsilon}){after}), "
        f"{rule.min_level} to {rule.max_level}"
    )
