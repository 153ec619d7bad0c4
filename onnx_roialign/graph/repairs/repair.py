"""repair: corrects the RoiAligns of a model so that they compute what the exported framework call computes."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import onnx
import onnx_ir as ir

from onnx_roialign.definition.attributes import flag
from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, Semantics
from onnx_roialign.definition.sources import parse as parse_source
from onnx_roialign.errors import RoiAlignError, last_guard
from onnx_roialign.graph.conversion.opset import convert_graph
from onnx_roialign.graph.reading.collector import collector_paused
from onnx_roialign.graph.reading.meaning import express_in_onnx
from onnx_roialign.graph.reading.sites import Site, resolved, sites
from onnx_roialign.graph.reading.value_types import Known, infer_known
from onnx_roialign.graph.repairs import FitInputs, KeepBoxesWide, StateMeaning, TidyAttributes, WireBatchIndices
from onnx_roialign.graph.repairs.state_meaning import is_right
from onnx_roialign.graph.writing.restore import read, restored
from onnx_roialign.onnx_model.file import Model
from onnx_roialign.onnx_model.inlined import inlined
from onnx_roialign.onnx_model.scopes import default_opset
from onnx_roialign.onnx_model.soundness import sound
from onnx_roialign.onnx_model.value_info import add_value_info

__all__ = ["repair"]


@collector_paused()
def repair(
    model: Model,
    source: str | Semantics,
    *,
    counts: str | None = None,
    raise_opset: bool = True,
    private_op: bool = True,
    exact: bool = False,
) -> onnx.ModelProto:
    """Returns a model that computes what its source computes; an equal copy if the model is right.

    Corrects what `validate` reports as repairable: attributes, batch indices, the meaning of the nodes, and the types
    of their inputs, by a lossless Cast. The meaning is expressed with ONNX's RoiAlign where possible. Below opset 16
    RoiAlign has no half_pixel, so the model's opset is raised to 16 if the rest of the model can be converted. A
    meaning that ONNX cannot express (a minimum RoI size, 16-bit features with boxes of another type) is written as the
    private operator ``onnx_roialign::AnyRoiAlign``, which `onnx_roialign.session` and
    `onnx_roialign.reference_evaluator` run. Casts that round boxes to a 16-bit type before RoiAlign are removed.
    Everything else is kept, including documentation, metadata, annotations and functions.

    Args:
        model: path, bytes or ModelProto; it is not changed. External data is neither read nor moved.
        source: the framework call that the model was exported from, as `onnx_roialign.sources.parse` reads it.
        counts: name of the value in the model's graph with the number of RoIs per image, for batch indices that are
            constant zeros; None: the only integer graph input that no node reads, if there is exactly one.
        raise_opset: whether the opset may be raised to 16 for half_pixel; if not, the private operator is used.
        private_op: whether the private operator may be used.
        exact: whether the NaN of bins without samples (Paddle, MindSpore: RoIs without area) must be kept, which needs
            the private operator; if not, such bins have the value 0, as in ONNX.

    Raises:
        RoiAlignError: the model cannot be read, the source or the value is unknown, or the meaning needs something that
            is not allowed.
    """
    wanted = parse_source(source)
    raise_opset, private_op = flag("raise_opset", raise_opset), flag("private_op", private_op)
    exact = flag("exact", exact)
    original = sound(model)
    with last_guard("repaired"):
        proto = resolved(original)
        graph, known, modified = _start(proto, counts)
        if raise_opset and _needs_half_pixel(graph, wanted, exact=exact):
            graph, known, raised = _raise_opset(graph, known, proto, counts)
            modified |= raised
        for step in (
            StateMeaning(wanted, known, exact=exact, private=private_op),
            FitInputs(known, private=private_op),
            KeepBoxesWide(known, private=private_op),
        ):
            modified |= step(graph).modified
        if not modified:
            return deepcopy(original)
        result = restored(proto, ir.to_proto(graph))
        add_value_info(result)
        return result


def _needs_half_pixel(model: ir.Model, wanted: Semantics, *, exact: bool) -> bool:
    """Returns whether a wrong node can be expressed in ONNX from opset 16 on, but not at its opset."""
    return any(
        not site.private
        and site.opset is not None
        and site.opset < HALF_PIXEL_OPSET
        and site.readable
        and not is_right(site, wanted, exact=exact)
        and _needs_newer_opset(site, wanted, exact)
        for site in sites(model)
    )


def _needs_newer_opset(site: Site, wanted: Semantics, exact: bool) -> bool:
    attributes = replace(site.attributes, semantics=wanted)
    assert site.opset is not None
    return (
        express_in_onnx(attributes, site.opset, exact=exact) is None
        and express_in_onnx(attributes, HALF_PIXEL_OPSET, exact=exact) is not None
    )


def _start(model: onnx.ModelProto, counts: str | None) -> tuple[ir.Model, Known, bool]:
    """Reads the model and applies the passes that do not depend on the source; also returns whether a node changed."""
    graph = read(model)
    known = infer_known(model, graph)  # before a pass removes an attribute with a body from `graph` alone
    modified = TidyAttributes()(graph).modified
    modified |= WireBatchIndices(counts, known)(graph).modified
    return graph, known, modified


def _raise_opset(
    graph: ir.Model, known: Known, model: onnx.ModelProto, counts: str | None
) -> tuple[ir.Model, Known, bool]:
    """Converts the model to opset 16 if all of it can be converted; also returns whether it was converted."""
    if _convert(graph, known):
        return graph, known, True
    opsets = {default_opset(owner.opset_import) for owner in (model, *model.functions)} - {None}
    if model.functions and len(opsets) == 1:
        graph, known, _ = _start(inlined(model), counts)
        if _convert(graph, known):
            return graph, known, True
    return *_start(model, counts)[:2], False


def _convert(graph: ir.Model, known: Known) -> bool:
    """Converts the model to opset 16 in place; returns whether that succeeded, else it is partly converted."""
    try:
        with last_guard("converted"):
            convert_graph(graph, HALF_PIXEL_OPSET, known, private=False)
    except RoiAlignError:
        return False
    return True
