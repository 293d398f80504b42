"""Rounding, and division with a remainder.

Rounded numbers are constant in pieces, so they have no derivative.  A remainder has one: between its jumps, x % y
changes as x - n·y does, with n fixed.  At a jump it is the derivative on the side where x / y is larger.
"""

import numpy as np

from minigrad.kernels import Packed
from minigrad.ops.primitives import converted, elementwise, integers_among

__all__ = ["ceil", "floor", "floor_divide", "remainder", "round", "trunc"]


@elementwise(integers=True)
def floor(x):
    """The largest whole number that is not above x; without a derivative."""
    return np.floor(x)


@elementwise(integers=True)
def ceil(x):
    """The smallest whole number that is not below x; without a derivative."""
    return np.ceil(x)


@elementwise(integers=True)
def trunc(x):
    """x without its digits after the point; without a derivative."""
    return np.trunc(x)


@elementwise(integers=True)
def round(x, decimals=0):
    """x rounded to a number of decimals; halves go to the even neighbour.  Without a derivative.

    >>> round(np.array([0.5, 1.5, 2.26]), 1)
    array([0.5, 1.5, 2.3])
    """
    if isinstance(x, Packed):
        return x.map(lambda values: np.around(values, decimals))
    if not decimals and getattr(x, "dtype", np.dtype(type(x))).kind == "b":     # NumPy makes float16 of booleans
        return np.copy(x)
    return np.around(x, decimals)


for function in (floor, ceil, trunc, round):
    function.vjps(None)


@elementwise(integers=True)
def floor_divide(x, y):
    """x // y: the quotient rounded down; without a derivative."""
    return np.floor_divide(*converted((x, y), *integers_among(remainder, (x, y))))


floor_divide.vjps(None, None)


@elementwise(integers=True)
def remainder(x, y):
    """x % y = x - y · (x // y), which has the sign of y.

    >>> import minigrad as mg
    >>> mg.tensor([-1.0, 5.0]) % 3
    tensor([2., 2.], dtype=float64)
    """
    return np.remainder(x, y)


remainder.vjps(lambda g, out, x, y: g,
               lambda g, out, x, y: -g * floor_divide(x, y))
