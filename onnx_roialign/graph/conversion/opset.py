"""convert_opset, make_explicit: a model at another opset or its own, in which every RoiAlign means what it meant."""

from __future__ import annotations

from typing import Any

import onnx
import onnx.inliner
import onnx_ir as ir

from onnx_roialign.definition.semantics import FIRST_OPSET, HALF_PIXEL_OPSET
from onnx_roialign.errors import RoiAlignError, last_guard
from onnx_roialign.graph.conversion.convert_nodes import ConvertNodes, check_types
from onnx_roialign.graph.conversion.make_explicit import MakeExplicit
from onnx_roialign.graph.reading.sites import resolved
from onnx_roialign.graph.reading.value_types import Known, infer_known
from onnx_roialign.graph.writing.restore import read, restored
from onnx_roialign.onnx_model.file import Model
from onnx_roialign.onnx_model.scopes import default_opset, scopes
from onnx_roialign.onnx_model.soundness import sound
from onnx_roialign.onnx_model.value_info import add_value_info
from onnx_roialign.ops.nodes import is_explicit, is_roi_align

__all__ = ["convert_graph", "convert_opset", "converted", "inlined", "make_explicit"]


def convert_opset(model: Model, target: int, *, private_op: bool = False) -> onnx.ModelProto:
    """The model at another opset, up or down; every RoiAlign answers what it answered.

    The default of coordinate_transformation_mode is output_half_pixel below opset 16 and half_pixel from there on, so
    it is written wherever the target has the attribute. Of the rest, what is the same in the target stays as it is, and
    every other node is onnx's version converter's to convert. Documentation, metadata, annotations, training
    information and sparse initializers are kept. Functions are kept too, and converted; those called are inlined only
    where a node in them cannot be converted without knowing the types that it is called with, or where a RoiAlign in
    them takes its attributes from the call.

    Args:
        model: path, bytes or ModelProto; it is not changed. External data stays where it is.
        target: version of ONNX's own operators, from 10 to the newest that the installed onnx knows.
        private_op: whether a RoiAlign that the target cannot say becomes ``onnx_roialign::AnyRoiAlign``.

    Raises:
        RoiAlignError: no model, no such opset, a RoiAlign that the target cannot say (the text says what would change
            and by how much), or another operator that cannot be converted.
    """
    return converted(model, target, private=private_op)


def converted(model: Model, target: int, *, private: bool, allow: str = "private_op=True") -> onnx.ModelProto:
    """`convert_opset`, with the words in which the caller is asked to allow the private op."""
    newest = onnx.defs.onnx_opset_version()
    if isinstance(target, bool) or not isinstance(target, int) or not FIRST_OPSET <= target <= newest:
        raise RoiAlignError(f"target must be an opset from {FIRST_OPSET} to {newest}, got {target!r}")
    proto = sound(model)
    opsets = [default_opset(owner.opset_import) for owner in (proto, *proto.functions)]
    if opsets[0] is None:
        raise RoiAlignError("model must import ONNX's own operators, got a model without them")
    if all(opset in (None, target) for opset in opsets):
        return _copy(proto)
    explicit = {"private": private, "allow": allow}
    with last_guard("converted"):
        ready = resolved(proto)
        try:
            return _converted(ready, target, explicit)
        except RoiAlignError:
            if not ready.functions or len({opset for opset in opsets if opset is not None}) > 1:
                raise
            return _converted(inlined(ready), target, explicit)


def make_explicit(model: Model) -> onnx.ModelProto:
    """The model with every RoiAlign's meaning in its node; one that has it already comes back as an equal copy.

    A RoiAlign without coordinate_transformation_mode means another thing from opset 16 on than before, and a kernel
    cannot see the opset. `onnx_roialign.session` and `register` tell it by a session config entry; where none can be
    set (Triton, conversion to ORT format, some languages), a model made explicit needs
    ``RegisterCustomOpsLibrary(library_path())`` and nothing else, and answers the same to the bit.

    From opset 16 on the attribute is written. Below, which does not have it, the opset is raised to 16 as
    `convert_opset` does; where the rest of the model cannot be raised, its RoiAligns become
    ``onnx_roialign::AnyRoiAlign``, which carries its whole meaning.

    Args:
        model: path, bytes or ModelProto; it is not changed. External data stays where it is.

    Raises:
        RoiAlignError: no model, or a RoiAlign whose attributes are not valid.
    """
    proto = sound(model)
    default_opset(proto.opset_import)  # refuses several
    undecided = [
        scope.opset for scope in scopes(proto) for node in scope.nodes if is_roi_align(node) and not is_explicit(node)
    ]
    if not undecided:
        return _copy(proto)
    opsets = [opset for one in (proto, *proto.functions) if (opset := default_opset(one.opset_import)) is not None]
    if any(opset is not None and opset < HALF_PIXEL_OPSET for opset in undecided):
        try:
            return converted(proto, max(HALF_PIXEL_OPSET, *opsets), private=False)
        except RoiAlignError:
            pass  # what a RoiAlign of it cannot be, the pass refuses too
    with last_guard("made explicit"):
        ready = resolved(proto)
        graph = read(ready)
        MakeExplicit(None, infer_known(ready, graph), private=True)(graph)
        result = restored(ready, ir.to_proto(graph))
        add_value_info(result)
        return result


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _converted(model: onnx.ModelProto, target: int, explicit: dict[str, Any]) -> onnx.ModelProto:
    graph = read(model)
    convert_graph(graph, target, infer_known(model, graph), **explicit)
    result = restored(model, ir.to_proto(graph))
    add_value_info(result)
    return result


def convert_graph(graph: ir.Model, target: int, known: Known, *, private: bool, allow: str = "") -> None:
    """Takes a model to another opset in place.

    Args:
        graph: it is changed, and where this fails, left half converted.
        target: version of ONNX's own operators.
        known: types and shapes of its values; gains those of what is new.
        private: whether a RoiAlign that the target cannot say becomes the private op.
        allow: the words in which the caller is asked to allow that.

    Raises:
        RoiAlignError: a node that cannot be converted.
    """
    MakeExplicit(target, known, private=private, allow=allow)(graph)
    ConvertNodes(target, known)(graph)
    owners: list[ir.Graph | ir.Function] = [graph.graph, *graph.functions.values()]
    imports = [
        onnx.helper.make_opsetid(domain, version) for owner in owners for domain, version in owner.opset_imports.items()
    ]
    graph.ir_version = max(graph.ir_version, onnx.helper.find_min_ir_version_for(imports, True))
    if graph.functions:
        called = inlined(ir.to_proto(graph))
        written_out = read(called)
        check_types(written_out, target, infer_known(called, written_out))


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions; the inliner does not import the domains of what was in them."""
    copy = _copy(model)
    imported = {entry.domain for entry in copy.opset_import}
    for function in copy.functions:
        for entry in function.opset_import:
            if entry.domain not in imported:
                copy.opset_import.append(entry)
                imported.add(entry.domain)
    return onnx.inliner.inline_local_functions(copy)
