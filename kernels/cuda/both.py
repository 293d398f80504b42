"""The products for a layer that is gated on both sides: x is packed, too.

Only the columns of the weight that belong to open input blocks are used. Two examples rarely have the same open
blocks. So a tile in registers would not help: each number of the weight is read for one product. But neighbouring
threads should read neighbouring numbers in memory. So each thread of a block takes its own packed numbers of one
example's x, next to those of its neighbour. (The kernel for dsd_both in `plain` does that already: there these
numbers are the results.)
"""

import functools

import numpy as np
from numba import cuda

from . import layout
from .jit import kernel


@functools.cache
def sdd_both(dtype, threads, units):
    """values[position] = x[example] · weight[unit], with `threads` threads per entry and `units` units at a time."""
    DTYPE, THREADS, UNITS = np.dtype(dtype).type, threads, units

    @kernel
    def sdd_both(lists, examples, blocks, x_lists, x_blocks, x, weight, values):
        parts = cuda.shared.array((UNITS, THREADS), DTYPE)
        sums = cuda.local.array(UNITS, DTYPE)
        thread = cuda.threadIdx.x
        indptr = layout.heads(lists, examples, blocks)[0]
        indices, rows = layout.by_example(lists, examples, blocks)
        x_indptr = layout.heads(x_lists, examples, x_blocks)[0]
        x_indices = layout.by_example(x_lists, examples, x_blocks)[0]
        block, x_block = values.shape[1], x.shape[1]
        for position in range(cuda.blockIdx.x, indptr[examples], cuda.gridDim.x):
            example, unit = rows[position], indices[position] * block
            start, stop = x_indptr[example] * x_block, x_indptr[example + 1] * x_block
            for first in range(0, block, UNITS):
                for c in range(UNITS):
                    sums[c] = 0
                for k in range(start + thread, stop, THREADS):
                    entry, d = k // x_block, k % x_block
                    number, column = x[entry, d], x_indices[entry] * x_block + d
                    for c in range(UNITS):
                        if first + c < block:
                            sums[c] += number * weight[unit + first + c, column]
                for c in range(UNITS):
                    parts[c, thread] = sums[c]
                cuda.syncthreads()
                half = THREADS // 2
                while half:
                    if thread < half:
                        for c in range(UNITS):
                            parts[c, thread] += parts[c, thread + half]
                    cuda.syncthreads()
                    half //= 2
                if thread < UNITS and first + thread < block:
                    values[position, first + thread] = parts[thread, 0]
                cuda.syncthreads()

    return sdd_both


@kernel
def dw_both(lists, examples, blocks, values, x_lists, x_blocks, x, out, rate):
    """out[unit] += rate · the sum of value · x[example], over the examples that open both blocks.

    A block of threads computes one block of units, one example after the other. So two threads never add to the same
    number at the same time.
    """
    block_indptr = layout.heads(lists, examples, blocks)[1]
    entry_examples, positions = layout.by_block(lists, examples, blocks)
    x_indptr = layout.heads(x_lists, examples, x_blocks)[0]
    x_indices = layout.by_example(x_lists, examples, x_blocks)[0]
    block, x_block = values.shape[1], x.shape[1]
    for j in range(cuda.blockIdx.x, blocks, cuda.gridDim.x):
        for e in range(block_indptr[j], block_indptr[j + 1]):
            example, position = entry_examples[e], positions[e]
            start, stop = x_indptr[example] * x_block, x_indptr[example + 1] * x_block
            for k in range(start + cuda.threadIdx.x, stop, cuda.blockDim.x):
                entry, d = k // x_block, k % x_block
                number, column = rate * x[entry, d], x_indices[entry] * x_block + d
                for c in range(block):
                    out[j * block + c, column] += values[position, c] * number
            cuda.syncthreads()
