"""The forward product of one example in one compiled call, lists and all.

It takes microseconds, and so would every step on the way to it in Python.
"""

import numpy as np

from .epilogue import add_bias, scale
from .jit import kernel
from .lists import list_open
from .tile import VECTOR_BYTES

if VECTOR_BYTES:
    from .vector import compiled_operand, sdd
else:
    from .plain import compiled_operand, sdd


@kernel
def forward(gates, x, weight, bias, block):
    """(values, buffer, n_open, odd): a gated layer's open units, and the lists as `list_open` has them.

    Contiguous arrays of one dtype; a bias of length 0 stands for none.
    """
    buffer, n_open, odd = list_open(gates)
    first = gates.shape[0] + 1
    second = first + gates.shape[1] + 1
    indices = buffer[second + 2 * n_open:second + 3 * n_open]
    values = np.empty((n_open, block), x.dtype)
    sdd(0, gates.shape[1], buffer[first:second], buffer[second + n_open:second + 2 * n_open],
        buffer[second:second + n_open], compiled_operand(x), compiled_operand(weight), values)
    if len(bias) > 0:
        add_bias(indices, bias, values)
    if odd != 0:
        scale(buffer[:first], indices, gates, values, values)
    return values, buffer, n_open, odd
