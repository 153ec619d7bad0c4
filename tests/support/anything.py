"""Values of every kind that Python has, for arguments that should be of one kind."""

from __future__ import annotations

import decimal
import fractions
import itertools
import warnings

import ml_dtypes
import numpy as np

MAP = np.arange(32, dtype=np.float32).reshape(1, 2, 4, 4)
BOXES = np.array([[0, 0, 3, 3]], np.float32)


class NoArray:
    def __array__(self, *_, **__):
        raise RuntimeError("no array")


def anything():
    """Made anew, since iterators are used up."""
    integers = (0, 1, -1, 2, 2**31, 2**40, 2**63, 2**64, 10**400, -(10**400))
    floats = (1.0, 1.5, np.nan, np.inf, -0.0, 1e-45, 1e39, 1e300)
    texts = ("", "1", "avg", "False", "native", "two\nlines", "x" * 10_000, b"avg", "onnx:" + "9" * 5000)
    scalars = (np.int8(1), np.uint64(2**64 - 1), np.float32(1), np.longdouble("1e4000"), ml_dtypes.bfloat16(1))
    others = (None, True, np.True_, 1j, object(), NoArray(), len, decimal.Decimal("NaN"), fractions.Fraction(10**400))
    lists = (
        [],
        [1],
        [1, 2],
        (2, 2),
        (2, 2, 2),
        [2, [3]],
        ["a", "b"],
        {},
        {1},
        {"a": MAP},
        [None],
        [MAP],
        [MAP, MAP],
        [BOXES],
    )
    arrays = (MAP, BOXES, MAP.astype(np.float16), MAP.astype(">f4"), np.array(1), np.array([1]), np.array(["a", "b"]))
    wide = (np.array([2**62] * 4), np.uint64([2**63, 2**63]), np.ma.masked, np.datetime64("2020"), np.zeros((1,) * 9))
    endless = (iter([1]), itertools.count(), range(3))
    return (*integers, *floats, *texts, *scalars, *others, *lists, *arrays, *wide, *endless)


def raised(call, arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            call(**arguments)
        except Exception as error:
            return error
    return None


def attempts(call, right):
    """Yields every argument with every value, the others being right: its name, the value and the error or None."""
    for argument in right:
        for value in anything():
            yield argument, value, raised(call, {**right, argument: value})
