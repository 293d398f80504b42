"""The forward product of a gated layer for one example, in one compiled call: lists, product, bias and gates.

The whole call takes microseconds. A separate call from Python for each of these steps would take a few times as long.
"""

from .dispatch import tile
from .epilogue import add_bias, scale
from .jit import kernel
from .layout import compiled_sections
from .lists import count_open, list_open

compiled_operand, sdd = tile.compiled_operand, tile.sdd


@kernel
def gated_linear(gates, x, weight, bias, counts, buffer, by_block, values):
    """Fill `buffer` like `list_open`, and the first `n_open` rows of `values`; return the results of `count_open`.

    Arrays are contiguous and of one dtype. A bias of length 0 means that there is no bias.
    """
    n_open, deviation = count_open(gates, counts)
    list_open(gates, counts, n_open, buffer)
    indptr, block_indptr, indices = compiled_sections(buffer, gates.shape, n_open)
    indices = indices[:n_open]
    examples, positions = by_block[0, :n_open], by_block[1, :n_open]
    for p in range(n_open):
        examples[p], positions[p] = 0, p
    sdd(0, gates.shape[1], block_indptr, examples, positions, compiled_operand(x), compiled_operand(weight), values)
    if len(bias) > 0:
        add_bias(indices, bias, values)
    if deviation != 0:
        scale(indptr, indices, gates, values, values)
    return n_open, deviation
