"""One call of RoiAlign as a value: its arrays and its attributes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from onnx_roialign.arrays import Array
from onnx_roialign.definition import reference
from onnx_roialign.definition.attributes import Attributes
from onnx_roialign.definition.semantics import Semantics

__all__ = ["Call"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of RoiAlign.

    Attributes:
        X: (N, C, H, W) feature maps.
        rois: (num_rois, 4) rows x1, y1, x2, y2 in pixels of the image, of X's type.
        batch_indices: (num_rois,) image of each RoI, int64.
        attributes: the attributes of the call.
    """

    X: Array
    rois: Array
    batch_indices: Array
    attributes: Attributes

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """The shape of its result: (num_rois, C, output_height, output_width)."""
        return len(self.rois), self.X.shape[1], self.attributes.output_height, self.attributes.output_width

    def expected(self, semantics: Semantics) -> Array:
        """The reference's result for this call with other semantics."""
        attributes = replace(self.attributes, semantics=semantics)
        return reference.roi_align(self.X, self.rois, self.batch_indices, attributes)
