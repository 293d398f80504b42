"""The forward product of one example in one compiled call, lists and all.

It takes microseconds, and so would every step on the way to it in Python.
"""

from .epilogue import add_bias, scale
from .jit import kernel
from .lists import count_open, list_open
from .vectors import VECTOR_BYTES

if VECTOR_BYTES:
    from .tile import compiled_operand, sdd
else:
    from .plain import compiled_operand, sdd


@kernel
def forward(gates, x, weight, bias, counts, buffer, values):
    """(n_open, odd), as `count_open`; fills `buffer` as `list_open`, and the first `n_open` rows of `values`.

    Contiguous arrays of one dtype; a bias of length 0 stands for none.
    """
    n_open, odd = count_open(gates, counts)
    list_open(gates, counts, n_open, buffer)
    first = gates.shape[0] + 1
    second = first + gates.shape[1] + 1
    indices = buffer[second + 2 * n_open:second + 3 * n_open]
    sdd(0, gates.shape[1], buffer[first:second], buffer[second + n_open:second + 2 * n_open],
        buffer[second:second + n_open], compiled_operand(x), compiled_operand(weight), values)
    if len(bias) > 0:
        add_bias(indices, bias, values)
    if odd != 0:
        scale(buffer[:first], indices, gates, values, values)
    return n_open, odd
