"""Reductions: sums, means, products and extremes over axes.

``axis`` is an int, a tuple of ints, or None for all axes, as in NumPy.  If the argument is packed, only its open
blocks are read.  The cotangents of its closed blocks are computed only if a rule needs them.
"""

from __future__ import annotations

import builtins
import math
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = [
    "all", "any", "argmax", "argmin", "cumprod", "cumsum", "logmeanexp", "logsumexp", "max", "mean", "min", "norm",
    "prod", "std", "sum", "var",
]


def broadcast_back(reduced, x, axis, keepdims):
    """A reduced array, broadcast back to the shape of x."""
    if axis is not None and not keepdims:
        axes = axes_of(axis, x.ndim)
        reduced = reshape(reduced, shape=tuple(1 if a in axes else n for a, n in enumerate(x.shape)))
    return broadcast_to(reduced, shape=x.shape)


def reduced_count(x, axis):
    """The number of entries of x that a reduction over ``axis`` combines into one."""
    return math.prod(x.shape[a] for a in axes_of(axis, x.ndim))


def dense_if_all_wanted(x, wanted):
    """x; packed units as a dense array if cotangents of closed blocks are wanted, or if x is on a GPU."""
    return x.to_dense() if isinstance(x, Packed) and (wanted == ALL or x.on_device) else x


def apply_elementwise(function, x, *others):
    """function(x, *others), entry by entry.  All have the shape of x.  If x is packed, only at its open blocks."""
    if isinstance(x, Packed):
        return x.with_values(function(x.values, *(packed_axes.gathered(x, other) for other in others)))
    return function(x, *others)


