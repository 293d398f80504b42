"""A step of Adam: in one pass over memory, where NumPy, for the same numbers, makes a dozen."""

import functools
import math

import numpy as np

from .backend import loaded, on_device
from .compiler import serving
from .specification import adam as in_numpy

# Loading Numba takes longer than many steps on this many numbers with NumPy do.
_SMALL = 4096


def adam(x, gradient, mean, square, rate, betas, correction, epsilon):
    """Move ``x``, ``mean`` and ``square`` in place, as in ``reference.adam``, and bit for bit as there on a host.

    Parameters
    ----------
    x, mean, square : arrays of float32 or float64 without gaps, of one shape, dtype and order of memory.
    gradient : array of that shape and dtype.
    rate, betas, correction, epsilon : numbers, see there.

    >>> x, mean, square = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adam(x, np.array([2.0]), mean, square, rate=0.5, betas=(0.5, 0.75), correction=0.5, epsilon=1.0)
    >>> x, mean, square
    (array([0.83333333]), array([1.]), array([1.]))
    """
    if on_device(x) or x.size < _SMALL or serving() != "numba":
        in_numpy(x, gradient, mean, square, rate, betas, correction, epsilon)
        return
    if gradient.strides != x.strides:
        gradient, given = np.empty_like(x), gradient
        gradient[...] = given
    flat = (array.ravel("K") for array in (x, gradient, mean, square))      # views, whatever the shape
    numbers = rate, betas[0], 1 - betas[0], betas[1], 1 - betas[1], correction, epsilon
    compiled()(*flat, *map(x.dtype.type, numbers))


@functools.cache
def compiled():
    """``in_one_pass``, compiled; Numba is loaded no earlier."""
    return loaded("cpu.jit").exact(in_one_pass)


def in_one_pass(x, gradient, mean, square, rate, beta1, rest1, beta2, rest2, correction, epsilon):
    for i in range(len(x)):
        mean[i] = mean[i] * beta1 + rest1 * gradient[i]
        square[i] = square[i] * beta2 + rest2 * (gradient[i] * gradient[i])
        x[i] -= rate * mean[i] / (math.sqrt(square[i]) / correction + epsilon)
