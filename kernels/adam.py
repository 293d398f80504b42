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


def adam_step(x, gradient, mean, square, rate, betas, correction, epsilon):
    """Change ``x``, ``mean`` and ``square`` in place, as ``specification.adam_step`` does; on the CPU bit for bit.

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
    if on_device(x) or x.size < _SMALL or serving() != "numba":
        specification.adam_step(x, gradient, mean, square, rate, betas, correction, epsilon)
        return
    if gradient.strides != x.strides:
        ordered = np.empty_like(x)
        ordered[...] = gradient
        gradient = ordered
    flat = (array.ravel("K") for array in (x, gradient, mean, square))      # views, in memory order
    numbers = rate, betas[0], 1 - betas[0], betas[1], 1 - betas[1], correction, epsilon
    loaded("cpu.adam").adam_step(*flat, *map(x.dtype.type, numbers))
