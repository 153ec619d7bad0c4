"""The one table of tolerances. Differences are in units of max|X| of the call, unless a line says otherwise."""

from __future__ import annotations

from onnx_roialign.arrays import FLOAT32, FLOAT64, UNIT_IN_THE_LAST_PLACE

__all__ = ["FLOAT32", "FLOAT64", "UNIT_IN_THE_LAST_PLACE"]

# 16-bit types are computed in float32 and rounded once: at most this many units in the last place from the float32
# answer rounded, because the float32 answers of two engines may straddle a tie.
SIXTEEN_BIT_ULP = 1

# Paddle 3.3.1 adds the terms of a sample's position in another order, start + (p * bin + offset) instead of
# (start + p * bin) + offset, with which the two cases that miss the bar (3.3e-6) fall to 1.4e-6. So its samples lie up
# to this many units in the last place of the RoI's farthest coordinate elsewhere.
POSITION_ULP = 2

# Exported models against their framework's results, absolute: boxes up to 256 pixels, scores, masks and pooled
# features in [0, 1]. Measured: 1.2e-6 at most (masks, after two poolers, four convolutions and a resize).
EXPORTS = 1e-5

# A file that means something else than what was exported: the smallest difference that counts as wrong.
# Measured: 0.14 to 0.71.
KNOWN_WRONG_BY = 1e-2

# A fused pooler of shifted boxes, (x - 0.5 / scale) * scale in the export and x * scale - 0.5 in the op: positions of
# up to 600 pixels differ by an ulp or two, 1e-4 of the distance to the next pixel at most. Measured: 1.2e-5.
FUSED = 1e-4

# A Loop that pastes masks against PasteMasks in its place, absolute for masks of a few units, and relative for larger:
# Resize adds the four products of a pixel in another order. Measured: 2.4e-7.
PASTED_FUSED = 1e-6

# The demo's detector against PyTorch, on an image of 640 pixels, relative to the largest box, score or mask. A box is
# right to an ulp of 640, 6e-5 pixels, along which the edge of a mask changes by 1e-5. Measured: 1.6e-5 (masks).
SHAPES = 1e-4
