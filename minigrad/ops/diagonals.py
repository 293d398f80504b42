"""Diagonals of matrices, and the parts above and below them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minigrad.ops.alternatives import last_axes
from minigrad.ops.errors import shape_error
from minigrad.ops.indexing import getitem, scatter_add
from minigrad.ops.primitives import primitive
from minigrad.ops.reductions import sum
from minigrad.ops.shaping import axes_of, moveaxis, reshape

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = ["diag", "diagonal", "trace", "tril", "triu"]


@primitive(integers=True, batching=last_axes)
def tril(x: Operand, k: int = 0) -> Result:
    """x (..., n, m) with zeros above diagonal k.

    >>> tril(np.ones((2, 3)), 1)
    array([[1., 1., 0.],
           [1., 1., 1.]])
    """
    check_matrix("tril", x)
    return np.tril(x, k)


tril.vjps(lambda g, out, x, k=0: tril(g, k=k))


@primitive(integers=True, batching=last_axes)
def triu(x: Operand, k: int = 0) -> Result:
    """x (..., n, m) with zeros below diagonal k."""
    check_matrix("triu", x)
    return np.triu(x, k)


triu.vjps(lambda g, out, x, k=0: triu(g, k=k))


def check_matrix(name, x):
    """Raise a ValueError if x has fewer than two axes."""
    if x.ndim < 2:
        raise shape_error(name, "a matrix or a stack of them, (..., n, m)", "Reshape first.", x=x)


def places(n, m, offset):
    """The positions of a diagonal of a matrix (n, m) in the flattened matrix, as a slice."""
    start = offset if offset >= 0 else -offset * m
    count = max(0, min(n + min(offset, 0), m - max(offset, 0)))
    return slice(start, start + count * (m + 1), m + 1) if count else slice(0, 0)


def diagonal(x: Operand, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Result:
    """The diagonals of the matrices along two axes of x.  The diagonal is the last axis of the result.

    ``offset`` is 0 for the main diagonal, positive above it and negative below it.

    >>> diagonal(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([1., 4.])
    """
    check_matrix("diagonal", x)
    axes = axes_of((axis1, axis2), x.ndim)
    if axes[0] == axes[1]:
        raise shape_error("diagonal", "two different axes", "Choose another.", x=x, axis1=axis1, axis2=axis2)
    x = moveaxis(x, axes, (-2, -1))
    *rest, n, m = x.shape
    return getitem(reshape(x, shape=(*rest, n * m)), Ellipsis, places(n, m, offset))


def diag(x: Operand, k: int = 0) -> Result:
    """Diagonal k of a matrix x.  For a vector x, the square matrix with x as its diagonal k and zeros elsewhere.

    >>> diag(np.array([1.0, 2.0]))
    array([[1., 0.],
           [0., 2.]])
    """
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise shape_error("diag", "a vector or a matrix", "Use diagonal for stacks of matrices.", x=x)
    n = x.shape[0] + abs(k)
    return reshape(scatter_add(x, places(n, n, k), shape=(n * n,)), shape=(n, n))


def trace(x: Operand, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Result:
    """The sums of the diagonals of the matrices along two axes of x."""
    return sum(diagonal(x, offset, axis1, axis2), axis=-1)
