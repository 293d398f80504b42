"""A sparse matrix times a dense one, if several open blocks are added to the same result.

    out[row] = keep · out[row] + rate · the sum over the open groups of the row of values · dense rows

This sum computes two of the products. In dsd, out += values · weight: a row is an example, and its groups are its
open blocks. A group has as many numbers as a block has units. In dw with narrow blocks, a row is a unit, and its
groups are the examples that open its block. Each group has one number. (In a block of one unit, no number in registers
can be used twice. But a row of x in shared memory is used by all units of a tile.)

A block of threads computes a tile of `out`, ROWS rows times COLUMNS columns. No other block adds to this tile, so every
sum has a fixed order. The block goes through the groups in windows of GROUPS, a power of two that is at most the bits
of a word. So one word of `masks` contains the open groups of a row in the window, and the place of their values
follows from it. For each window:

    1. find_open        finds the open groups of each row, and the groups that are open in any row
    2. bring_factors    copies the values of open groups to shared memory
       bring_numbers    copies the rows of the dense matrix that are needed
    3. add_wide         adds factors · numbers to the R·4 sums of each thread
       (or add_narrow)

The threads of a warp have the same rows, so they skip the same closed groups and do not wait for one another.

If there are too few tiles to fill the device, `slices` blocks of threads share one tile, and each takes a part of the
windows. Their sums are written to a separate array, and `add_slices` adds them in order.
"""

import functools

import numpy as np
from numba import cuda

from . import layout
from .jit import device, kernel
from .wide import fetch4, keep4, load4, store4


