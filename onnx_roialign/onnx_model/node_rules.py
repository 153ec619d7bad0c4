"""Checks the rules for RoiAlign nodes before onnxruntime checks them with its own messages."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping

import onnx
from onnx import helper

from onnx_roialign.definition import checks
from onnx_roialign.definition.checks import Given
from onnx_roialign.errors import RoiAlignError
from onnx_roialign.onnx_model.facts import ModelFacts
from onnx_roialign.onnx_model.scopes import Scope, infer, scopes
from onnx_roialign.onnx_model.soundness import call_defects, require_none
from onnx_roialign.onnx_model.tensor_data import without_weights
from onnx_roialign.ops.nodes import check_form, in_node, is_ours
from onnx_roialign.ops.table import op_of

__all__ = ["broken_nodes", "check_nodes"]

_UNKNOWN = Given(None, None)


def check_nodes(model: ModelFacts) -> None:
    """Checks every RoiAlign of a model, ONNX's and the private ones, in every graph and function.

    Types and shapes are checked as far as ONNX infers them; in functions they are unknown.

    Raises:
        RoiAlignError: a node breaks a rule; the message names the node.
        ModelError: functions call themselves or are too large when they are inlined.
    """
    for _, error in broken_nodes(model):
        raise error


def broken_nodes(
    model: ModelFacts, wanted: Callable[[onnx.NodeProto], bool] = is_ours
) -> Iterator[tuple[onnx.NodeProto, RoiAlignError]]:
    """Yields the nodes that break a rule, each with the first rule that it breaks; first those of a wrong form.

    Args:
        model: the model.
        wanted: selects which RoiAligns, ONNX's and the private ones, are checked.

    Raises:
        ModelError: as `check_nodes`.
    """
    checked = [(scope, node) for scope, node in model.roi_aligns if wanted(node)]
    for scope, node in checked:
        error = _error_of(check_form, node, scope.opset)
        if error is not None:
            yield node, error
    if not checked:
        return
    require_none(call_defects(model.proto))  # neither onnx nor onnxruntime limits the size of inlined functions
    known: dict[int, ChainMap[str, Given]] = {}
    for scope in tuple(scopes(infer(without_weights(model.proto)))):
        for node in scope.nodes:
            if is_ours(node) and wanted(node) and _error_of(check_form, node, scope.opset) is None:
                error = _error_of(_check_signature, node, _values(scope, known))
                if error is not None:
                    yield node, error


def _error_of(check: Callable[..., None], *arguments: object) -> RoiAlignError | None:
    try:
        check(*arguments)
    except RoiAlignError as error:
        return error
    return None


def _check_signature(node: onnx.NodeProto, values: Mapping[str, Given]) -> None:
    op = op_of(node)
    check = op.check_signature if op else checks.check_signature  # ONNX's RoiAlign accepts only rois of X's type
    in_node(node, check, *(values.get(name, _UNKNOWN) if name else None for name in node.input))


def _values(scope: Scope, known: dict[int, ChainMap[str, Given]]) -> ChainMap[str, Given]:
    """Returns the known types and shapes of the values in a scope and in the graphs around it.

    Args:
        scope: of a model whose scopes are all kept.
        known: what was returned before, by the scope's id, since many bodies have one graph around them.
    """
    if id(scope) not in known:
        outer = ChainMap[str, Given]() if scope.outer is None else _values(scope.outer, known)
        known[id(scope)] = outer.new_child(_own_values(scope))
    return known[id(scope)]


def _own_values(scope: Scope) -> dict[str, Given]:
    found: dict[str, Given] = {}
    if scope.graph is None:
        return found
    for value in (*scope.graph.input, *scope.graph.value_info, *scope.graph.output):
        tensor = value.type.tensor_type
        dims = tuple(_size(dim) for dim in tensor.shape.dim) if tensor.HasField("shape") else None
        found[value.name] = Given(_type_name(tensor.elem_type), dims)
    for initializer in scope.graph.initializer:
        found[initializer.name] = Given(_type_name(initializer.data_type), tuple(initializer.dims))
    return found


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    return dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None


def _type_name(element_type: int) -> str | None:
    if element_type in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        return "string" if element_type else None
    try:
        return helper.tensor_dtype_to_np_dtype(element_type).name
    except KeyError:  # not a type: onnxruntime refuses it
        return None
