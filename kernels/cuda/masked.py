"""A sparse matrix times a dense one, for results that several open blocks add to.

    out[row] = keep · out[row] + rate · the sum over the open groups of the row of values · dense rows

This one sum is two of the products. In dsd, out += values · weight, a row is an example, and its groups are its
open blocks, of as many units as a block has. In dw with narrow blocks a row is a unit, and its groups are the
examples that open its block, of one number each. (In a block of one unit, the examples share nothing that could stay
in registers. But x in shared memory serves all units of a tile.)

A block of threads owns a tile of `out`, ROWS rows times COLUMNS columns. So no other block adds to it, and every sum
has a fixed order. The block goes through the groups in windows of GROUPS, a power of two below the bits of a word.
So one word of `masks` tells which groups of the window a row has open, and where their values lie. For each window:

    1. find_open        notes which groups each row has open, and which groups any row has open
    2. bring_factors    copies the values of open groups to shared memory
       bring_numbers    copies the rows of the dense matrix that some row needs
    3. add_wide         adds factors · numbers to the R·4 sums of each thread
       (or add_narrow)

The threads of a warp have the same rows, so they skip the same closed groups and do not wait for one another.

If the tiles are too few to fill the device, `slices` blocks of threads share one tile, and each takes a part of the
windows. Their sums go to an array of their own, and `add_slices` adds them up in order.
"""

import functools

import numpy as np
from numba import cuda

from . import layout
from .jit import device, kernel
from .wide import fetch4, keep4, load4, store4


def window(block):
    """(pitch, groups): rows of a window that one group has, and groups in it; at most 32 rows in all.

    >>> [window(block) for block in (1, 3, 8, 10, 40)]
    [(1, 32), (4, 8), (8, 4), (12, 2), (32, 1)]
    """
    pitch = block if block < 3 else min(32, -(-block // 4) * 4)
    return pitch, 1 << (32 // pitch).bit_length() - 1


@functools.cache
def product(dtype, rows, columns, r, pitch, groups, by_example, vector):
    """The kernel for a dtype, tile (rows x columns, of which a thread has r x 4) and `window`.

    by_example : dsd if true, else dw. `vector`: dense and out are `wide.fits`.
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
        numbers = cuda.shared.array((DEPTH, COLUMNS), DTYPE)    # of the dense matrix
        factors = cuda.shared.array((ROWS, DEPTH), DTYPE)       # what they are multiplied by, for each row of the tile
        opened = cuda.shared.array(ROWS, np.uint32)             # the groups of the window that a row has open
        places = cuda.shared.array(ROWS, np.int32)              # where the first of them lies in the lists
        union = cuda.shared.array(4, np.uint32)                 # [0]: the groups that some row has open
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
        pieces = (block + PITCH - 1) // PITCH if BY_EXAMPLE else 1      # windows that a wide block takes
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
                    cuda.syncthreads()  # before `union` is emptied again
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
                        continue                # a step leaves rows without open groups alone
                    four = rate * sums[i, 0], rate * sums[i, 1], rate * sums[i, 2], rate * sums[i, 3]
                    if keep:
                        a = fetch4(out, line, left + column, VECTOR)
                        four = a[0] + four[0], a[1] + four[1], a[2] + four[2], a[3] + four[3]
                    keep4(out, part * height + line, left + column, four, VECTOR)

    return product


@device
def find_open(i, line, height, units, group, groups, stretch, words, starts, opened, places, union):
    """Note the groups of a window that row i of the tile, row `line` of `out`, has open, and where they lie."""
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
    """Copy the value that row k of the window is multiplied by, for row i of the tile, if its group is open."""
    g, c = k // pitch, piece + k % pitch
    if (opened[i] >> np.uint32(g)) & np.uint32(1):
        entry = places[i] + layout.ones_below(opened[i], g)
        if by_example:
            factors[i, k] = values[entry, c] if c < block else values.dtype.type(0)
        else:
            factors[i, k] = values[positions[entry], (top + i) % block]


@device
def bring_numbers(k, place, pitch, piece, group, left, block, by_example, needed, dense, vector, numbers):
    """Copy four numbers of row k of the window, from column `place` of the tile on, if some row needs them."""
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
    """Four rows of the window at once, for groups of at least four: 4·4 numbers serve every row with the group open."""
    n0, n1 = load4(numbers, k, column), load4(numbers, k + 1, column)
    n2, n3 = load4(numbers, k + 2, column), load4(numbers, k + 3, column)
    for i in range(len(mine)):
        if mine[i] & bit:
            f = load4(factors, row + i, k)
            for c in range(4):
                # In steps that are one instruction each.
                sums[i, c] += f[0] * n0[c]
                sums[i, c] += f[1] * n1[c]
                sums[i, c] += f[2] * n2[c]
                sums[i, c] += f[3] * n3[c]


@device
def add_narrow(i, row, column, pitch, opened, factors, numbers, sums):
    """All open groups of one row, bit by bit, for groups of fewer than four numbers."""
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
    """out (B, D) += the sum over s of parts[s·B:(s + 1)·B], in order."""
    height, width = out.shape
    for item in range(cuda.grid(1), height * width, cuda.gridsize(1)):
        i, d = item // width, item % width
        total = parts[i, d]
        for s in range(1, slices):
            total += parts[s * height + i, d]
        out[i, d] += total
