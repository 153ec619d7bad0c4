"""Two answers of one call, whatever their values."""

from __future__ import annotations

import numpy as np
import tolerances

# In units of the largest finite feature; of 16-bit types an ULP of it, as these answers are about what is not finite.
_BARS = {
    "float32": tolerances.FLOAT32,
    "float64": tolerances.FLOAT64,
    **tolerances.UNIT_IN_THE_LAST_PLACE,
}


def assert_alike(got, want, X, dtype=None):
    """NaN, infinity and -infinity in the same places, and what is finite within the tolerance of dtype, else X's."""
    bar = _BARS[dtype or X.dtype.name]
    got, want, X = (array.astype(np.float64) for array in (got, want, X))
    finite = np.isfinite(want)
    np.testing.assert_array_equal(np.where(np.isfinite(got), 0, got), np.where(finite, 0, want))
    largest = np.abs(X[np.isfinite(X)]).max(initial=0.0)
    assert np.abs(got[finite] - want[finite]).max(initial=0.0) <= bar * max(largest, 1e-30)
