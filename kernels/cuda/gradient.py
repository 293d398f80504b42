"""dw, the gradient of a weight, with tiles of results in registers.

    out[unit] = keep · out[unit] + rate · the sum over the examples of the unit's block of value · x[example]

A block of threads computes a tile, UNITS units of one block times COLUMNS columns, and reads what belongs to DEPTH
of the block's examples at a time into shared memory. Each thread keeps R·4 sums: for every example it reads R
values, which its whole warp shares, and 4 numbers of x.

With `keep` (a step of SGD in place) a block that no example opened is left alone; without, its rows are set to 0.
"""

import functools

import numpy as np
from numba import cuda

from . import layout
from .jit import kernel
from .wide import fetch4, keep4, load4, store4


@functools.cache
def dw(dtype, units, columns, depth, r, vector):
    """The kernel for a dtype and tile: units and columns of a tile, examples of a slice, r x 4 results of a thread.

    `vector`: values, x and out are `wide.fits`. Threads: (units // r) · (columns // 4).
    """
    DTYPE, UNITS, COLUMNS, DEPTH, R, VECTOR = np.dtype(dtype).type, units, columns, depth, r, vector
    ACROSS = columns // 4
    THREADS = units // r * ACROSS
    PITCH = units + columns
    QUADS = PITCH // 4

    @kernel
    def dw(lists, values, x, out, keep, rate):
        shared = cuda.shared.array((DEPTH, PITCH), DTYPE)  # one array, as in `sampled`
        sums = cuda.local.array((R, 4), DTYPE)
        zero = DTYPE(0)
        thread = cuda.threadIdx.x
        unit, column = thread // ACROSS * R, thread % ACROSS * 4
        block, examples = values.shape[1], x.shape[0]
        blocks = out.shape[0] // block
        block_indptr = layout.heads(lists, examples, blocks)[1]
        entry_examples, positions = layout.by_block(lists, examples, blocks)
        parts = (block + UNITS - 1) // UNITS
        panels = (out.shape[1] + COLUMNS - 1) // COLUMNS
        for tile in range(cuda.blockIdx.x, blocks * parts * panels, cuda.gridDim.x):
            j = tile // (parts * panels)
            first = tile // panels % parts * UNITS
            left = tile % panels * COLUMNS
            start, stop = block_indptr[j], block_indptr[j + 1]
            if keep and start == stop:
                continue
            for i in range(R):
                for c in range(4):
                    sums[i, c] = zero
            for low in range(start, stop, DEPTH):
                for q in range(thread, DEPTH * QUADS, THREADS):
                    k, place = q // QUADS, q % QUADS * 4
                    numbers = zero, zero, zero, zero
                    if low + k < stop:
                        if place < UNITS:
                            numbers = fetch4(values, positions[low + k], first + place, VECTOR)
                        else:
                            numbers = fetch4(x, entry_examples[low + k], left + place - UNITS, VECTOR)
                    store4(shared, k, place, numbers)
                cuda.syncthreads()
                for k in range(DEPTH):
                    b = load4(shared, k, UNITS + column)
                    for i in range(0, R, 4):
                        a = load4(shared, k, unit + i)
                        for m in range(4):
                            for c in range(4):
                                sums[i + m, c] += a[m] * b[c]
                cuda.syncthreads()
            for i in range(R):
                if first + unit + i < block:
                    row = j * block + first + unit + i
                    if keep:
                        a = fetch4(out, row, left + column, VECTOR)
                        numbers = (a[0] + rate * sums[i, 0], a[1] + rate * sums[i, 1],
                                   a[2] + rate * sums[i, 2], a[3] + rate * sums[i, 3])
                    else:
                        numbers = rate * sums[i, 0], rate * sums[i, 1], rate * sums[i, 2], rate * sums[i, 3]
                    keep4(out, row, left + column, numbers, VECTOR)

    return dw
