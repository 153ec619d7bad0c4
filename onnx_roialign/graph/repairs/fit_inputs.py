"""A pass that casts inputs to a type that RoiAlign accepts, where the cast is lossless."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from onnx_roialign.errors import RoiAlignError
from onnx_roialign.graph.reading.input_types import fit, given
from onnx_roialign.graph.reading.sites import Site, sites
from onnx_roialign.graph.reading.value_types import Known
from onnx_roialign.graph.writing.fresh import Names
from onnx_roialign.graph.writing.private import as_private, import_private

__all__ = ["FitInputs"]


class FitInputs(ir.passes.InPlacePass):
    """Makes the types of every RoiAlign's inputs valid, by the rules of `input_types.fit`.

    1. A value that needs a cast gets one Cast before the first node of a graph that reads it.
    2. If X has a 16-bit type and the boxes another type, the node becomes the private operator with the same meaning,
       because a cast to X's type would move the boxes; without ``private``, this is an error.

    Args:
        known: known element types.
        private: whether the private operator may be used.
    """

    def __init__(self, known: Known, *, private: bool) -> None:
        self._known = known
        self._private = private

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules; `modified` of the result is whether any node changed."""
        fits = [(site, fit(site, self._known)) for site in sites(model)]
        wrong = [(site, change) for site, change in fits if change.casts or change.private]
        casts: dict[tuple[ir.Graph | None, ir.Value, str], ir.Value] = {}
        names = Names(model) if wrong else None
        for site, change in wrong:
            if change.private:
                self._make_private(site)
            for name, dtype in change.casts.items():
                value = site.input(name)
                assert value is not None  # its type is known
                assert names is not None
                key = (site.node.graph, value, dtype)
                if key not in casts:
                    casts[key] = _cast(site.node, value, dtype, names.fresh(f"{value.name}/{dtype}"))
                    self._known.record(casts[key], _kind(dtype), self._known.shape(value))
                site.node.replace_input_with(site.position(name), casts[key])
        if wrong:
            import_private(model)
        return ir.passes.PassResult(model, bool(wrong))

    def _make_private(self, site: Site) -> None:
        if not self._private:
            X, rois = (given(site.input(name), self._known).dtype for name in ("X", "rois"))
            raise RoiAlignError(
                "rois", "type", f"must have X's type {X}, or the private op be allowed, got {rois}"
            ).in_node(site.name)
        as_private(site)


def _cast(before: ir.Node, value: ir.Value, dtype: str, name: str) -> ir.Value:
    """Inserts a Cast of the value, and returns its result."""
    node = ir.node("Cast", [value], {"to": _kind(dtype)}, name=name)
    node.outputs[0].name = name
    assert before.graph is not None
    before.graph.insert_before(before, node)
    return node.outputs[0]


def _kind(dtype: str) -> int:
    return ir.DataType.from_numpy(np.dtype(dtype)).value
