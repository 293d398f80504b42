"""Diagonals of matrices, and the parts above and below them."""

import numpy as np

from minigrad.ops.alternatives import last_axes
from minigrad.ops.errors import misfit
from minigrad.ops.indexing import getitem, scatter_add
from minigrad.ops.primitives import primitive
from minigrad.ops.reductions import sum
from minigrad.ops.shaping import axes_of, moveaxis, reshape

__all__ = ["diag", "diagonal", "trace", "tril", "triu"]


@primitive(integers=True, carries=last_axes)
def tril(x, k=0):
    """x (..., n, m) with zeros above diagonal k.

    >>> tril(np.ones((2, 3)), 1)
    array([[1., 1., 0.],
           [1., 1., 1.]])
    """
    check_matrix("tril", x)
    return np.tril(x, k)


tril.vjps(lambda g, out, x, k=0: tril(g, k=k))


@primitive(integers=True, carries=last_axes)
def triu(x, k=0):
    """x (..., n, m) with zeros below diagonal k."""
    check_matrix("triu", x)
    return np.triu(x, k)


triu.vjps(lambda g, out, x, k=0: triu(g, k=k))


def check_matrix(name, x):
    if x.ndim < 2:
        raise misfit(name, "a matrix or a stack of them, (..., n, m)", "Reshape first.", x=x)


def places(n, m, offset):
    """Where a diagonal of a matrix (n, m) lies among its entries in a row, as a slice."""
    start = offset if offset >= 0 else -offset * m
    count = max(0, min(n + min(offset, 0), m - max(offset, 0)))
    return slice(start, start + count * (m + 1), m + 1) if count else slice(0, 0)


def diagonal(x, offset=0, axis1=0, axis2=1):
    """The diagonal of the matrices along two axes of x, as a new last axis.

    ``offset`` counts from the main diagonal, upwards.

    >>> diagonal(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([1., 4.])
    """
    check_matrix("diagonal", x)
    axes = axes_of((axis1, axis2), x.ndim)
    if axes[0] == axes[1]:
        raise misfit("diagonal", "two different axes", "Choose another.", x=x, axis1=axis1, axis2=axis2)
    x = moveaxis(x, axes, (-2, -1))
    *rest, n, m = x.shape
    return getitem(reshape(x, shape=(*rest, n * m)), Ellipsis, places(n, m, offset))


def diag(x, k=0):
    """Diagonal k of a matrix; or for a vector the square matrix that has it there and zeros elsewhere.

    >>> diag(np.array([1.0, 2.0]))
    array([[1., 0.],
           [0., 2.]])
    """
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise misfit("diag", "a vector or a matrix", "Use diagonal for stacks of matrices.", x=x)
    n = x.shape[0] + abs(k)
    return reshape(scatter_add(x, places(n, n, k), shape=(n * n,)), shape=(n, n))


def trace(x, offset=0, axis1=0, axis2=1):
    """Sum of the diagonal of the matrices along two axes of x."""
    return sum(diagonal(x, offset, axis1, axis2), axis=-1)
