"""A step of Adam: in one pass over memory where kernels are compiled, else in NumPy, which takes a dozen passes.

Both give the same bits.
"""

import numpy as np

from . import specification
from .backend import loaded
from .compiler import serving
from .device.arrays import on_device

# Loading Numba takes longer than many steps on this many numbers with NumPy do.
_SMALL = 4096


def adam_step(x, gradient, mean, square, rate, betas, correction, epsilon):
    """Move ``x``, ``mean`` and ``square`` in place, as in ``specification.adam_step``; on a host bit for bit.

    Parameters
    ----------
    x, mean, square : arrays of float32 or float64 without gaps, of one shape, dtype and order of memory.
    gradient : array of that shape and dtype.
    rate, betas, correction, epsilon : numbers, as in ``specification.adam_step``.

    >>> x, mean, square = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adam_step(x, np.array([2.0]), mean, square, rate=0.5, betas=(0.5, 0.75), correction=0.5, epsilon=1.0)
    >>> x, mean, square
    (array([0.83333333]), array([1.]), array([1.]))
    """
    if on_device(x) or x.size < _SMALL or serving() != "numba":
        specification.adam_step(x, gradient, mean, square, rate, betas, correction, epsilon)
        return
    if gradient.strides != x.strides:
        ordered = np.empty_like(x)
        ordered[...] = gradient
        gradient = ordered
    flat = (array.ravel("K") for array in (x, gradient, mean, square))      # views, in the order of memory
    numbers = rate, betas[0], 1 - betas[0], betas[1], 1 - betas[1], correction, epsilon
    loaded("cpu.adam").adam_step(*flat, *map(x.dtype.type, numbers))
