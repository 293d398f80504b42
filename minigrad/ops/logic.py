"""Comparisons, and functions that choose between two arguments.

Comparisons have no derivative.  They are primitives, so that a replay computes them again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.kernels.device import arrays
from minigrad.ops.masks import union, where_true
from minigrad.ops.packed import where_not_zero
from minigrad.ops.primitives import elementwise

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = [
    "clip", "equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "less", "less_equal", "logical_and",
    "logical_not", "logical_or", "logical_xor", "mask", "maximum", "minimum", "not_equal", "where",
]


@elementwise
def less(x: Operand, y: Operand) -> Result:
    """x < y."""
    return np.less(x, y)


@elementwise
def less_equal(x: Operand, y: Operand) -> Result:
    """x <= y."""
    return np.less_equal(x, y)


@elementwise
def greater(x: Operand, y: Operand) -> Result:
    """x > y."""
    return np.greater(x, y)


@elementwise
def greater_equal(x: Operand, y: Operand) -> Result:
    """x >= y."""
    return np.greater_equal(x, y)


@elementwise
def equal(x: Operand, y: Operand) -> Result:
    """x == y, entry by entry."""
    return np.equal(x, y)


@elementwise
def not_equal(x: Operand, y: Operand) -> Result:
    """x != y, entry by entry."""
    return np.not_equal(x, y)


@elementwise
def logical_and(x: Operand, y: Operand) -> Result:
    """Whether both x and y are true (not zero)."""
    return np.logical_and(x, y)


@elementwise
def logical_or(x: Operand, y: Operand) -> Result:
    """Whether x or y is true (not zero)."""
    return np.logical_or(x, y)


@elementwise
def logical_not(x: Operand) -> Result:
    """Whether x is false (zero)."""
    return np.logical_not(x)


@elementwise
def logical_xor(x: Operand, y: Operand) -> Result:
    """Whether exactly one of x and y is true (not zero)."""
    return np.logical_xor(x, y)


@elementwise
def isnan(x: Operand) -> Result:
    """Whether x is NaN, entry by entry."""
    return np.isnan(x)


@elementwise
def isinf(x: Operand) -> Result:
    """Whether x is infinite, entry by entry."""
    return np.isinf(x)


@elementwise
def isfinite(x: Operand) -> Result:
    """Whether x is neither infinite nor NaN, entry by entry."""
    return np.isfinite(x)


for function in (less, less_equal, greater, greater_equal, equal, not_equal, logical_and, logical_or, logical_xor):
    function.vjps(None, None)
for function in (logical_not, isnan, isinf, isfinite):
    function.vjps(None)


def reads_of_choice(masks, out, args, move):
    """Where the condition is true, the cotangent goes to x alone; elsewhere to y alone."""
    chosen = np.not_equal(args[0], 0)
    sides = (1, chosen), (2, np.logical_not(chosen))
    return union({i: where_true(side, masks[i]) for i, side in sides if i in masks})


@elementwise(integers=True, reads=reads_of_choice)
def where(condition: Operand, x: Operand, y: Operand) -> Result:
    """x where ``condition`` is true, y elsewhere.  The condition has no derivative.

    >>> import minigrad as mg
    >>> x = mg.tensor([-1.0, 2.0])
    >>> mg.where(x > 0, x, 0)
    tensor([0., 2.], dtype=float64)
    """
    if isinstance(condition, (bool, np.bool_)):         # CuPy's where takes arrays only
        on_device = next((array for array in (x, y) if arrays.is_device(array)), None)
        if on_device is not None:
            condition = np.full_like(on_device, condition, dtype=bool, shape=())
    return np.where(condition, x, y)


where.vjps(None,
           lambda g, out, condition, x, y: where(condition, g, 0),
           lambda g, out, condition, x, y: where(condition, 0, g))


def not_zero(x):
    """x with infinity in place of 0, for use as a divisor: the quotient and its derivatives are then 0."""
    return where(equal(x, 0), np.inf, x)


@elementwise(integers=True, demand=where_not_zero)
def mask(x: Operand, m: Operand) -> Result:
    """x where m is not zero, and 0 elsewhere, even where x is NaN or infinite.  m has no derivative.

    If the result is used as gates, the gradient at gates that are 0 need not be computed.  This holds for every
    entry that is 0, also if x itself is 0 there.
    """
    return np.where(np.not_equal(m, 0), x, 0)


mask.vjps(lambda g, out, x, m: mask(g, m), None)


def share(g, wins, ties):
    """The cotangent of one of two arguments: g where this argument is chosen, g / 2 where both are equal."""
    return where(wins, g, where(ties, g / 2, 0))


@elementwise(integers=True)
def maximum(x: Operand, y: Operand) -> Result:
    """The larger of x and y.  Where they are equal, each gets half of the cotangent."""
    return np.maximum(x, y)


maximum.vjps(lambda g, out, x, y: share(g, greater(x, y), equal(x, y)),
             lambda g, out, x, y: share(g, greater(y, x), equal(x, y)))


@elementwise(integers=True)
def minimum(x: Operand, y: Operand) -> Result:
    """The smaller of x and y.  Where they are equal, each gets half of the cotangent."""
    return np.minimum(x, y)


minimum.vjps(lambda g, out, x, y: share(g, less(x, y), equal(x, y)),
             lambda g, out, x, y: share(g, less(y, x), equal(x, y)))


def clip(x: Operand, min: Operand = None, max: Operand = None) -> Result:
    """x limited to [min, max].  None means no limit.  Where x equals a limit, it gets half of the cotangent.

    >>> clip(np.array([-2.0, 0.5, 2.0]), 0, 1)
    array([0. , 0.5, 1. ])
    """
    if min is not None:
        x = maximum(x, min)
    if max is not None:
        x = minimum(x, max)
    return x
