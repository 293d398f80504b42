"""Comparisons and choices.

Comparisons have no derivative, but are primitives all the same: a replay has to see them change.
"""

import numpy as np

from minigrad.kernels.device import arrays
from minigrad.ops.packed import where_not_zero
from minigrad.ops.primitives import elementwise

__all__ = [
    "clip", "equal", "greater", "greater_equal", "isfinite", "isinf", "isnan", "less", "less_equal", "logical_and",
    "logical_not", "logical_or", "logical_xor", "mask", "maximum", "minimum", "not_equal", "where",
]


@elementwise
def less(x, y):
    """x < y."""
    return np.less(x, y)


@elementwise
def less_equal(x, y):
    """x <= y."""
    return np.less_equal(x, y)


@elementwise
def greater(x, y):
    """x > y."""
    return np.greater(x, y)


@elementwise
def greater_equal(x, y):
    """x >= y."""
    return np.greater_equal(x, y)


@elementwise
def equal(x, y):
    """x == y, entry by entry."""
    return np.equal(x, y)


@elementwise
def not_equal(x, y):
    """x != y, entry by entry."""
    return np.not_equal(x, y)


@elementwise
def logical_and(x, y):
    """Whether both x and y are true (not zero)."""
    return np.logical_and(x, y)


@elementwise
def logical_or(x, y):
    """Whether x or y is true (not zero)."""
    return np.logical_or(x, y)


@elementwise
def logical_not(x):
    """Whether x is false (zero)."""
    return np.logical_not(x)


@elementwise
def logical_xor(x, y):
    """Whether exactly one of x and y is true (not zero)."""
    return np.logical_xor(x, y)


@elementwise
def isnan(x):
    """Whether x is NaN, entry by entry."""
    return np.isnan(x)


@elementwise
def isinf(x):
    """Whether x is infinite, entry by entry."""
    return np.isinf(x)


@elementwise
def isfinite(x):
    """Whether x is neither infinite nor NaN, entry by entry."""
    return np.isfinite(x)


for comparison in (less, less_equal, greater, greater_equal, equal, not_equal, logical_and, logical_or, logical_xor):
    comparison.vjps(None, None)
for question in (logical_not, isnan, isinf, isfinite):
    question.vjps(None)


@elementwise(integers=True)
def where(condition, x, y):
    """x where ``condition`` holds, y elsewhere; the condition has no derivative.

    >>> import minigrad as mg
    >>> x = mg.tensor([-1.0, 2.0])
    >>> mg.where(x > 0, x, 0)
    tensor([0., 2.], dtype=float64)
    """
    if isinstance(condition, (bool, np.bool_)):         # CuPy's where takes arrays only
        beside = next((array for array in (x, y) if arrays.is_device(array)), None)
        if beside is not None:
            condition = np.full_like(beside, condition, dtype=bool, shape=())
    return np.where(condition, x, y)


where.vjps(None,
           lambda g, out, condition, x, y: where(condition, g, 0),
           lambda g, out, condition, x, y: where(condition, 0, g))


def not_zero(x):
    """x as a divisor, with infinity in place of 0: what is divided by it becomes 0, and so do its derivatives."""
    return where(equal(x, 0), np.inf, x)


@elementwise(integers=True, demand=where_not_zero)
def mask(x, m):
    """x where m is not zero and exactly 0 elsewhere, whatever x is there; m has no derivative.

    A layer gated by the result may leave out the cotangent of its zeros.  So an entry of x that is
    exactly 0 counts as closed.
    """
    return np.where(np.not_equal(m, 0), x, 0)


mask.vjps(lambda g, out, x, m: mask(g, m), None)


def share(g, wins, ties):
    """The cotangent of one of two competitors: all of it where it wins, half where both are equal."""
    return where(wins, g, where(ties, g / 2, 0))


@elementwise(integers=True)
def maximum(x, y):
    """The larger of x and y; equal arguments share the cotangent equally."""
    return np.maximum(x, y)


maximum.vjps(lambda g, out, x, y: share(g, greater(x, y), equal(x, y)),
             lambda g, out, x, y: share(g, greater(y, x), equal(x, y)))


@elementwise(integers=True)
def minimum(x, y):
    """The smaller of x and y; equal arguments share the cotangent equally."""
    return np.minimum(x, y)


minimum.vjps(lambda g, out, x, y: share(g, less(x, y), equal(x, y)),
             lambda g, out, x, y: share(g, less(y, x), equal(x, y)))


def clip(x, min=None, max=None):
    """x limited to [min, max], where None is no limit; at a limit it gets half the cotangent.

    >>> clip(np.array([-2.0, 0.5, 2.0]), 0, 1)
    array([0. , 0.5, 1. ])
    """
    if min is not None:
        x = maximum(x, min)
    if max is not None:
        x = minimum(x, max)
    return x
