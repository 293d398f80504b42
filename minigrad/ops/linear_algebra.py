"""Matrix products."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from minigrad.ops.alternatives import matrix_product
from minigrad.ops.errors import shape_error
from minigrad.ops.primitives import primitive
from minigrad.ops.shaping import expand_dims, reshape, squeeze, swapaxes, transpose

if TYPE_CHECKING:
    from minigrad.aliases import Operand, Result

__all__ = ["matmul"]


def rows(x):
    """x as a matrix whose rows are the vectors along the last axis of x."""
    return reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


@primitive(integers=True, batching=matrix_product)
def matmul(x: Operand, y: Operand) -> Result:
    """The matrix product x @ y of vectors, matrices, or stacks of matrices that broadcast.

    As in NumPy, a vector x is used as a row, and a vector y as a column.  The result does not have this extra axis.
    """
    try:
        return np.matmul(x, y)
    except ValueError:
        raise shape_error("matmul", "x (..., n, k) and y (..., k, m) with equal k and leading axes that broadcast",
                          "Transpose or reshape one of them.", x=x, y=y) from None


def as_matrices(g, x, y):
    """The cotangent and the arguments, with vectors as matrices of one row or one column."""
    if y.ndim == 1:
        g, y = expand_dims(g, -1), expand_dims(y, -1)
    if x.ndim == 1:
        g, x = expand_dims(g, -2), expand_dims(x, -2)
    return g, x, y


def matmul_vjp_x(g, out, x, y):
    """g yᵀ."""
    g, _, columns = as_matrices(g, x, y)
    cotangent = g @ swapaxes(columns, -1, -2)
    return squeeze(cotangent, -2) if x.ndim == 1 else cotangent


def matmul_vjp_y(g, out, x, y):
    """xᵀ g.  If there is one matrix y for a stack x, this is one product over all rows of the stack."""
    g, x, _ = as_matrices(g, x, y)
    cotangent = transpose(rows(x)) @ rows(g) if y.ndim <= 2 else swapaxes(x, -1, -2) @ g
    return squeeze(cotangent, -1) if y.ndim == 1 else cotangent


matmul.vjps(matmul_vjp_x, matmul_vjp_y)
