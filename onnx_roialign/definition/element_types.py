"""The one table of element types: of features, of boxes, and of quantized features."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["FLOATS", "QUANTIZED", "TYPES", "ElementType", "coordinate_type", "element_type"]


class ElementType(NamedTuple):
    """A type of the elements of an array.

    Attributes:
        name: NumPy's.
        number: TensorProto.DataType's, which kernels/c/onnx_roialign.h takes too.
        onnx_name: in ONNX's schemas, as in ``tensor(float)``.
        bits: of an element.
    """

    name: str
    number: int
    onnx_name: str
    bits: int

    @property
    def tensor(self) -> str:
        """A tensor of this type, in ONNX's schemas."""
        return f"tensor({self.onnx_name})"


# Of features, and of rois where an op takes rois of a type of their own.
FLOATS = (
    ElementType("float32", 1, "float", 32),
    ElementType("float64", 11, "double", 64),
    ElementType("float16", 10, "float16", 16),
    ElementType("bfloat16", 16, "bfloat16", 16),
)
# Of quantized features: torchvision's quint8, qint8 and qint32.
QUANTIZED = (
    ElementType("uint8", 2, "uint8", 8),
    ElementType("int8", 3, "int8", 8),
    ElementType("int32", 6, "int32", 32),
)

# The names of FLOATS.
TYPES = tuple(one.name for one in FLOATS)


def element_type(dtype: np.dtype[Any]) -> ElementType:
    """The row of a type that is in the table."""
    return next(one for one in (*FLOATS, *QUANTIZED) if one.name == dtype.name)


def coordinate_type(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """The type in which coordinates and sums of X's type are computed: 16-bit types are too coarse for either.

    Coordinates of another type are rounded to it, once, before anything else is done with them.
    """
    return np.float64 if dtype == np.float64 else np.float32
