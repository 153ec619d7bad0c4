"""convert_opset and make_explicit: write a model at another opset, or with explicit attributes, with equal results."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import onnx
import onnx_ir as ir

from onnx_roialign.definition.attributes import flag, integer
from onnx_roialign.definition.semantics import FIRST_OPSET, HALF_PIXEL_OPSET
from onnx_roialign.errors import RoiAlignError, last_guard, shown
from onnx_roialign.graph.conversion.convert_nodes import ConvertNodes, check_types
from onnx_roialign.graph.conversion.make_explicit import MakeExplicit
from onnx_roialign.graph.reading.collector import collector_paused
from onnx_roialign.graph.reading.sites import resolved
from onnx_roialign.graph.reading.value_types import Known, infer_known
from onnx_roialign.graph.writing.restore import read, restored
from onnx_roialign.onnx_model.file import Model
from onnx_roialign.onnx_model.inlined import inlined
from onnx_roialign.onnx_model.scopes import default_opset, scopes
from onnx_roialign.onnx_model.soundness import sound
from onnx_roialign.onnx_model.value_info import add_value_info
from onnx_roialign.ops.nodes import is_explicit, is_roi_align

__all__ = ["convert_graph", "convert_opset", "converted", "inlined", "make_explicit"]


def convert_opset(model: Model, target: int, *, private_op: bool = False) -> onnx.ModelProto:
    """Returns the model at a higher or lower opset, in which every RoiAlign computes the same results.

    The default of coordinate_transformation_mode is output_half_pixel below opset 16 and half_pixel from opset 16 on,
    so the attribute is written wherever the target has it. Operators that are the same in the target are not changed;
    onnx's version converter converts the others. Documentation, metadata, annotations, training information and sparse
    initializers are kept. Functions are converted; a function is inlined only if a node in it cannot be converted
    without the types of its inputs, or if a RoiAlign in it has an attribute that refers to the function's.

    Args:
        model: path, bytes or ModelProto; it is not changed. External data is neither read nor moved.
        target: version of ONNX's own operators, from 10 to the newest that the installed onnx has.
        private_op: whether a RoiAlign that the target cannot express becomes ``onnx_roialign::AnyRoiAlign``.

    Raises:
        RoiAlignError: the model cannot be read; the target is not such an opset or cannot express a RoiAlign (the
            message has the change of its results); or another operator cannot be converted.
    """
    return converted(model, target, private=flag("private_op", private_op))


@collector_paused()
def converted(model: Model, target: int, *, private: bool, allow: str = "private_op=True") -> onnx.ModelProto:
    """Implements `convert_opset`; `allow` is the option that allows the private operator, for messages."""
    target, newest = integer("target", target), onnx.defs.onnx_opset_version()
    if not FIRST_OPSET <= target <= newest:
        raise RoiAlignError("target", "range", f"must be an opset from {FIRST_OPSET} to {newest}, got {shown(target)}")
    return _sound_converted(sound(model), target, private=private, allow=allow)


def _sound_converted(proto: onnx.ModelProto, target: int, *, private: bool, allow: str = "") -> onnx.ModelProto:
    opsets = [default_opset(owner.opset_import) for owner in (proto, *proto.functions)]
    if opsets[0] is None:
        raise RoiAlignError("model", "missing", "must import ONNX's own operators, got a model without them")
    if all(opset in (None, target) for opset in opsets):
        return deepcopy(proto)
    explicit = {"private": private, "allow": allow}
    with last_guard("converted"):
        ready = resolved(proto)
        try:
            return _converted(ready, target, explicit)
        except RoiAlignError:
            if not ready.functions or len({opset for opset in opsets if opset is not None}) > 1:
                raise
            return _converted(inlined(ready), target, explicit)


@collector_paused()
def make_explicit(model: Model) -> onnx.ModelProto:
    """Returns the model with every RoiAlign's meaning written in its node; an equal copy if it already is.

    The meaning of a RoiAlign without coordinate_transformation_mode depends on the opset, which a kernel cannot see.
    `onnx_roialign.session` and `register` set the opset as a session config entry. Where no entry can be set (Triton,
    conversion to ORT format, some languages), the model returned here needs only
    ``RegisterCustomOpsLibrary(library_path())`` and returns the same results bit for bit.

    From opset 16 on, the attribute is written. Lower opsets do not have it: the opset is raised to 16 as by
    `convert_opset`, or, if the rest of the model cannot be converted, the RoiAligns become
    ``onnx_roialign::AnyRoiAlign``, which has its whole meaning in its attributes.

    Args:
        model: path, bytes or ModelProto; it is not changed. External data is neither read nor moved.

    Raises:
        RoiAlignError: the model cannot be read, or a RoiAlign has invalid attributes.
    """
    proto = sound(model)
    default_opset(proto.opset_import)  # refuses several versions
    undecided = [
        scope.opset for scope in scopes(proto) for node in scope.nodes if is_roi_align(node) and not is_explicit(node)
    ]
    if not undecided:
        return deepcopy(proto)
    imports = [default_opset(owner.opset_import) for owner in (proto, *proto.functions)]
    opsets = [opset for opset in imports if opset is not None]
    if any(opset is not None and opset < HALF_PIXEL_OPSET for opset in undecided):
        try:
            return _sound_converted(proto, max(HALF_PIXEL_OPSET, *opsets), private=False)
        except RoiAlignError:
            pass  # the pass below also raises an error if a RoiAlign is the cause
    with last_guard("made explicit"):
        ready = resolved(proto)
        graph = read(ready)
        MakeExplicit(None, infer_known(ready, graph), private=True)(graph)
        result = restored(ready, ir.to_proto(graph))
        add_value_info(result)
        return result


def _converted(model: onnx.ModelProto, target: int, explicit: dict[str, Any]) -> onnx.ModelProto:
    graph = read(model)
    convert_graph(graph, target, infer_known(model, graph), **explicit)
    result = restored(model, ir.to_proto(graph))
    add_value_info(result)
    return result


def convert_graph(graph: ir.Model, target: int, known: Known, *, private: bool, allow: str = "") -> None:
    """Converts a model to another opset in place.

    Args:
        graph: the model, which is changed; after an error it is partly converted.
        target: version of ONNX's own operators.
        known: types and shapes of its values; those of new values are added.
        private: whether a RoiAlign that the target cannot express becomes the private operator.
        allow: the option that allows it, for the message.

    Raises:
        RoiAlignError: a node cannot be converted.
    """
    MakeExplicit(target, known, private=private, allow=allow)(graph)
    ConvertNodes(target, known)(graph)
    owners: list[ir.Graph | ir.Function] = [graph.graph, *graph.functions.values()]
    imports = [
        onnx.helper.make_opsetid(domain, version) for owner in owners for domain, version in owner.opset_imports.items()
    ]
    graph.ir_version = max(graph.ir_version, onnx.helper.find_min_ir_version_for(imports, True))
    if graph.functions:
        proto = inlined(ir.to_proto(graph))
        without_functions = read(proto)
        check_types(without_functions, target, infer_known(proto, without_functions))
