"""A step with momentum in one pass: for all rows, or only for rows with a gradient. `kernels.momentum` calls it."""

from .elementary import any_not_zero
from .jit import exact


@exact
def momentum_step(x, gradient, velocity, rate, momentum, nesterov):
    """See `specification.momentum_step`; one-dimensional arrays, and numbers of their dtype."""
    for i in range(len(x)):
        change = rate * gradient[i]
        velocity[i] = velocity[i] * momentum - change
        x[i] += momentum * velocity[i] - change if nesterov else velocity[i]


@exact
def momentum_rows(x, gradient, velocity, rows, rate, momentum, nesterov):
    """`momentum_step` for row rows[i] of x and velocity, with row i of the gradient. Rows of zeros are skipped."""
    for i in range(len(rows)):
        if any_not_zero(gradient[i]):
            r = rows[i]
            momentum_step(x[r], gradient[i], velocity[r], rate, momentum, nesterov)
