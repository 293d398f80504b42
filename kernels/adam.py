"""A step of Adam in one pass over memory, where NumPy makes a dozen."""

import math

from .jit import kernel


def adam(x, gradient, mean, square, rate, betas, scale, epsilon):
    """Move ``x``, ``mean`` and ``square`` in place, by the formulas of ``minigrad.optim.Adam``.

        mean ← β₁ mean + (1 − β₁) gradient,    square ← β₂ square + (1 − β₂) gradient²
        x ← x − rate · mean / (scale · √square + ε)

    Parameters
    ----------
    x, gradient, mean, square : arrays without gaps, of one shape, dtype and order of memory.
    rate, scale : with the corrections of Adam's first steps in them.

    >>> import numpy as np
    >>> x, mean, square = np.array([1.0]), np.zeros(1), np.zeros(1)
    >>> adam(x, np.array([2.0]), mean, square, rate=0.5, betas=(0.5, 0.75), scale=2.0, epsilon=1.0)
    >>> x, mean, square
    (array([0.83333333]), array([1.]), array([1.]))
    """
    numbers = rate, betas[0], 1 - betas[0], betas[1], 1 - betas[1], scale, epsilon
    flat = (array.ravel("K") for array in (x, gradient, mean, square))      # views, whatever the shape
    _adam(*flat, *map(x.dtype.type, numbers))


@kernel
def _adam(x, gradient, mean, square, rate, beta1, rest1, beta2, rest2, scale, epsilon):
    for i in range(len(x)):
        m = beta1 * mean[i] + rest1 * gradient[i]
        v = beta2 * square[i] + rest2 * gradient[i] * gradient[i]
        mean[i], square[i] = m, v
        x[i] -= rate * m / (scale * math.sqrt(v) + epsilon)
