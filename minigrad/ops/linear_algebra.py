"""Matrix products."""

import math

import numpy as np

from minigrad.ops.alternatives import matrix_product
from minigrad.ops.errors import misfit
from minigrad.ops.primitives import primitive
from minigrad.ops.shaping import expand_dims, reshape, squeeze, swapaxes, transpose

__all__ = ["matmul"]


def rows(x):
    """x as one matrix: all axes but the last become its rows."""
    return reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


@primitive(integers=True, carries=matrix_product)
def matmul(x, y):
    """The matrix product x @ y of vectors, matrices, or stacks of matrices that broadcast.

    As in NumPy, a vector x stands for a row and a vector y for a column, and that axis is absent
    from the result.
    """
    try:
        return np.matmul(x, y)
    except ValueError:
        raise misfit("matmul", "x (..., n, k) and y (..., k, m) with equal k and leading axes that broadcast",
                     "Transpose or reshape one of them.", x=x, y=y) from None


def as_matrices(g, x, y):
    """Cotangent and arguments with the axes that vectors leave out."""
    if y.ndim == 1:
        g, y = expand_dims(g, -1), expand_dims(y, -1)
    if x.ndim == 1:
        g, x = expand_dims(g, -2), expand_dims(x, -2)
    return g, x, y


def matmul_left(g, out, x, y):
    """g yᵀ."""
    g, _, columns = as_matrices(g, x, y)
    cotangent = g @ swapaxes(columns, -1, -2)
    return squeeze(cotangent, -2) if x.ndim == 1 else cotangent


def matmul_right(g, out, x, y):
    """xᵀ g; all rows at once where one matrix y serves a whole stack x."""
    g, x, _ = as_matrices(g, x, y)
    cotangent = transpose(rows(x)) @ rows(g) if y.ndim <= 2 else swapaxes(x, -1, -2) @ g
    return squeeze(cotangent, -1) if y.ndim == 1 else cotangent


matmul.vjps(matmul_left, matmul_right)
