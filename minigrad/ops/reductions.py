"""Reductions: sums, means, products and extremes over axes.

``axis`` is an int, a tuple of ints, or None for all axes, as in NumPy.
"""

import builtins
import math

import numpy as np

from minigrad.ops.alternatives import over_axes
from minigrad.ops.elementwise import astype, exp
from minigrad.ops.joining import concatenate, split
from minigrad.ops.logic import equal, where
from minigrad.ops.primitive import primitive
from minigrad.ops.shaping import axes_of, broadcast_to, flip, reshape, squeeze

__all__ = [
    "argmax", "argmin", "cumsum", "logmeanexp", "logsumexp", "max", "mean", "min", "prod", "sum", "var",
]


def spread(reduced, x, axis, keepdims):
    """A reduced array repeated back to the shape of x."""
    if axis is not None and not keepdims:
        axes = axes_of(axis, x.ndim)
        reduced = reshape(reduced, shape=tuple(1 if a in axes else n for a, n in enumerate(x.shape)))
    return broadcast_to(reduced, shape=x.shape)


def entries(x, axis):
    """How many entries of x a reduction over ``axis`` combines into one."""
    return math.prod(x.shape[a] for a in axes_of(axis, x.ndim))


@primitive(integers=True)
def sum(x, axis=None, keepdims=False):
    """Sum over ``axis``."""
    return np.sum(x, axis=axis, keepdims=keepdims)


sum.vjps(lambda g, out, x, axis=None, keepdims=False: spread(g, x, axis, keepdims))


@primitive
def mean(x, axis=None, keepdims=False):
    """Arithmetic mean over ``axis``."""
    return np.mean(x, axis=axis, keepdims=keepdims)


mean.vjps(lambda g, out, x, axis=None, keepdims=False: spread(g / entries(x, axis), x, axis, keepdims))


@primitive
def var(x, axis=None, keepdims=False, ddof=0):
    """Variance over ``axis``: the sum of (x - mean)² divided by the number of entries less ``ddof``."""
    return np.var(x, axis=axis, keepdims=keepdims, ddof=ddof)


def slope_of_variance(g, out, x, axis=None, keepdims=False, ddof=0):
    g = 2 * g / builtins.max(entries(x, axis) - ddof, 0)     # by 0 as NumPy does, where there are too few entries
    return spread(g, x, axis, keepdims) * (x - mean(x, axis=axis, keepdims=True))


var.vjps(slope_of_variance)


def slope_of_extreme(g, out, x, axis=None, keepdims=False):
    """All of the cotangent to the extreme entry; entries that tie share it equally."""
    tied = astype(equal(x, spread(out, x, axis, keepdims)), g.dtype)
    return tied * spread(g / sum(tied, axis=axis, keepdims=keepdims), x, axis, keepdims)


@primitive(integers=True)
def max(x, axis=None, keepdims=False):
    """Largest entry over ``axis``; entries that tie share the cotangent equally."""
    return np.max(x, axis=axis, keepdims=keepdims)


max.vjps(slope_of_extreme)


@primitive(integers=True)
def min(x, axis=None, keepdims=False):
    """Smallest entry over ``axis``; entries that tie share the cotangent equally."""
    return np.min(x, axis=axis, keepdims=keepdims)


min.vjps(slope_of_extreme)


@primitive
def argmax(x, axis=None, keepdims=False):
    """Position of the largest entry over ``axis``, without a derivative."""
    return np.argmax(x, axis=axis, keepdims=keepdims)


argmax.vjps(None)


@primitive
def argmin(x, axis=None, keepdims=False):
    """Position of the smallest entry over ``axis``, without a derivative."""
    return np.argmin(x, axis=axis, keepdims=keepdims)


argmin.vjps(None)


@primitive(integers=True)
def cumsum(x, axis):
    """Sums of the entries so far along ``axis``, an int."""
    return np.cumsum(x, axis=axis)


cumsum.vjps(lambda g, out, x, axis: flip(cumsum(flip(g, axis), axis=axis), axis))


def largest(x, axis):
    """The largest entry over ``axis``, which is kept with length 1; -inf where there is none."""
    axes = axes_of(axis, x.ndim)
    if any(x.shape[a] == 0 for a in axes):
        return np.full_like(x, -np.inf, shape=tuple(1 if a in axes else n for a, n in enumerate(x.shape)))
    return np.max(x, axis=axis, keepdims=True)


@primitive
def logsumexp(x, axis=None, keepdims=False):
    """log Σ exp(x) over ``axis``, computed from the largest entry down, so that nothing overflows.

    >>> import minigrad as mg
    >>> mg.logsumexp(mg.tensor([1000.0, 1000.0]))
    tensor(1000.69314718, dtype=float64)
    """
    top = largest(x, axis)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):                  # the logarithm of an empty sum is -inf
        out = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return out if keepdims else np.squeeze(out, axis)


def slope_of_logsumexp(g, out, x, axis=None, keepdims=False):
    """g · softmax(x); 0 where every entry is -inf."""
    out = where(equal(out, -np.inf), 0, out)
    return spread(g, x, axis, keepdims) * exp(x - spread(out, x, axis, keepdims))


logsumexp.vjps(slope_of_logsumexp)


for function in (sum, mean, var, max, min, cumsum, logsumexp):
    function.carries = over_axes


def logmeanexp(x, axis=None, keepdims=False):
    """log of the mean of exp(x) over ``axis``, which must not be empty."""
    n = entries(x, axis)
    if n == 0:
        raise ValueError(f"logmeanexp: expected at least one entry over axis {axis}, got shape {x.shape}. "
                         "The mean of nothing is undefined")
    return logsumexp(x, axis=axis, keepdims=keepdims) - math.log(n)


def prod(x, axis=None, keepdims=False):
    """Product over ``axis``: halves are multiplied until one entry is left.

    Unlike (product of all) / x, the derivative of products of pairs is right where entries are zero.
    """
    axes = axes_of(axis, x.ndim)
    for a in axes:
        if x.shape[a] == 0:
            x = sum(x, axis=a, keepdims=True) + 1       # the empty product
        while (half := x.shape[a] // 2):
            low, high, rest = split(x, (half, 2 * half), axis=a)
            x = concatenate([low * high, rest], axis=a) if rest.size else low * high
    return x if keepdims else squeeze(x, axes)
