"""A step of Adam in one pass over memory; `kernels.adam` calls it."""

import math

from .jit import exact


@exact
def adam_step(x, gradient, mean, square, rate, beta1, rest1, beta2, rest2, correction, epsilon):
    """See `specification.adam_step`; one-dimensional arrays, and numbers of their dtype. rest is 1 − beta."""
    for i in range(len(x)):
        mean[i] = mean[i] * beta1 + rest1 * gradient[i]
        square[i] = square[i] * beta2 + rest2 * (gradient[i] * gradient[i])
        x[i] -= rate * mean[i] / (math.sqrt(square[i]) / correction + epsilon)
