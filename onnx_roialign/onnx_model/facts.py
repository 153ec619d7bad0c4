"""What a session must know of a model, read from it once: its RoiAligns, its opset, where its weights lie."""

from __future__ import annotations

import os
from dataclasses import dataclass

import onnx

from onnx_roialign.definition.semantics import HALF_PIXEL_OPSET
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.onnx_model.file import Model, parse
from onnx_roialign.onnx_model.scopes import Scope, default_opset, external_files, function_scopes, graph_scopes
from onnx_roialign.ops.nodes import is_explicit, is_ours, is_roi_align

__all__ = ["ModelFacts", "OpsetConflictError", "read_facts"]


class OpsetConflictError(RoiAlignError):
    """One opset must tell the meaning of nodes without coordinate_transformation_mode, and two that disagree do."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelFacts:
    """One reading of a model.

    Attributes:
        proto: the model without its external data.
        folder: of the file that it was read from; None: it came as bytes or as a ModelProto.
        opset: the version of ONNX's own operators that its graph imports; None where it imports none.
        roi_aligns: its RoiAligns, ONNX's and the private ones, each with the graph or function that it lies in.
        in_functions: whether some of them lie in functions.
        external_files: the files beside it that initializers lie in.
    """

    proto: onnx.ModelProto
    folder: str | None
    opset: int | None
    roi_aligns: tuple[tuple[Scope, onnx.NodeProto], ...]
    in_functions: bool
    external_files: frozenset[str]

    def external_size(self) -> int:
        """Bytes of the external files; of those that are there."""
        files = [os.path.join(self.folder or "", name) for name in self.external_files]
        return sum(os.path.getsize(file) for file in files if os.path.isfile(file))

    def session_opset(self) -> int | None:
        """The opset that tells the kernels of a session what a RoiAlign without coordinate_transformation_mode means.

        A session has one such number, while every function of the model has an opset of its own.

        Returns:
            The opset of the nodes without the attribute; None where there is none, or it is not known.

        Raises:
            OpsetConflictError: nodes without the attribute lie in opsets that disagree on what that means.
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
                    node=node.name,
                )
        return first


def read_facts(model: Model) -> ModelFacts:
    """Reads a model, and walks it, once.

    Args:
        model: path, bytes or ModelProto, as `parse` reads it.

    Raises:
        RoiAlignError: there is no model, or it imports several versions of ONNX's own operators.
    """
    proto = parse(model)
    graphs, functions = tuple(graph_scopes(proto)), tuple(function_scopes(proto))
    in_graphs, in_functions = (
        tuple((scope, node) for scope in several for node in scope.nodes if is_ours(node))
        for several in (graphs, functions)
    )
    return ModelFacts(
        proto,
        None if isinstance(model, (bytes, onnx.ModelProto)) else os.path.dirname(os.path.abspath(model)),
        default_opset(proto.opset_import),
        in_graphs + in_functions,
        bool(in_functions),
        frozenset(name for scope in (*graphs, *functions) for name in external_files(scope)),
    )