def window(block):
    """(pitch, groups): the rows of a window that belong to one group, and the number of groups; at most 32 rows in all.

    >>> [window(block) for block in (1, 3, 8, 10, 40)]
    [(1, 32), (4, 8), (8, 4), (12, 2), (32, 1)]
    """
    pitch = block if block < 3 else min(32, -(-block // 4) * 4)
    return pitch, 1 << (32 // pitch).bit_length() - 1


@functools.cache
def product(dtype, rows, columns, r, pitch, groups, by_example, vector):
    """The kernel for a dtype, a tile (rows x columns; each thread computes r x 4 of it) and a `window`.

    by_example : dsd if true, else dw. `vector` : whether `wide.fits` holds for dense and out.
    Threads: (rows // r) · (columns // 4).
    """
    DTYPE, ROWS, COLUMNS, R, PITCH, GROUPS = np.dtype(dtype).type, rows, columns, r, pitch, groups
    BY_EXAMPLE, VECTOR = by_example, vector
    DEPTH = pitch * groups
    QUADS = columns // 4
    THREADS = rows // r * QUADS
    WIDE = pitch >= 4

    @kernel
    def product(lists, masks, examples, blocks, block, values, dense, out, slices, keep, rate):
        numbers = cuda.shared.array((DEPTH, COLUMNS), DTYPE)    # numbers of the dense matrix
        factors = cuda.shared.array((ROWS, DEPTH), DTYPE)       # their factors, for each row of the tile
        opened = cuda.shared.array(ROWS, np.uint32)             # the groups of the window that are open in a row
        places = cuda.shared.array(ROWS, np.int32)              # the place of the first of them in the lists
        union = cuda.shared.array(4, np.uint32)                 # [0]: the groups that are open in any row
        mine = cuda.local.array(R, np.uint32)
        sums = cuda.local.array((R, 4), DTYPE)
        thread = cuda.threadIdx.x
        row, column = thread // QUADS * R, thread % QUADS * 4
        positions = layout.by_block(lists, examples, blocks)[1]
        if BY_EXAMPLE:
            height, count, units = examples, blocks, 1          # `units`: rows of `out` that have the same groups
            heads = layout.heads(lists, examples, blocks)[0]
            words = layout.bits(masks, examples, blocks)[0]
            starts = layout.starts(lists, examples, blocks)[0]
        else:
            height, count, units = blocks * block, examples, block
            heads = layout.heads(lists, examples, blocks)[1]
            words = layout.bits(masks, examples, blocks)[1]
            starts = layout.starts(lists, examples, blocks)[1]
        stretch = len(words) // ((count + 31) // 32)            # words of all rows for the same 32 groups
        pieces = (block + PITCH - 1) // PITCH if BY_EXAMPLE else 1      # the number of windows of a wide block
        windows = (count + GROUPS - 1) // GROUPS * pieces
        panels = (dense.shape[1] + COLUMNS - 1) // COLUMNS
        tiles = (height + ROWS - 1) // ROWS * panels
        for item in range(cuda.blockIdx.x, tiles * slices, cuda.gridDim.x):
            part, top, left = item // tiles, item % tiles // panels * ROWS, item % panels * COLUMNS
            for i in range(R):
                for c in range(4):
                    sums[i, c] = DTYPE(0)
            for w in range(part * windows // slices, (part + 1) * windows // slices):
                group, piece = w // pieces * GROUPS, w % pieces * PITCH
                if thread == 0:
                    union[0] = 0
                cuda.syncthreads()
                for i in range(thread, ROWS, THREADS):
                    find_open(i, top + i, height, units, group, GROUPS, stretch, words, starts, opened, places, union)
                cuda.syncthreads()
                needed = union[0]
                if needed == 0:
                    cuda.syncthreads()  # before `union` is set to 0 again
                    continue
                for q in range(thread, ROWS * DEPTH, THREADS):
                    bring_factor(q // DEPTH, q % DEPTH, PITCH, piece, top, block, BY_EXAMPLE, values, positions, opened,
                                 places, factors)
                for q in range(thread, DEPTH * QUADS, THREADS):
                    bring_numbers(q // QUADS, q % QUADS * 4, PITCH, piece, group, left, block, BY_EXAMPLE, needed,
                                  dense, VECTOR, numbers)
                cuda.syncthreads()
                if WIDE:
                    for i in range(R):
                        mine[i] = opened[row + i]
                    for k in range(0, DEPTH, 4):
                        bit = np.uint32(1) << np.uint32(k // PITCH)
                        if needed & bit:
                            add_wide(k, bit, row, column, mine, factors, numbers, sums)
                else:
                    for i in range(R):
                        add_narrow(i, row + i, column, PITCH, opened, factors, numbers, sums)
            for i in range(R):
                line = top + row + i
                if line < height:
                    owner = line // units
                    if keep and heads[owner] == heads[owner + 1]:
                        continue                # a step does not change rows without open groups
                    four = rate * sums[i, 0], rate * sums[i, 1], rate * sums[i, 2], rate * sums[i, 3]
                    if keep:
                        a = fetch4(out, line, left + column, VECTOR)
                        four = a[0] + four[0], a[1] + four[1], a[2] + four[2], a[3] + four[3]
                    keep4(out, part * height + line, left + column, four, VECTOR)

    return product


@device
def find_open(i, line, height, units, group, groups, stretch, words, starts, opened, places, union):
    """Find the groups of a window that are open in row i of the tile (row `line` of `out`), and where they are."""
    inside = np.uint32(0)
    if line < height:
        place = group // 32 * stretch + line // units
        word = words[place]
        inside = (word >> np.uint32(group % 32)) & np.uint32((1 << groups) - 1)
        places[i] = starts[place] + layout.ones_below(word, group % 32)
        cuda.atomic.or_(union, 0, inside)
    opened[i] = inside


@device
def bring_factor(i, k, pitch, piece, top, block, by_example, values, positions, opened, places, factors):
    """Copy the factor of row k of the window, for row i of the tile, if its group is open."""
    g, c = k // pitch, piece + k % pitch
    if (opened[i] >> np.uint32(g)) & np.uint32(1):
        entry = places[i] + layout.ones_below(opened[i], g)
        if by_example:
            factors[i, k] = values[entry, c] if c < block else values.dtype.type(0)
        else:
            factors[i, k] = values[positions[entry], (top + i) % block]


@device
def bring_numbers(k, place, pitch, piece, group, left, block, by_example, needed, dense, vector, numbers):
    """Copy four numbers of row k of the window, beginning at column `place` of the tile, if any row needs them."""
    g, c = k // pitch, piece + k % pitch
    if (needed >> np.uint32(g)) & np.uint32(1):
        zero = dense.dtype.type(0)
        four = zero, zero, zero, zero
        if not by_example:
            four = fetch4(dense, group + g, left + place, vector)
        elif c < block:
            four = fetch4(dense, (group + g) * block + c, left + place, vector)
        store4(numbers, k, place, four)


@device
def add_wide(k, bit, row, column, mine, factors, numbers, sums):
    """Add four rows of the window at once, for groups of at least four. A row with the group open uses 4·4 numbers."""
    n0, n1 = load4(numbers, k, column), load4(numbers, k + 1, column)
    n2, n3 = load4(numbers, k + 2, column), load4(numbers, k + 3, column)
    for i in range(len(mine)):
        if mine[i] & bit:
            f = load4(factors, row + i, k)
            for c in range(4):
                # Each of these steps is one instruction.
                sums[i, c] += f[0] * n0[c]
                sums[i, c] += f[1] * n1[c]
                sums[i, c] += f[2] * n2[c]
                sums[i, c] += f[3] * n3[c]


@device
def add_narrow(i, row, column, pitch, opened, factors, numbers, sums):
    """Add all open groups of one row, bit by bit, for groups of fewer than four numbers."""
    left_over = opened[row]
    while left_over != 0:
        g = cuda.ffs(left_over) - 1
        left_over &= left_over - np.uint32(1)
        for c in range(pitch):
            factor = factors[row, g * pitch + c]
            four = load4(numbers, g * pitch + c, column)
            for n in range(4):
                sums[i, n] += factor * four[n]


@kernel
def add_slices(slices, parts, out):
    """out (B, D) += the sum over s of parts[s·B:(s + 1)·B], in the order of s."""
    height, width = out.shape
    for item in range(cuda.grid(1), height * width, cuda.gridsize(1)):
        i, d = item // width, item % width
        total = parts[i, d]
        for s in range(1, slices):
            total += parts[s * height + i, d]
        out[i, d] += total
