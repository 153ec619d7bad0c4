"""A conformance case: one clause about RoiAlign as a model, inputs and the results that are right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import onnx

from onnx_roialign.arrays import Array, largest_finite

__all__ = ["Case", "Outcome", "Tier", "Tolerance", "attributes_of"]


class Tier(Enum):
    """How firmly a case is founded."""

    SPEC = "spec"  # ONNX's text or its vectors say so
    SETTLED = "settled"  # the text is silent, and independent implementations agree
    CONTESTED = "contested"  # independent implementations disagree: the report names the side, no side fails
    ROBUST = "robust"  # bad input must not crash, hang, read outside or be accepted in silence


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a right result may be from the exact one.

    Attributes:
        ulps: in units in the last place, of X's type, of the case's largest finite feature: every result is a mean or a
            maximum of features with weights <= 1, so errors grow with the features and not with the result.
        reason: why so many, one sentence.
    """

    ulps: float
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A result that a case accepts.

    Attributes:
        outputs: one array per graph output, by name; None: an error.
        name: who gives it, where a case accepts several ("ONNX Runtime, torchvision").
        mentions: words of which the text of the error must contain one, in upper or lower case; empty: any text.
    """

    outputs: Mapping[str, Array] | None
    name: str = ""
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One model with inputs, and the results that are right.

    Attributes:
        id: a clause in short, "adaptive/grid-is-the-ceiling-of-each-axis": group, slash, statement.
        clause: the statement as a sentence.
        tier: how firmly it is founded.
        source: where the clause comes from: ONNX's text, a vector's name, or the implementations that agree.
        model: the model to run.
        inputs: one array per graph input, by name.
        outcomes: one, except in the tiers contested and robust.
        tolerance: how far outputs may be from the outcome's.
        requires: what a runtime may lack besides RoiAlign without being wrong, in words ("If"); empty: nothing.
    """

    id: str
    clause: str
    tier: Tier
    source: str
    model: onnx.ModelProto
    inputs: Mapping[str, Array]
    outcomes: tuple[Outcome, ...]
    tolerance: Tolerance
    requires: tuple[str, ...] = field(default=())

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators that the model imports."""
        return int(next(entry.version for entry in self.model.opset_import if entry.domain == ""))

    @property
    def dtype(self) -> str:
        """The type of the first output."""
        return str(
            np.dtype(onnx.helper.tensor_dtype_to_np_dtype(self.model.graph.output[0].type.tensor_type.elem_type))
        )

    @property
    def scale(self) -> float:
        """The largest finite number among the features and initializers of the outputs' type; 1 if there is none."""
        weights = [onnx.numpy_helper.to_array(tensor) for tensor in self.model.graph.initializer]
        arrays = [array for array in (*self.inputs.values(), *weights) if str(array.dtype) == self.dtype]
        maps = [array for array in arrays if array.ndim == 4]
        return max((largest_finite(array) for array in maps), default=0.0) or 1.0


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Returns the attributes that a node has, by name; texts as str."""
    values = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {
        name: value.decode(errors="replace") if isinstance(value, bytes) else value for name, value in values.items()
    }
