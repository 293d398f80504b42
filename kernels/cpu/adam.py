"""A step of Adam in one pass over memory: for all rows, or only for rows with a gradient. `kernels.adam` calls it."""

import math

from .elementary import any_not_zero
from .jit import exact


@exact
def adam_step(x, gradient, mean, square, rate, beta1, rest1, beta2, rest2, correction, epsilon):
    """See `specification.adam_step`; one-dimensional arrays, and numbers of their dtype. rest is 1 − beta."""
    for i in range(len(x)):
        mean[i] = mean[i] * beta1 + rest1 * gradient[i]
        square[i] = square[i] * beta2 + rest2 * (gradient[i] * gradient[i])
        x[i] -= rate * mean[i] / (math.sqrt(square[i]) / correction + epsilon)


@exact
def adam_rows(x, gradient, mean, square, rows, rate, beta1, rest1, beta2, rest2, correction, epsilon):
    """`adam_step` for row rows[i] of x, mean and square, with row i of the gradient. Rows of zeros are skipped."""
    for i in range(len(rows)):
        if any_not_zero(gradient[i]):
            r = rows[i]
            adam_step(x[r], gradient[i], mean[r], square[r], rate, beta1, rest1, beta2, rest2, correction, epsilon)
