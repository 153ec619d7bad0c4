"""The table of element types: for features, boxes and quantized features."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["FLOATS", "QUANTIZED", "TYPES", "ElementType", "coordinate_type", "element_type"]


class ElementType(NamedTuple):
    """An element type of arrays.

    Attributes:
        name: NumPy's name.
        number: value of TensorProto.DataType, also used by kernels/c/onnx_roialign.h.
        onnx_name: name in ONNX's schemas, as in ``tensor(float)``.
        bits: size of an element.
    """

    name: str
    number: int
    onnx_name: str
    bits: int

    @property
    def tensor(self) -> str:
        """The name of a tensor of this type in ONNX's schemas."""
        return f"tensor({self.onnx_name})"


# Types of features, and of rois where an operator accepts another type for rois.
FLOATS = (
    ElementType("float32", 1, "float", 32),
    ElementType("float64", 11, "double", 64),
    ElementType("float16", 10, "float16", 16),
    ElementType("bfloat16", 16, "bfloat16", 16),
)
# Types of quantized features: torchvision's quint8, qint8 and qint32.
QUANTIZED = (
    ElementType("uint8", 2, "uint8", 8),
    ElementType("int8", 3, "int8", 8),
    ElementType("int32", 6, "int32", 32),
)

# The names of FLOATS.
TYPES = tuple(kind.name for kind in FLOATS)


def element_type(dtype: np.dtype[Any]) -> ElementType:
    """Returns the table's row for a type."""
    return next(kind for kind in (*FLOATS, *QUANTIZED) if kind.name == dtype.name)


def coordinate_type(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """Returns the type in which coordinates and sums are computed for features of this type.

    16-bit types are too coarse for both. Coordinates of another type are rounded to this type once, before any other
    operation.
    """
    return np.float64 if dtype == np.float64 else np.float32
