"""The products with tiles of results in registers: sdd, and dw for wide blocks.

    sdd   values[position of (i, j)] = x[i] · weight[unit]      for the units of block j, at open blocks only
    dw    out[unit] = keep · out[unit] + rate · the sum over the examples of the unit's block of value · x[example]

A block of threads computes a tile of results. The numbers that a tile needs are read in slices: all threads together
load a slice into shared memory, then each thread adds its products to sums in its registers. A number that is read
from shared memory is used several times, so most instructions are multiply-adds.

sdd   A tile is up to ROWS examples that open the same block, times UNITS units of it. A slice is DEPTH columns of x
      and of weight. It is transposed, so that a thread reads the numbers of several neighbouring examples, or of
      neighbouring units, in one instruction. A thread adds R·U products for every R + U numbers that it reads. Tiles
      come from the list that `DeviceBlocks.tiles` made on the device, so closed blocks take no time.

dw    A tile is UNITS units of one block, times COLUMNS columns. A slice is the numbers of DEPTH examples that open
      the block. A thread keeps R·4 sums: for every example it reads R values, which are the same for its whole warp,
      and 4 numbers of x. With `keep` (a step of SGD in place), a block that no example opened does not change.
      Without `keep`, its rows are set to 0.
"""

import functools

import numpy as np
from numba import cuda

from . import layout
from .jit import kernel
from .wide import fetch4, keep4, load4, store4


@functools.cache
def sdd(dtype, rows, units, depth, r, u, vector):
    """The kernel for a dtype and tile: rows and units of a tile, columns of a slice, r x u results of a thread.

    `vector`: whether `wide.fits` holds for x and weight. Threads: (rows // r) · (units // u).
    """
    DTYPE, ROWS, UNITS, DEPTH, R, U, VECTOR = np.dtype(dtype).type, rows, units, depth, r, u, vector
    ACROSS = units // u
    THREADS = rows // r * ACROSS
    QUADS = depth // 4
    # Numba aligns a shared array only to the size of one number. A single array starts where shared memory starts,
    # at a multiple of 16 bytes. Four unused columns halve the number of bank conflicts when threads write.
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
                # If a tile is not full, its last example and unit are computed again. These results are not stored.
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


@functools.cache
def dw(dtype, units, columns, depth, r, vector):
    """The kernel for a dtype and tile: units and columns of a tile, examples of a slice, r x 4 results of a thread.

    `vector`: whether `wide.fits` holds for values, x and out. Threads: (units // r) · (columns // 4).
    """
    DTYPE, UNITS, COLUMNS, DEPTH, R, VECTOR = np.dtype(dtype).type, units, columns, depth, r, vector
    ACROSS = columns // 4
    THREADS = units // r * ACROSS
    PITCH = units + columns
    QUADS = PITCH // 4

    @kernel
    def dw(lists, values, x, out, keep, rate):
        shared = cuda.shared.array((DEPTH, PITCH), DTYPE)  # one array, as in `sdd`
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
