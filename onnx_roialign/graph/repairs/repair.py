"""repair: a model whose RoiAligns answer what the framework call they came from answers."""

from __future__ import annotations

from dataclasses import replace

import onnx
import onnx_ir as ir

from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET, Semantics
from onnx_roialign.definition.sources import parse as parse_source
from onnx_roialign.errors import RoiAlignError, last_guard
from onnx_roialign.graph.conversion.opset import convert_graph, inlined
from onnx_roialign.graph.reading.meaning import express_in_onnx
from onnx_roialign.graph.reading.sites import Site, resolved, sites
from onnx_roialign.graph.reading.value_types import Known, infer_known
from onnx_roialign.graph.repairs import FitInputs, KeepBoxesWide, StateMeaning, TidyAttributes, WireBatchIndices
from onnx_roialign.graph.repairs.state_meaning import is_right
from onnx_roialign.graph.writing.restore import read, restored
from onnx_roialign.onnx_model.file import Model
from onnx_roialign.onnx_model.scopes import default_opset
from onnx_roialign.onnx_model.soundness import sound
from onnx_roialign.onnx_model.value_info import add_value_info

__all__ = ["repair"]


def repair(
    model: Model,
    source: str | Semantics,
    *,
    counts: str | None = None,
    raise_opset: bool = True,
    private_op: bool = True,
    exact: bool = False,
) -> onnx.ModelProto:
    """A model that answers what its source answers; a right one comes back as an equal copy.

    Mends what `validate` calls repairable: attributes, batch indices, what the node means, and the types of its inputs,
    by a Cast where that loses nothing. It says the meaning with ONNX's own RoiAlign where that can say it: below opset
    16, that has no half_pixel, so the model's opset is raised to 16 where the rest of the model can be converted. What
    ONNX cannot say (a minimum size, 16-bit features with boxes of another type), it says with the private op
    ``onnx_roialign::AnyRoiAlign``, which `onnx_roialign.session` and `onnx_roialign.reference_evaluator` run. Boxes
    that are rounded to a 16-bit type just before they are read go in as they were. All that has no part in it,
    documentation, metadata, annotations and functions among it, is kept.

    Args:
        model: path, bytes or ModelProto; it is not changed. External data stays where it is.
        source: the framework call that the model came from, as `onnx_roialign.sources.parse` reads it.
        counts: name of the value (of the model's graph) with the number of RoIs of each image, for batch indices that
            are constant zeros; None: the graph input that is left for it, where one is.
        raise_opset: whether the opset may be raised to 16, for half_pixel; otherwise the private op says it.
        private_op: whether the private op may be used.
        exact: whether NaN in bins without samples (Paddle, MindSpore: RoIs without area) must be kept, which needs the
            private op; otherwise such bins answer 0, as everywhere in ONNX.

    Raises:
        RoiAlignError: no model, no such source or value, or a meaning that could only be said by what is not allowed.
    """
    wanted = parse_source(source)
    original = sound(model)
    with last_guard("repaired"):
        proto = resolved(original)
        graph, known, modified = _begun(proto, counts)
        if raise_opset and _needs_half_pixel(graph, wanted, exact=exact):
            graph, known, raised = _raised(graph, known, proto, counts)
            modified |= raised
        for step in (
            StateMeaning(wanted, known, exact=exact, private=private_op),
            FitInputs(known, private=private_op),
            KeepBoxesWide(known, private=private_op),
        ):
            modified |= step(graph).modified
        if not modified:
            return _copy(original)
        result = restored(proto, ir.to_proto(graph))
        add_value_info(result)
        return result


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _needs_half_pixel(model: ir.Model, wanted: Semantics, *, exact: bool) -> bool:
    """Whether a node that is not right can be said from opset 16 on, and not before."""
    return any(
        not site.private
        and site.opset is not None
        and site.opset < HALF_PIXEL_OPSET
        and site.readable
        and not is_right(site, wanted, exact=exact)
        and _sayable(site, wanted, exact)
        for site in sites(model)
    )


def _sayable(site: Site, wanted: Semantics, exact: bool) -> bool:
    attributes = replace(site.attributes, semantics=wanted)
    assert site.opset is not None
    return (
        express_in_onnx(attributes, site.opset, exact=exact) is None
        and express_in_onnx(attributes, HALF_PIXEL_OPSET, exact=exact) is not None
    )


def _begun(model: onnx.ModelProto, counts: str | None) -> tuple[ir.Model, Known, bool]:
    """The model in onnx-ir after the steps that do not ask what a source means; and whether any node changed."""
    graph = read(model)
    known = infer_known(model, graph)  # before an attribute goes, and a body with it that the two would share
    modified = TidyAttributes()(graph).modified
    modified |= WireBatchIndices(counts, known)(graph).modified
    return graph, known, modified


def _raised(graph: ir.Model, known: Known, model: onnx.ModelProto, counts: str | None) -> tuple[ir.Model, Known, bool]:
    """The model at opset 16, or as it was begun where the rest of it cannot be converted; and whether it is raised."""
    if _converts(graph, known):
        return graph, known, True
    opsets = {default_opset(owner.opset_import) for owner in (model, *model.functions)} - {None}
    if model.functions and len(opsets) == 1:
        graph, known, _ = _begun(inlined(model), counts)
        if _converts(graph, known):
            return graph, known, True
    return *_begun(model, counts)[:2], False


def _converts(graph: ir.Model, known: Known) -> bool:
    """Takes the model to opset 16; where that fails, it is left half converted."""
    try:
        with last_guard("converted"):
            convert_graph(graph, HALF_PIXEL_OPSET, known, private=False)
    except RoiAlignError:
        return False
    return True