@along_axes(integers=True, linear=((0,),))
def sum(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Result:
    """Sum over ``axis``."""
    return np.sum(x, axis=axis, keepdims=keepdims)


sum.vjps(lambda g, out, x, axis=None, keepdims=False: broadcast_back(g, x, axis, keepdims))


@along_axes(linear=((0,),))
def mean(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Result:
    """Arithmetic mean over ``axis``."""
    return np.mean(x, axis=axis, keepdims=keepdims)


mean.vjps(lambda g, out, x, axis=None, keepdims=False: broadcast_back(g / reduced_count(x, axis), x, axis, keepdims))


@along_axes(takes_wanted=True)
def var(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False, ddof: int = 0) -> Result:
    """Variance over ``axis``: the sum of (x - mean)² divided by the number of entries less ``ddof``."""
    return np.var(x, axis=axis, keepdims=keepdims, ddof=ddof)


def var_vjp(g, out, x, axis=None, keepdims=False, ddof=0, *, wanted):
    g = 2 * g / builtins.max(reduced_count(x, axis) - ddof, 0)     # NumPy too divides by 0 if there are too few entries
    return centred(x, axis, wanted) * broadcast_back(g, x, axis, keepdims)


def centred(x, axis, wanted):
    """x minus its mean over ``axis``."""
    centre = broadcast_to(mean(x, axis=axis, keepdims=True), shape=x.shape)
    return apply_elementwise(lambda x, centre: x - centre, dense_if_all_wanted(x, wanted), centre)


var.vjps(var_vjp)


@along_axes(takes_wanted=True)
def std(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False, ddof: int = 0) -> Result:
    """Standard deviation over ``axis``, the square root of ``var``.  Its derivative at 0 is defined as 0.

    >>> import minigrad as mg
    >>> x = mg.tensor([1.0, 3.0], requires_grad=True)
    >>> x.std(ddof=1).backward()
    >>> x.grad.round(4)
    array([-0.7071,  0.7071])
    """
    return np.std(x, axis=axis, keepdims=keepdims, ddof=ddof)


def std_vjp(g, out, x, axis=None, keepdims=False, ddof=0, *, wanted):
    g = g / (not_zero(out) * (reduced_count(x, axis) - ddof))
    return centred(x, axis, wanted) * broadcast_back(g, x, axis, keepdims)


std.vjps(std_vjp)


@along_axes
def norm(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Result:
    """Euclidean norm over ``axis``, √(Σ x²).  Its derivative at 0 is defined as 0.

    >>> norm(np.array([[3.0, 4.0], [0.0, 0.0]]), axis=1)
    array([5., 0.])
    """
    return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))


norm.vjps(lambda g, out, x, axis=None, keepdims=False: x * broadcast_back(g / not_zero(out), x, axis, keepdims))


def extreme_vjp(g, out, x, axis=None, keepdims=False, *, wanted):
    """The cotangent of the largest or smallest entry.  Equal entries, also those in closed blocks, share it equally."""
    x = dense_if_all_wanted(x, wanted)
    tied = apply_elementwise(lambda x, top: astype(equal(x, top), g.dtype), x, broadcast_back(out, x, axis, keepdims))
    ties = sum(tied, axis=axis, keepdims=keepdims)
    if isinstance(x, Packed):
        ties = ties + packed_axes.closed(x, axis, keepdims).astype(g.dtype) * (out == 0)
    return tied * broadcast_back(g / ties, x, axis, keepdims)


@along_axes(integers=True, takes_wanted=True)
def max(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Result:
    """Largest entry over ``axis``.  If several entries are largest, they share the cotangent equally."""
    return np.max(x, axis=axis, keepdims=keepdims)


max.vjps(extreme_vjp)


@along_axes(integers=True, takes_wanted=True)
def min(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Result:
    """Smallest entry over ``axis``.  If several entries are smallest, they share the cotangent equally."""
    return np.min(x, axis=axis, keepdims=keepdims)


min.vjps(extreme_vjp)


@primitive
def argmax(x: Operand, axis: int | None = None, keepdims: bool = False) -> Result:
    """Position of the largest entry over ``axis``.  It has no derivative."""
    return np.argmax(x, axis=axis, keepdims=keepdims)


argmax.vjps(None)


@primitive
def argmin(x: Operand, axis: int | None = None, keepdims: bool = False) -> Result:
    """Position of the smallest entry over ``axis``.  It has no derivative."""
    return np.argmin(x, axis=axis, keepdims=keepdims)


argmin.vjps(None)


@along_axes
def any(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Result:
    """Whether any entry over ``axis`` is true (not zero).  It has no derivative."""
    return np.any(x, axis=axis, keepdims=keepdims)


any.vjps(None)


@along_axes
def all(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Result:
    """Whether all entries over ``axis`` are true (not zero).  It has no derivative."""
    return np.all(x, axis=axis, keepdims=keepdims)


all.vjps(None)


@along_axes(integers=True)
def cumsum(x: Operand, axis: int) -> Result:
    """Cumulative sums along ``axis``, an int."""
    return np.cumsum(x, axis=one_axis("cumsum", axis, x.ndim))


cumsum.vjps(lambda g, out, x, axis: flip(cumsum(flip(g, axis), axis=axis), axis))


def largest(x, axis):
    """The largest entry over ``axis``, which is kept with length 1.  -inf if ``axis`` is empty."""
    if type(axis) is int and -x.ndim <= axis < x.ndim and x.shape[axis]:
        return x.max(axis=axis, keepdims=True)
    axes = axes_of(axis, x.ndim)
    if 0 in [x.shape[a] for a in axes]:
        return np.full_like(x, -np.inf, shape=tuple(1 if a in axes else n for a, n in enumerate(x.shape)))
    return x.max(axis=axis, keepdims=True)


@along_axes
def logsumexp(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Result:
    """log Σ exp(x) over ``axis``.  The largest entry is subtracted first, so nothing overflows.

    >>> import minigrad as mg
    >>> mg.logsumexp(mg.tensor([1000.0, 1000.0]))
    tensor(1000.69314718, dtype=float64)
    """
    top = largest(x, axis)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):                  # the logarithm of an empty sum is -inf
        out = np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top
    return out if keepdims else np.squeeze(out, axis)


def logsumexp_vjp(g, out, x, axis=None, keepdims=False):
    """g · softmax(x), and 0 where every entry is -inf."""
    out = where(equal(out, -np.inf), 0, out)
    return broadcast_back(g, x, axis, keepdims) * exp(x - broadcast_back(out, x, axis, keepdims))


logsumexp.vjps(logsumexp_vjp)


def logmeanexp(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Result:
    """log of the mean of exp(x) over ``axis``, which must not be empty."""
    n = reduced_count(x, axis)
    if n == 0:
        raise ValueError(f"logmeanexp: expected at least one entry over axis {axis}, got shape {x.shape}. "
                         "An empty mean is undefined")
    return logsumexp(x, axis=axis, keepdims=keepdims) - math.log(n)


def prod(x: Operand, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Result:
    """Product over ``axis``.

    The two halves of the axis are multiplied, until one entry is left.  So the derivative is correct even if entries
    are zero.  (The formula product / x would divide by zero.)
    """
    if isinstance(getattr(x, "value", x), Packed):
        return prod_of_packed(x, axis=axis, keepdims=keepdims)
    x, axes = widened(x), axes_of(axis, x.ndim)
    for a in axes:
        if x.shape[a] == 0:
            x = sum(x, axis=a, keepdims=True) + 1       # an empty product is 1
        while (half := x.shape[a] // 2):
            low, high, rest = split(x, (half, 2 * half), axis=a)
            x = concatenate([low * high, rest], axis=a) if rest.size else low * high
    return x if keepdims else squeeze(x, axes)


def cumprod(x: Operand, axis: int) -> Result:
    """Cumulative products along ``axis``, an int.

    They are computed from products of pairs, in log₂(n) passes.  So the derivative is correct even if entries are
    zero.  (The formula cumprod / x would divide by zero.)

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
    """Integers and booleans as 64-bit integers, in which NumPy multiplies them.  Other dtypes are not changed."""
    return astype(x, np.prod(np.zeros(0, x.dtype)).dtype) if x.dtype.kind in "bui" else x


@primitive(integers=True, takes_wanted=True, name="prod")
def prod_of_packed(x, axis=None, keepdims=False):
    """The primitive behind ``prod`` for packed units."""
    return np.prod(x, axis=axis, keepdims=keepdims)


def prod_vjp(g, out, x, axis=None, keepdims=False, *, wanted):
    """g times the product of the other entries.  This is 0 at open blocks if the product also runs over closed ones."""
    x = dense_if_all_wanted(x, wanted)
    if not isinstance(x, Packed):
        return broadcast_back(g, x, axis, keepdims) * product_of_others(x, axes_of(axis, x.ndim))
    zeros = sum(apply_elementwise(lambda x: equal(x, 0), x), axis=axis, keepdims=keepdims)      # in open blocks
    rest = np.prod(apply_elementwise(lambda x: where(x == 0, 1, x), x), axis=axis, keepdims=keepdims)
    slope = apply_elementwise(lambda x, rest, zeros: rest / where(x == 0, 1, x) * (zeros == (x == 0)), x,
                              broadcast_back(rest, x, axis, keepdims), broadcast_back(zeros, x, axis, keepdims))
    return slope * broadcast_back(g, x, axis, keepdims)


def product_of_others(x, axes):
    """For each entry the product of all others along ``axes``: the product before it times the product after it."""
    last = tuple(range(x.ndim - len(axes), x.ndim))
    moved = moveaxis(x, axes, last)
    flat = reshape(moved, shape=(*moved.shape[:x.ndim - len(axes)], math.prod(x.shape[a] for a in axes)))
    others = product_before(flat) * flip(product_before(flip(flat, -1)), -1)
    return moveaxis(reshape(others, shape=moved.shape), last, axes)


def product_before(x):
    """For each entry the product of the entries before it along the last axis."""
    start = ones_like(getitem(x, Ellipsis, slice(0, 1)))
    return concatenate([start, cumprod(getitem(x, Ellipsis, slice(0, -1)), axis=-1)], axis=-1)


prod_of_packed.vjps(prod_vjp)
