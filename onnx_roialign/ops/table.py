"""The operators of the private domain, one row each: schemas, evaluators, sessions and rules of nodes read it here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from onnx_roialign.arrays import Array
from onnx_roialign.definition import checks, quantized, reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.element_types import FLOATS, QUANTIZED, TYPES, ElementType
from onnx_roialign.ops.roi_align import ATTRIBUTE_TYPES, DOMAIN, OP_TYPES, QLINEAR_OP_TYPE

__all__ = ["ANY_ROI_ALIGN", "OPS", "OPS_BY_NAME", "QLINEAR_ROI_ALIGN", "Node", "Op", "op_of"]


@dataclass(frozen=True, slots=True)
class Op:
    """One operator.

    Attributes:
        names: what it is called in models: today, and before.
        types: element types that it takes, by the name of the type parameter; the output has those of the first.
        inputs: by name, in order, a type parameter or the one type of the input in ONNX's words.
        attributes: by name, the type in a node (AttributeProto.AttributeType).
        compute: its definition, called with the inputs and an Attributes; returns the output.
        check_signature: checks what is known of the types and shapes of the inputs (`checks.Given` each).
        check_attributes: refuses what no node of it can ask for.
    """

    names: tuple[str, ...]
    types: Mapping[str, tuple[ElementType, ...]]
    inputs: Mapping[str, str]
    attributes: tuple[tuple[str, int], ...]
    compute: Callable[..., Array]
    check_signature: Callable[..., None]
    check_attributes: Callable[[Attributes], None]

    @property
    def name(self) -> str:
        """What it is called in models that are written today."""
        return self.names[0]

    @property
    def input_names(self) -> tuple[str, ...]:
        """Its inputs by name, in order."""
        return tuple(self.inputs)


def _any(_: Attributes) -> None:
    """Whatever can be Attributes can be asked for."""


ANY_ROI_ALIGN = Op(
    names=OP_TYPES,
    types={"T1": FLOATS, "T2": FLOATS},
    inputs={"X": "T1", "rois": "T2", "batch_indices": "tensor(int64)"},
    attributes=ATTRIBUTE_TYPES,
    compute=reference.roi_align,
    check_signature=functools.partial(checks.check_signature, rois_types=TYPES),
    check_attributes=_any,
)
QLINEAR_ROI_ALIGN = Op(
    names=(QLINEAR_OP_TYPE,),
    types={"T1": QUANTIZED},
    inputs={
        "X": "T1",
        "x_scale": "tensor(float)",
        "x_zero_point": "T1",
        "rois": "tensor(float)",
        "batch_indices": "tensor(int64)",
    },
    attributes=ATTRIBUTE_TYPES,
    compute=quantized.roi_align,
    check_signature=quantized.check_signature,
    check_attributes=quantized.check_attributes,
)
OPS = (ANY_ROI_ALIGN, QLINEAR_ROI_ALIGN)
OPS_BY_NAME: Mapping[str, Op] = {name: op for op in OPS for name in op.names}


class Node(Protocol):
    """A node of a model, of onnx or of onnx-ir."""

    @property
    def op_type(self) -> str:
        """The operator's name."""

    @property
    def domain(self) -> str:
        """The operator's domain."""


def op_of(node: Node) -> Op | None:
    """The private op that a node is of; None where it is of none."""
    return OPS_BY_NAME.get(node.op_type) if node.domain == DOMAIN else None
