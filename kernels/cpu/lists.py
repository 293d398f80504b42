"""The lists of open blocks; and `gather` and `scatter`, which pack and unpack a dense array with them.

The lists by example are made in two passes over a gate array: the first counts the open gates, the second lists them.
The lists by block are made from the lists by example. All functions write into arrays of the caller, and return
numbers or nothing. (A compiled function that returns an array runs Python code at its end. An interrupt there would
become a SystemError.)
"""

import numpy as np

from .jit import kernel
from .layout import compiled_sections


@kernel
def count_open(gates, counts):
    """Return (n_open, deviation). `n_open` is the number of open gates; `counts` gets their number in each block.

    `deviation` is 0 if all gates are 0 or 1. It is finite if and only if all gates are finite.
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
    """Write the lists by example into the buffer that `layout` describes. `counts` is the result of `count_open`."""
    n_examples, n_blocks = gates.shape
    indptr, block_indptr, indices = compiled_sections(buffer, gates.shape, n_open)
    block_indptr[0] = 0
    for j in range(n_blocks):
        block_indptr[j + 1] = block_indptr[j] + counts[j]
    indptr[0] = 0
    end = np.uint64(0)  # unsigned, so that Numba does not check for negative indices
    for i in range(n_examples):
        row = gates[i]
        for j in range(n_blocks):
            # Each j is written, but `end` grows only if the gate is open. So there is no branch that the processor
            # has to predict. The last write may go to the unused entry at the end.
            indices[end] = j
            end += np.uint64(row[j] != 0)
        indptr[i + 1] = end


@kernel
def list_by_block(indptr, indices, block_indptr, examples, positions):
    """Fill the lists by block from the lists by example.

    Each block has its own place in memory where its next entry is written. Only a few such places fit into the fastest
    cache, so one group of blocks is done after the other. A group has about 32 entries of each example, and at least
    64 blocks.
    """
    n_examples, n_blocks = len(indptr) - 1, len(block_indptr) - 1
    group = max(64, 32 * n_examples * n_blocks // max(1, len(indices)))
    following = indptr[:-1].copy()      # the next entry of each example
    places = block_indptr[:-1].copy()   # where the next entry of each block goes
    for low in range(0, n_blocks, group):
        high = low + group
        for i in range(n_examples):
            position = following[i]
            end = indptr[i + 1]
            while position < end and indices[position] < high:
                j = np.uint64(indices[position])
                place = np.uint64(places[j])
                examples[place] = i
                positions[place] = position
                places[j] += 1
                position += 1
            following[i] = position


@kernel
def gather(indptr, indices, dense, values):
    """values[position] = the block of this entry in a dense array (B, G·block)."""
    block = values.shape[1]
    for i in range(len(indptr) - 1):
        row = dense[i]
        if block == 1:
            for p in range(indptr[i], indptr[i + 1]):
                values[p, 0] = row[np.uint64(indices[p])]
        else:
            for p in range(indptr[i], indptr[i + 1]):
                first = np.uint64(indices[p]) * np.uint64(block)
                for c in range(block):
                    values[p, c] = row[first + np.uint64(c)]


@kernel
def scatter(indptr, indices, values, dense):
    """The reverse of `gather`. Closed blocks of `dense` do not change."""
    block = values.shape[1]
    for i in range(len(indptr) - 1):
        row = dense[i]
        if block == 1:
            for p in range(indptr[i], indptr[i + 1]):
                row[np.uint64(indices[p])] = values[p, 0]
        else:
            for p in range(indptr[i], indptr[i + 1]):
                first = np.uint64(indices[p]) * np.uint64(block)
                for c in range(block):
                    row[first + np.uint64(c)] = values[p, c]
