"""A pass that computes batch indices from the number of RoIs per image, where they are constant zeros."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnx_roialign.graph.reading.batch import always_first_image, counts_for, images_of, named_counts
from onnx_roialign.graph.reading.sites import Site, sites
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.writing.fresh import Names
from onnx_roialign.graph.writing.unread import remove_unread

__all__ = ["WireBatchIndices"]


class WireBatchIndices(ir.passes.InPlacePass):
    """Uses the RoI counts that an exporter left unused (Paddle's ``rois_num``).

    1. A RoiAlign whose batch indices are always zero gets index i for counts[i] RoIs, in order.
    2. The counts are the value named in ``counts``, or the one integer vector among the graph's inputs that no node
       reads; if there are several, nothing changes.
    3. Only operators that are the same from opset 9 on are used, so every opset with RoiAlign has them. With n images
       and k RoIs, the (n, k) table "j < counts[i]" is true counts[i] times in row i, and NonZero lists the positions
       row by row. If the counts do not add up to k, RoiAlign refuses the number of indices.
    4. Nodes that computed the zeros and that nothing else reads are removed.

    Functions of the model are not changed, because they cannot read an input of the graph.

    Args:
        counts: name of a value of the model's graph: integers, one per image.
        known: known shapes; a batch of one image needs no other index than zero.
    """

    def __init__(self, counts: str | None, known: Known) -> None:
        self._counts = counts
        self._known = known

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules; `modified` of the result is whether any node changed."""
        every = list(sites(model))
        counts = counts_for(model, every) if self._counts is None else named_counts(model, self._counts)
        wrong = [site for site in every if not site.in_function and self._is_wrong(site)]
        if counts is None or not wrong:
            return ir.passes.PassResult(model, False)
        computed: dict[tuple[ir.Graph | None, ir.Value | None], ir.Value] = {}
        names = Names(model)
        for site in wrong:
            key = (site.node.graph, site.input("rois"))
            if key not in computed:
                computed[key] = _indices(site, counts, names)
                self._known.record(computed[key], ir.DataType.INT64, (self._known.shape(key[1]) or ("",))[:1])
            before = site.input("batch_indices")
            site.node.replace_input_with(site.position("batch_indices"), computed[key])
            remove_unread(before)
        return ir.passes.PassResult(model, True)

    def _is_wrong(self, site: Site) -> bool:
        return always_first_image(site) and images_of(site, self._known) != 1


def _indices(site: Site, counts: ir.Value, names: Names) -> ir.Value:
    """Inserts the nodes that compute the indices before the RoiAlign; returns their result."""
    tape = ir.tape.Tape()

    def constant(numbers: list[int] | int) -> ir.Value:
        return tape.op("Constant", [], {"value": ir.tensor(np.array(numbers, np.int64))})

    column = tape.op("Reshape", [tape.op("Cast", [counts], {"to": ir.DataType.INT64.value}), constant([-1, 1])])
    number = tape.op("Gather", [tape.op("Shape", [site.input("rois")]), constant([0])])
    ones = tape.op("ConstantOfShape", [number], {"value": ir.tensor(np.array([1], np.int64))})
    row = tape.op("NonZero", [ones])  # (1, k): 0, 1, ..., k - 1
    places = tape.op("NonZero", [tape.op("Less", [row, column])])
    indices = tape.op("Gather", [places, constant(0)])
    for index, node in enumerate(tape.nodes):
        node.name = f"{site.name}/batch_indices/{index}"
        node.outputs[0].name = names.fresh(f"{node.name}_output")
    assert site.node.graph is not None
    site.node.graph.insert_before(site.node, tape.nodes)
    return indices
