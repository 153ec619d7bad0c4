"""A pass that removes the rounding of boxes to a 16-bit type before a RoiAlign."""

from __future__ import annotations

import onnx_ir as ir

from onnx_roialign.graph.reading.narrow import Narrow
from onnx_roialign.graph.reading.sites import Site, sites
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.reading.values import settle
from onnx_roialign.graph.writing.fresh import Names
from onnx_roialign.graph.writing.private import as_private, import_private
from onnx_roialign.graph.writing.unread import remove_unread

__all__ = ["KeepBoxesWide", "keeps_boxes_wide"]


def keeps_boxes_wide(site: Site, narrow: Narrow, *, private: bool = True) -> bool:
    """Returns whether the pass changes the boxes of a RoiAlign.

    Args:
        site: the RoiAlign.
        narrow: where the model rounds boxes to 16 bits.
        private: whether the private operator may be used.
    """
    allowed = private or site.private or narrow.type(site.input("X")) == ir.DataType.FLOAT
    return allowed and site.readable and narrow.boxes(site).rounded and bool(narrow.coarse(site))


class KeepBoxesWide(ir.passes.InPlacePass):
    """Gives RoiAlign the boxes before a float16 converter rounded them, in large images to whole pixels.

    1. Between a RoiAlign and its boxes, through nodes that only move elements (`narrow`), every Cast from a wider type
       to a 16-bit type is bypassed.
    2. The nodes between are copied in float32 just before the RoiAlign, for it alone. Their other inputs are cast to
       float32: that is exact for 16-bit types; for float64 it is the rounding that RoiAlign does itself.
    3. Arithmetic in 16 bits is not changed, nor are boxes without such a Cast, nor boxes in images so small that the
       type is exact to 1/8 pixel.
    4. A RoiAlign whose features are not float32 becomes onnx_roialign::AnyRoiAlign, because ONNX's RoiAlign needs boxes
       of X's type; without ``private`` it is not changed.

    Args:
        known: types of the model's values. None are known in functions; there, every Cast counts as rounding.
        private: whether the private operator may be used.
    """

    def __init__(self, known: Known, *, private: bool) -> None:
        self._narrow = Narrow(known)
        self._private = private

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules; `modified` of the result is whether any node changed."""
        wrong = [site for site in sites(model) if keeps_boxes_wide(site, self._narrow, private=self._private)]
        if not wrong:
            return ir.passes.PassResult(model, False)
        names = Names(model)
        wide = [_wide(site, self._narrow, names) for site in wrong]  # compute all before the graph changes
        for site, (nodes, boxes) in zip(wrong, wide, strict=True):
            node, before = site.node, site.input("rois")
            assert node.graph is not None
            assert before is not None
            node.graph.insert_before(node, nodes)
            node.replace_input_with(site.position("rois"), boxes)
            if not site.private and self._narrow.type(site.input("X")) != ir.DataType.FLOAT:
                as_private(site)
            remove_unread(before)
        import_private(model)
        return ir.passes.PassResult(model, True)


def _wide(site: Site, narrow: Narrow, names: Names) -> tuple[list[ir.Node], ir.Value]:
    """Returns new nodes that compute the boxes in float32, and the boxes."""
    rois = site.input("rois")
    assert rois is not None
    nodes: list[ir.Node] = []
    written: dict[ir.Node, ir.Node] = {}
    wide: dict[ir.Value, ir.Value] = {}

    def sources(value: ir.Value) -> list[ir.Value]:
        node = value.producer()
        return (narrow.moved(node) or []) if node is not None and narrow.way(value).rounded else []

    def write(value: ir.Value) -> ir.Value:
        node, before = value.producer(), sources(value)
        if node is None or not before:
            return value if narrow.type(value) == ir.DataType.FLOAT else add("Cast", [value], {"to": ir.DataType.FLOAT})
        if node.op_type == "Cast":
            return wide[before[0]]
        if node not in written:
            inputs = [wide[value] if value is not None and value in before else value for value in node.inputs]
            written[node] = new(ir.Node("", node.op_type, inputs, node.attributes, num_outputs=len(node.outputs)))
        return written[node].outputs[node.outputs.index(value)]

    def add(op_type: str, inputs: list[ir.Value], attributes: dict[str, int]) -> ir.Value:
        return new(ir.node(op_type, inputs, attributes)).outputs[0]

    def new(node: ir.Node) -> ir.Node:
        node.name = f"{site.name}/wide_rois/{len(nodes)}"
        for output in node.outputs:
            output.name = names.fresh(node.name)
        nodes.append(node)
        return node

    return nodes, settle(wide, rois, sources, write)
