"""Reductions: sums, means, products and extremes over axes.

``axis`` is an int, a tuple of ints, or None for all axes, as in NumPy.  Of packed units only the open blocks are
read, and only their cotangents computed, unless somebody wants those of closed blocks.
"""

import builtins
import math

import numpy as np

from minigrad.kernels import Packed, packed_axes
from minigrad.ops.arithmetic import astype, exp
from minigrad.ops.constants import ones_like
from minigrad.ops.indexing import getitem
from minigrad.ops.joining import concatenate, split
from minigrad.ops.logic import equal, not_zero, where
from minigrad.ops.packed import ALL
from minigrad.ops.primitives import along_axes, primitive
from minigrad.ops.shaping import axes_of, broadcast_to, flip, moveaxis, one_axis, reshape, squeeze

__all__ = [
    "all", "any", "argmax", "argmin", "cumprod", "cumsum", "logmeanexp", "logsumexp", "max", "mean", "min", "norm",
    "prod", "std", "sum", "var",
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


def as_read(x, wanted):
    """x as a product reads it: packed units are dense where the cotangents of closed blocks are wanted as well."""
    return x.to_dense() if isinstance(x, Packed) and (wanted == ALL or x.on_device) else x


def entrywise(function, x, *others):
    """function(x, *others), entry by entry, for others of the shape of x; of packed units at their open blocks."""
    if isinstance(x, Packed):
        return x.with_values(function(x.values, *(packed_axes.gathered(x, other) for other in others)))
    return function(x, *others)


@along_axes(integers=True, linear=((0,),))
def sum(x, axis=None, keepdims=False):
    """Sum over ``axis``."""
    return np.sum(x, axis=axis, keepdims=keepdims)


sum.vjps(lambda g, out, x, axis=None, keepdims=False: spread(g, x, axis, keepdims))


@along_axes(linear=((0,),))
def mean(x, axis=None, keepdims=False):
    """Arithmetic mean over ``axis``."""
    return np.mean(x, axis=axis, keepdims=keepdims)


mean.vjps(lambda g, out, x, axis=None, keepdims=False: spread(g / entries(x, axis), x, axis, keepdims))


@along_axes(graded=True)
def var(x, axis=None, keepdims=False, ddof=0):
    """Variance over ``axis``: the sum of (x - mean)² divided by the number of entries less ``ddof``."""
    return np.var(x, axis=axis, keepdims=keepdims, ddof=ddof)


def slope_of_variance(g, out, x, axis=None, keepdims=False, ddof=0, *, wanted):
    g = 2 * g / builtins.max(entries(x, axis) - ddof, 0)     # by 0 as NumPy does, where there are too few entries
    return from_mean(x, axis, wanted) * spread(g, x, axis, keepdims)


def from_mean(x, axis, wanted):
    """x less its mean over ``axis``."""
    centre = broadcast_to(mean(x, axis=axis, keepdims=True), shape=x.shape)
    return entrywise(lambda x, centre: x - centre, as_read(x, wanted), centre)


var.vjps(slope_of_variance)


@along_axes(graded=True)
def std(x, axis=None, keepdims=False, ddof=0):
    """Standard deviation over ``axis``, the square root of ``var``; its derivative at 0 is taken to be 0.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 3.0], requires_grad=True)
    >>> x.std(ddof=1).backward()
    >>> x.grad.round(4)
    array([-0.7071,  0.7071])
    """
    return np.std(x, axis=axis, keepdims=keepdims, ddof=ddof)


def slope_of_deviation(g, out, x, axis=None, keepdims=False, ddof=0, *, wanted):
    g = g / (not_zero(out) * (entries(x, axis) - ddof))
    return from_mean(x, axis, wanted) * spread(g, x, axis, keepdims)


std.vjps(slope_of_deviation)


@along_axes
def norm(x, axis=None, keepdims=False):
    """Euclidean norm over ``axis``, √(Σ x²); its derivative at 0 is taken to be 0.

    >>> norm(np.array([[3.0, 4.0], [0.0, 0.0]]), axis=1)
    array([5., 0.])
    """
    return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))


norm.vjps(lambda g, out, x, axis=None, keepdims=False: x * spread(g / not_zero(out), x, axis, keepdims))


def slope_of_extreme(g, out, x, axis=None, keepdims=False, *, wanted):
    """All of the cotangent to the extreme entry; entries that tie share it equally, zeros of closed blocks too."""
    x = as_read(x, wanted)
    tied = entrywise(lambda x, top: astype(equal(x, top), g.dtype), x, spread(out, x, axis, keepdims))
    ties = sum(tied, axis=axis, keepdims=keepdims)
    if isinstance(x, Packed):
        ties = ties + packed_axes.closed(x, axis, keepdims) * (out == 0).astype(g.dtype)
    return tied * spread(g / ties, x, axis, keepdims)


