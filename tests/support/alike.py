"""Compares two results of one call, also with values that are not finite."""

from __future__ import annotations

import numpy as np
import tolerances

# In units of the largest finite feature; for 16-bit types one ULP of it, because these tests are of non-finite values.
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
