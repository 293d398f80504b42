"""Rounding, and division with a remainder.

Rounded numbers are constant between their jumps, so they have no derivative.  A remainder has one: between its jumps,
x % y is x - n·y with a constant integer n.  At a jump, the derivative is that of the side where x / y is larger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.kernels import Packed
from minigrad.ops.primitives import converted, elementwise, integers_among

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = ["ceil", "floor", "floor_divide", "remainder", "round", "trunc"]


@elementwise(integers=True)
def floor(x: Operand) -> Result:
    """The largest integer that is not above x.  It has no derivative."""
    return np.floor(x)


@elementwise(integers=True)
def ceil(x: Operand) -> Result:
    """The smallest integer that is not below x.  It has no derivative."""
    return np.ceil(x)


@elementwise(integers=True)
def trunc(x: Operand) -> Result:
    """x without its digits after the decimal point.  It has no derivative."""
    return np.trunc(x)


@elementwise(integers=True)
def round(x: Operand, decimals: int = 0) -> Result:
    """x rounded to a number of decimals.  Halves are rounded to the even neighbour.  It has no derivative.

    >>> round(np.array([0.5, 1.5, 2.26]), 1)
    array([0.5, 1.5, 2.3])
    """
    if isinstance(x, Packed):
        return x.map(lambda values: np.around(values, decimals))
    if not decimals and getattr(x, "dtype", np.dtype(type(x))).kind == "b":     # NumPy would return float16
        return np.copy(x)
    return np.around(x, decimals)


for function in (floor, ceil, trunc, round):
    function.vjps(None)


@elementwise(integers=True)
def floor_divide(x: Operand, y: Operand) -> Result:
    """x // y: the quotient, rounded down.  It has no derivative."""
    x, y = converted((x, y), *integers_among(remainder, (x, y)))
    return np.floor_divide(x, y)


floor_divide.vjps(None, None)


@elementwise(integers=True)
def remainder(x: Operand, y: Operand) -> Result:
    """x % y = x - y · (x // y).  It has the sign of y.

    >>> import minigrad as mg
    >>> mg.tensor([-1.0, 5.0]) % 3
    tensor([2., 2.], dtype=float64)
    """
    return np.remainder(x, y)


remainder.vjps(lambda g, out, x, y: g,
               lambda g, out, x, y: -g * floor_divide(x, y))