@along_axes(integers=True, graded=True)
def max(x, axis=None, keepdims=False):
    """Largest entry over ``axis``; entries that tie share the cotangent equally."""
    return np.max(x, axis=axis, keepdims=keepdims)


max.vjps(slope_of_extreme)


@along_axes(integers=True, graded=True)
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


@along_axes
def any(x, axis=None, keepdims=False):
    """Whether any entry over ``axis`` is true (not zero); without a derivative."""
    return np.any(x, axis=axis, keepdims=keepdims)


any.vjps(None)


@along_axes
def all(x, axis=None, keepdims=False):
    """Whether all entries over ``axis`` are true (not zero); without a derivative."""
    return np.all(x, axis=axis, keepdims=keepdims)


all.vjps(None)


@along_axes(integers=True)
def cumsum(x, axis):
    """Sums of the entries so far along ``axis``, an int."""
    return np.cumsum(x, axis=one_axis("cumsum", axis, x.ndim))


cumsum.vjps(lambda g, out, x, axis: flip(cumsum(flip(g, axis), axis=axis), axis))


def largest(x, axis):
    """The largest entry over ``axis``, which is kept with length 1; -inf where there is none."""
    axes = axes_of(axis, x.ndim)
    if 0 in [x.shape[a] for a in axes]:
        return np.full_like(x, -np.inf, shape=tuple(1 if a in axes else n for a, n in enumerate(x.shape)))
    return np.max(x, axis=axis, keepdims=True)


@along_axes
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
    if isinstance(getattr(x, "value", x), Packed):
        return prod_of_packed(x, axis=axis, keepdims=keepdims)
    x, axes = widened(x), axes_of(axis, x.ndim)
    for a in axes:
        if x.shape[a] == 0:
            x = sum(x, axis=a, keepdims=True) + 1       # the empty product
        while (half := x.shape[a] // 2):
            low, high, rest = split(x, (half, 2 * half), axis=a)
            x = concatenate([low * high, rest], axis=a) if rest.size else low * high
    return x if keepdims else squeeze(x, axes)


def cumprod(x, axis):
    """Products of the entries so far along ``axis``, an int: each pass multiplies twice as many of them.

    Unlike (products so far) / x, the derivative of products of pairs is right where entries are zero.

    >>> cumprod(np.array([2.0, 3.0, 4.0]), axis=0)
    array([ 2.,  6., 24.])
    """
    x, axis = widened(x), one_axis("cumprod", axis, x.ndim)
    before, n, step = [slice(None)] * axis, x.shape[axis], 1
    while step < n:
        first, rest = getitem(x, *before, slice(0, step)), getitem(x, *before, slice(step, n))
        x = concatenate([first, rest * getitem(x, *before, slice(0, n - step))], axis=axis)
        step *= 2
    return x


def widened(x):
    """Integers and booleans in the dtype in which NumPy multiplies them, of 64 bits; anything else as it is."""
    return astype(x, np.prod(np.zeros(0, x.dtype)).dtype) if x.dtype.kind in "bui" else x


@primitive(integers=True, graded=True, name="prod")
def prod_of_packed(x, axis=None, keepdims=False):
    """The primitive behind ``prod`` for packed units."""
    return np.prod(x, axis=axis, keepdims=keepdims)


def slope_of_product(g, out, x, axis=None, keepdims=False, *, wanted):
    """g times the product of the other entries; at open blocks it is 0 where a block beside them is closed."""
    x = as_read(x, wanted)
    if not isinstance(x, Packed):
        return spread(g, x, axis, keepdims) * product_of_others(x, axes_of(axis, x.ndim))
    zeros = sum(entrywise(lambda x: equal(x, 0), x), axis=axis, keepdims=keepdims)      # of open blocks
    rest = np.prod(entrywise(lambda x: where(x == 0, 1, x), x), axis=axis, keepdims=keepdims)
    slope = entrywise(lambda x, rest, zeros: rest / where(x == 0, 1, x) * (zeros == (x == 0)), x,
                      spread(rest, x, axis, keepdims), spread(zeros, x, axis, keepdims))
    return slope * spread(g, x, axis, keepdims)


def product_of_others(x, axes):
    """For each entry the product of all others along the same axes: of those before it, times those after it."""
    last = tuple(range(x.ndim - len(axes), x.ndim))
    moved = moveaxis(x, axes, last)
    flat = reshape(moved, shape=(*moved.shape[:x.ndim - len(axes)], math.prod(x.shape[a] for a in axes)))
    others = product_before(flat) * flip(product_before(flip(flat, -1)), -1)
    return moveaxis(reshape(others, shape=moved.shape), last, axes)


def product_before(x):
    start = ones_like(getitem(x, Ellipsis, slice(0, 1)))
    return concatenate([start, cumprod(getitem(x, Ellipsis, slice(0, -1)), axis=-1)], axis=-1)


prod_of_packed.vjps(slope_of_product)
