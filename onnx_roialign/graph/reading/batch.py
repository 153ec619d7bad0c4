"""Finds batch indices that are always zero, and the RoI counts from which they should be computed."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

from onnx_roialign.errors import RoiAlignError, shown
from onnx_roialign.graph.reading.sites import Site
from onnx_roialign.graph.reading.value_types import Known

__all__ = ["always_first_image", "counts_for", "images_of", "named_counts"]

_COUNT_TYPES = (ir.DataType.INT32, ir.DataType.INT64)


def always_first_image(site: Site) -> bool:
    """Returns whether the node's batch indices are zero for all inputs of the model."""
    return site.first_image


def images_of(site: Site, known: Known) -> int | str:
    """Returns the number of images in X, or the name of that dimension, which may be empty."""
    return (known.shape(site.input("X")) or ("",))[0]


def counts_for(model: ir.Model, sites: Iterable[Site]) -> ir.Value | None:
    """Returns the graph input with the number of RoIs per image, if no node reads it; None if it is unknown.

    It is known if exactly one integer vector among the inputs is not read by any node, and the RoIAligns whose batch
    indices are always zero have the same boxes: otherwise the counts could belong to other boxes.
    """
    unread = [
        value for value in model.graph.inputs if _is_vector(value) and not value.uses() and not value.is_graph_output()
    ]
    boxes = {site.boxes for site in sites if not site.in_function and site.first_image and site.boxes is not None}
    return unread[0] if len(unread) == 1 and len(boxes) == 1 else None


def named_counts(model: ir.Model, name: str) -> ir.Value:
    """Returns the value with this name in the model's graph.

    Raises:
        RoiAlignError: no value has this name.
    """
    candidates = (*model.graph.inputs, *(value for node in model.graph for value in node.outputs))
    value = next((value for value in candidates if value.name == name), None)
    if value is None:
        raise RoiAlignError("counts", "choice", f"must be the name of a value of the model's graph, got {shown(name)}")
    return value


def _is_vector(value: ir.Value) -> bool:
    return (
        not value.is_initializer() and value.dtype in _COUNT_TYPES and value.shape is not None and len(value.shape) == 1
    )
