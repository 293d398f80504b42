"""A step of gradient descent with momentum.

Compiled code takes one pass over memory. NumPy takes about six. The results are the same bit for bit.
"""

from . import specification
from .adam import as_rows, compiled, in_order_of
from .backend import loaded


def momentum_step(x, gradient, velocity, rate, momentum, nesterov=False):
    """Change ``x`` and ``velocity`` in place, by one step with momentum (``specification.momentum_step``).

    On the CPU the bits are those of the specification.

    x, velocity : contiguous arrays of one shape, dtype and memory order; gradient : array of that shape and dtype;
    rate, momentum : numbers; nesterov : bool.

    >>> import numpy as np
    >>> x, velocity = np.array([1.0]), np.array([4.0])
    >>> momentum_step(x, np.array([2.0]), velocity, rate=0.5, momentum=0.5)
    >>> x, velocity
    (array([2.]), array([1.]))
    """
    if not compiled(x, velocity):
        specification.momentum_step(x, gradient, velocity, rate, momentum, nesterov)
        return
    flat = (array.ravel("K") for array in (x, in_order_of(x, gradient), velocity))
    loaded("cpu.momentum").momentum_step(*flat, *map(x.dtype.type, (rate, momentum)), nesterov)


def momentum_rows(x, gradient, velocity, rate, momentum, nesterov=False, rows=None):
    """``momentum_step`` for the rows of x whose gradient is not 0 throughout. The other rows do not change.

    x, gradient, velocity, rows : as for ``adam.adam_rows``.

    >>> import numpy as np
    >>> x, velocity = np.ones((2, 1)), np.full((2, 1), 4.0)
    >>> momentum_rows(x, np.array([[0.0], [2.0]]), velocity, rate=0.5, momentum=0.5)
    >>> x[:, 0], velocity[:, 0]
    (array([1., 2.]), array([4., 1.]))
    """
    if not (compiled(x, velocity) and x.flags.c_contiguous):
        specification.touched_rows(lambda *arrays: specification.momentum_step(*arrays, rate, momentum, nesterov),
                                   x, gradient, velocity, rows=rows)
        return
    loaded("cpu.momentum").momentum_rows(*as_rows(x, gradient, velocity, rows=rows),
                                         *map(x.dtype.type, (rate, momentum)), nesterov)
