"""Writes nodes as private operators, which have all fields of `Semantics` as attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import onnx_ir as ir

from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import Semantics
from onnx_roialign.graph.reading.sites import Site
from onnx_roialign.graph.reading.value_types import every_node
from onnx_roialign.graph.writing.unread import remove_unread
from onnx_roialign.ops import roi_align as private_op

__all__ = ["as_private", "import_private", "write_node", "write_private"]


def as_private(site: Site) -> None:
    """Replaces ONNX's RoiAlign by the private operator with the same inputs and, bit for bit, the same results."""
    write_node(site.node, (private_op.DOMAIN, private_op.OP_TYPE), private_op.attributes_of(site.attributes))


def write_private(site: Site, wanted: Semantics) -> None:
    """Replaces a node by the private operator with the semantics ``wanted`` on the boxes before their shift."""
    node, root = site.node, site.shift.root
    meaning = wanted if root is not None else site.wanted_here(wanted)
    if site.quantized:  # quantized types have no NaN
        meaning = replace(meaning, empty="zero")
    attributes: Attributes = replace(site.attributes, semantics=meaning)
    op_type = private_op.QLINEAR_OP_TYPE if site.quantized else private_op.OP_TYPE
    write_node(node, (private_op.DOMAIN, op_type), private_op.attributes_of(attributes))
    before = site.input("rois")
    if root is not None and root is not before:
        node.replace_input_with(site.position("rois"), root)
        remove_unread(before)


def write_node(node: ir.Node, operator: tuple[str, str], attributes: Mapping[str, object]) -> None:
    """Gives a node this operator (domain, type) and only these attributes."""
    node.domain, node.op_type = operator
    node.attributes.clear()
    for name, value in attributes.items():
        if isinstance(value, str):
            node.attributes.add(ir.AttrString(name, value))
        elif isinstance(value, float):
            node.attributes.add(ir.AttrFloat32(name, value))
        else:
            assert isinstance(value, int)
            node.attributes.add(ir.AttrInt64(name, value))


def import_private(model: ir.Model) -> None:
    """Imports the private domain in every graph and function with a node of it."""
    owners: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for owner in owners:
        if any(node.domain == private_op.DOMAIN for node in every_node(owner)):
            owner.opset_imports.setdefault(private_op.DOMAIN, private_op.OPSET_VERSION)
