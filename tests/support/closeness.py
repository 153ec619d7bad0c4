"""Compares arrays within the tolerance of their type."""

from __future__ import annotations

import numpy as np
import tolerances
from calls import X


def assert_close(got, want):
    assert got.shape == want.shape
    bar = tolerances.FLOAT64 if want.dtype == np.float64 else tolerances.FLOAT32
    np.testing.assert_allclose(got, want, rtol=0, atol=bar * np.abs(X).max())
