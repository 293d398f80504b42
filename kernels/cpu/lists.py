"""The compiled passes behind `gates.open_blocks`.

They fill arrays that they are given, and return numbers. (To return an array Numba runs Python code, where an
interrupt would turn into a SystemError.)
"""

import numpy as np

from .jit import kernel


@kernel
def count_open(gates, counts):
    """(n_open, odd): how many gates are open; `counts` is filled with their number in each block.

    `odd` is 0 if all gates are 0 or 1, and finite only if all gates are.
    """
    n_examples, n_blocks = gates.shape
    counts[:] = 0
    odd = 0.0
    for i in range(n_examples):
        row = gates[i]
        difference = row.dtype.type(0)
        for j in range(n_blocks):
            counts[j] += row[j] != 0
            difference += abs(row[j] * row[j] - row[j])
        odd += difference
    n_open = 0
    for j in range(n_blocks):
        n_open += counts[j]
    return n_open, odd


@kernel
def list_open(gates, counts, n_open, buffer):
    """Fill the buffer with the lists of OpenBlocks, one after another; `counts` is used up.

    Order in the buffer: indptr, block_indptr, positions, examples, indices, one spare place.
    """
    n_examples, n_blocks = gates.shape
    first = n_examples + 1
    second = first + n_blocks + 1
    indptr = buffer[:first]
    block_indptr = buffer[first:second]
    positions = buffer[second:second + n_open]
    examples = buffer[second + n_open:second + 2 * n_open]
    indices = buffer[second + 2 * n_open:]

    block_indptr[0] = 0
    for j in range(n_blocks):
        block_indptr[j + 1] = block_indptr[j] + counts[j]
        counts[j] = block_indptr[j]  # from here on: where the next example of block j goes
    indptr[0] = 0
    end = np.uint64(0)  # unsigned: an index that needs no check for counting from the end
    for i in range(n_examples):
        row = gates[i]
        start = end
        for j in range(n_blocks):
            # Written always and kept only if open: no branch for the processor to mispredict,
            # and one spare place at the end for the write that is not kept.
            indices[end] = j
            end += np.uint64(row[j] != 0)
        indptr[i + 1] = end
        for position in range(start, end):
            j = np.uint64(indices[position])
            place = counts[j]
            examples[np.uint64(place)] = i
            positions[np.uint64(place)] = position
            counts[j] = place + 1
