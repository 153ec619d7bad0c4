"""Reads the facts about a model that a session needs, once: its RoiAligns, its opset, the files of its weights."""

from __future__ import annotations

import os
from dataclasses import dataclass

import onnx

from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.onnx_model.file import Model, parse
from onnx_roialign.onnx_model.scopes import Scope, default_opset, external_files, function_scopes, graph_scopes
from onnx_roialign.ops.nodes import is_explicit, is_ours, is_roi_align, node_name

__all__ = ["ModelFacts", "OpsetConflictError", "read_facts"]


class OpsetConflictError(RoiAlignError):
    """Nodes without coordinate_transformation_mode have opsets with different defaults of it."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelFacts:
    """The facts of one model.

    Attributes:
        proto: the model without its external data.
        folder: folder of the model file; None if the model was given as bytes or ModelProto.
        opset: the version of ONNX's own operators that its graph imports; None if it does not import them.
        roi_aligns: its RoiAligns, ONNX's and the private ones, each with its graph or function.
        in_functions: whether some of them are in functions.
        external_files: the files with external data of initializers.
    """

    proto: onnx.ModelProto
    folder: str | None
    opset: int | None
    roi_aligns: tuple[tuple[Scope, onnx.NodeProto], ...]
    in_functions: bool
    external_files: frozenset[str]

    def external_size(self) -> int:
        """The bytes of the external files that exist."""
        files = [os.path.join(self.folder or "", name) for name in self.external_files]
        return sum(os.path.getsize(file) for file in files if os.path.isfile(file))

    def session_opset(self) -> int | None:
        """Returns the opset that determines the default of coordinate_transformation_mode in a session.

        A session has one such number, but each function of the model has its own opset.

        Returns:
            The opset of the nodes without the attribute; None if there are none or their opset is unknown.

        Raises:
            OpsetConflictError: the opsets of nodes without the attribute have different defaults.
        """
        undecided = [
            (scope.opset, node)
            for scope, node in self.roi_aligns
            if is_roi_align(node) and scope.opset is not None and not is_explicit(node)
        ]
        if not undecided:
            return None
        first = undecided[0][0]
        for opset, node in undecided:
            if (opset < HALF_PIXEL_OPSET) != (first < HALF_PIXEL_OPSET):
                raise OpsetConflictError(
                    "coordinate_transformation_mode",
                    "conflict",
                    "must be set where the opsets of a model and its functions disagree "
                    f"on its default, got nodes without it at opsets {first} and {opset}; write the attribute into the "
                    "nodes",
                    node=node_name(node),
                )
        return first


def read_facts(model: Model) -> ModelFacts:
    """Reads a model and its graphs once.

    Args:
        model: path, bytes or ModelProto, as `parse` reads it.

    Raises:
        RoiAlignError: the model cannot be read, or imports several versions of ONNX's own operators.
    """
    proto = parse(model)
    graphs, functions = tuple(graph_scopes(proto)), tuple(function_scopes(proto))
    in_graphs, in_functions = (
        tuple((scope, node) for scope in group for node in scope.nodes if is_ours(node))
        for group in (graphs, functions)
    )
    return ModelFacts(
        proto,
        None if isinstance(model, (bytes, onnx.ModelProto)) else os.path.dirname(os.path.abspath(model)),
        default_opset(proto.opset_import),
        in_graphs + in_functions,
        bool(in_functions),
        frozenset(name for scope in (*graphs, *functions) for name in external_files(scope)),
    )
