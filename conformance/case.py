"""A conformance case: one clause about RoiAlign as a model, inputs and the correct results."""

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
    """The authority of a case."""

    SPEC = "spec"  # ONNX's text or vectors specify it
    SETTLED = "settled"  # the text does not specify it, and independent implementations agree
    CONTESTED = "contested"  # independent implementations disagree: the report names the side, and no side fails
    ROBUST = "robust"  # invalid input must not crash, hang, be read out of bounds or be accepted without an error


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The largest permitted difference from the exact result.

    Attributes:
        ulps: the difference in units in the last place, in X's type, of the case's largest finite feature: every result
            is a mean or a maximum of features with weights <= 1, so errors grow with the features, not with the result.
        reason: the reason for this number, in one sentence.
    """

    ulps: float
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A result that a case accepts.

    Attributes:
        outputs: one array per graph output, by name; None: an error.
        name: the implementations with this result, if the case accepts several results ("ONNX Runtime, torchvision").
        mentions: words of which the error's text must contain at least one, in any case; empty: any text.
    """

    outputs: Mapping[str, Array] | None
    name: str = ""
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One model with inputs and the correct results.

    Attributes:
        id: the short form of the clause, "adaptive/grid-is-the-ceiling-of-each-axis": group, slash, statement.
        clause: the statement as a sentence.
        tier: the authority of the clause.
        source: the source of the clause: ONNX's text, the name of a vector, or the implementations that agree.
        model: the model to run.
        inputs: one array per graph input, by name.
        outcomes: the accepted results: one, except in the tiers contested and robust.
        tolerance: the largest permitted difference of outputs from the outcome's.
        requires: operators besides RoiAlign that the case needs and a runtime may lack ("If"); empty: none.
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
