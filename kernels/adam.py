"""A step of Adam.

Compiled code takes one pass over memory. NumPy takes about a dozen. The results are the same bit for bit.
"""

import numpy as np

from . import specification
from .backend import loaded
from .compiler import serving
from .device.arrays import on_device

# For this number of entries, loading Numba takes longer than many steps in NumPy.
_SMALL = 4096


def compiled(x, *memory):
    """Whether a step on the parameter x is done in compiled code: on the CPU, unless x is small.

    The memory may have another memory order than x, if x got a new value since. Compiled code does not take this.
    """
    return (not on_device(x) and x.size >= _SMALL and all(array.strides == x.strides for array in memory)
            and serving() == "numba")


def adam_step(x, gradient, mean, square, rate, betas, correction, epsilon):
    """Change ``x``, ``mean`` and ``square`` in place, by one step of Adam (``specification.adam_step``).

    On the CPU the bits are those of the specification.

    Parameters
    ----------
    x, mean, square : contiguous arrays of float32 or float64, of one shape, dtype and memory order.
    gradient : array of that shape and dtype.
    rate, betas, correction, epsilon : numbers, as in ``specification.adam_step``.

    >>> x, mean, square = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adam_step(x, np.array([2.0]), mean, square, rate=0.5, betas=(0.5, 0.75), correction=0.5, epsilon=1.0)
    >>> x, mean, square
    (array([0.83333333]), array([1.]), array([1.]))
    """
    if not compiled(x, mean, square):
        specification.adam_step(x, gradient, mean, square, rate, betas, correction, epsilon)
        return
    flat = (array.ravel("K") for array in (x, in_order_of(x, gradient), mean, square))      # views, in memory order
    loaded("cpu.adam").adam_step(*flat, *_numbers(x.dtype, rate, betas, correction, epsilon))


def adam_rows(x, gradient, mean, square, rate, betas, correction, epsilon, rows=None):
    """``adam_step`` for the rows of x whose gradient is not 0 throughout. The other rows do not change.

    Parameters
    ----------
    x, mean, square : arrays (H, ...), as for ``adam_step``.
    gradient : array (H, ...), or (len(rows), ...) if ``rows`` are given.
    rows : int array of different numbers, optional
        Row i of the gradient belongs to row ``rows[i]`` of x.

    >>> x, mean, square = np.ones((2, 1)), np.zeros((2, 1)), np.ones((2, 1))
    >>> adam_rows(x, np.array([[0.0], [2.0]]), mean, square, 0.5, (0.5, 0.75), 0.5, 1.0)
    >>> x[:, 0].round(3), square[:, 0]
    (array([1.   , 0.863]), array([1.  , 1.75]))
    """
    if not (compiled(x, mean, square) and x.flags.c_contiguous):
        specification.touched_rows(
            lambda *arrays: specification.adam_step(*arrays, rate, betas, correction, epsilon),
            x, gradient, mean, square, rows=rows)
        return
    loaded("cpu.adam").adam_rows(*as_rows(x, gradient, mean, square, rows=rows),
                                 *_numbers(x.dtype, rate, betas, correction, epsilon))


def _numbers(dtype, rate, betas, correction, epsilon):
    return map(dtype.type, (rate, betas[0], 1 - betas[0], betas[1], 1 - betas[1], correction, epsilon))


def in_order_of(x, gradient):
    """The gradient in the memory order of x: itself, or a copy."""
    if gradient.strides == x.strides:
        return gradient
    ordered = np.empty_like(x)
    ordered[...] = gradient
    return ordered


def as_rows(x, gradient, *memory, rows):
    """All arrays as matrices, of which only the gradient may be a copy, and the numbers of the rows."""
    rows = np.arange(len(x)) if rows is None else np.require(rows, np.int64, "CAW")
    width = x.size // len(x)
    gradient = np.require(gradient, requirements="CAW").reshape(len(rows), width)
    return x.reshape(-1, width), gradient, *(array.reshape(-1, width) for array in memory), rows
