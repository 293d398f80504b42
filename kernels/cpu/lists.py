"""The lists of open blocks, made in two passes over a gate array: count the open gates, then list them.

Both functions fill arrays that they are given, and return numbers. (A compiled function that returns an array runs
Python code at its end. An interrupt there would turn into a SystemError.)
"""

import numpy as np

from .jit import kernel
from .layout import compiled_sections


@kernel
def count_open(gates, counts):
    """(n_open, deviation): how many gates are open; `counts` is filled with their number in each block.

    `deviation` is 0 if all gates are 0 or 1. It is finite if and only if all gates are.
    """
    n_examples, n_blocks = gates.shape
    counts[:] = 0
    deviation = 0.0
    for i in range(n_examples):
        row = gates[i]
        difference = row.dtype.type(0)
        for j in range(n_blocks):
            counts[j] += row[j] != 0
            difference += abs(row[j] * row[j] - row[j])
        deviation += difference
    n_open = 0
    for j in range(n_blocks):
        n_open += counts[j]
    return n_open, deviation


@kernel
def list_open(gates, counts, n_open, buffer):
    """Fill the buffer with the lists of OpenBlocks, as `layout` describes it; `counts` is used up."""
    n_examples, n_blocks = gates.shape
    indptr, block_indptr, positions, examples, indices = compiled_sections(buffer, gates.shape, n_open)
    block_indptr[0] = 0
    for j in range(n_blocks):
        block_indptr[j + 1] = block_indptr[j] + counts[j]
        counts[j] = block_indptr[j]  # from here on: where the next example of block j goes
    indptr[0] = 0
    end = np.uint64(0)  # an unsigned index needs no check for counting from the end
    for i in range(n_examples):
        row = gates[i]
        start = end
        for j in range(n_blocks):
            # Each j is written, and `end` moves on only if the gate is open. So the processor has no branch to
            # predict, and the last write, which is not kept, goes to the spare place.
            indices[end] = j
            end += np.uint64(row[j] != 0)
        indptr[i + 1] = end
        for position in range(start, end):
            j = np.uint64(indices[position])
            place = counts[j]
            examples[np.uint64(place)] = i
            positions[np.uint64(place)] = position
            counts[j] = place + 1
