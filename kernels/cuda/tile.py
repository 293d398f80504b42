"""sdd, the sampled product, with tiles of results in registers.

    values[position of (i, j)] = x[i] · weight[unit] for the units of block j, at open blocks only

A block of threads computes a tile: up to ROWS examples that open the same block, times UNITS units of it. Both
are read in slices of DEPTH columns, which all threads load together and turn on their side in shared memory,
so that a thread reads the numbers of neighbouring examples, and those of neighbouring units, at once. Each
thread then adds R·U products to sums in its registers for every R + U numbers it reads.

Tiles are taken from the list that `DeviceBlocks.tiles` made on the device, so a closed block is never looked at.
"""

import functools

import numpy as np
from numba import cuda

from . import layout
from .jit import kernel
from .wide import fetch4, load4


@functools.cache
def sdd(dtype, rows, units, depth, r, u, vector):
    """The kernel for a dtype and tile: rows and units of a tile, columns of a slice, r x u results of a thread.

    `vector`: x and weight are `wide.fits`. Threads: (rows // r) · (units // u).
    """
    DTYPE, ROWS, UNITS, DEPTH, R, U, VECTOR = np.dtype(dtype).type, rows, units, depth, r, u, vector
    ACROSS = units // u
    THREADS = rows // r * ACROSS
    QUADS = depth // 4
    # One array, so that it starts where shared memory does, at a multiple of 16 bytes: Numba itself promises no
    # more than one number's. Four unused columns halve the threads that wait for one another when they write.
    PITCH = rows + units + 4

    @kernel
    def sdd(lists, tiles, x, weight, values):
        shared = cuda.shared.array((DEPTH, PITCH), DTYPE)
        sums = cuda.local.array((R, U), DTYPE)
        thread = cuda.threadIdx.x
        row, unit = thread // ACROSS * R, thread % ACROSS * U
        block = values.shape[1]
        examples, positions = layout.by_block(lists, x.shape[0], weight.shape[0] // block)
        parts = (block + UNITS - 1) // UNITS
        for n in range(cuda.blockIdx.x, tiles[0, 0] * parts, cuda.gridDim.x):
            j, start, stop = tiles[n // parts + 1, 0], tiles[n // parts + 1, 1], tiles[n // parts + 1, 2]
            first = n % parts * UNITS
            for i in range(R):
                for c in range(U):
                    sums[i, c] = 0
            for column in range(0, x.shape[1], DEPTH):
                # Where a tile is not full, its last example and unit are computed again, and not kept.
                for q in range(thread, ROWS * QUADS, THREADS):
                    i, k = q // QUADS, q % QUADS * 4
                    numbers = fetch4(x, examples[start + i if start + i < stop else stop - 1], column + k, VECTOR)
                    for c in range(4):
                        shared[k + c, i] = numbers[c]
                for q in range(thread, UNITS * QUADS, THREADS):
                    i, k = q // QUADS, q % QUADS * 4
                    within = first + i if first + i < block else block - 1
                    numbers = fetch4(weight, j * block + within, column + k, VECTOR)
                    for c in range(4):
                        shared[k + c, ROWS + i] = numbers[c]
                cuda.syncthreads()
                for k in range(DEPTH):
                    for c in range(0, U, 4):
                        b = load4(shared, k, ROWS + unit + c)
                        for i in range(0, R, 4):
                            a = load4(shared, k, row + i)
                            for m in range(4):
                                for n in range(4):
                                    sums[i + m, c + n] += a[m] * b[n]
                cuda.syncthreads()
            for i in range(R):
                if start + row + i < stop:
                    position = positions[start + row + i]
                    for c in range(U):
                        if first + unit + c < block:
                            values[position, first + unit + c] = sums[i, c]

    return sdd
