"""A sparse matrix times a dense one, for results that several open blocks add to.

    out[row] = keep · out[row] + rate · the sum over the open groups of the row of values · dense rows

This one sum is two of the products. In dsd, out += values · weight, a row is an example, and its groups are its
open blocks, of as many units as a block has. In dw with narrow blocks a row is a unit, and its groups are the
examples that open its block, of one number each: a block of one unit has nothing to keep in registers between
its examples, but x in shared memory serves all units of a tile.

A block of threads owns a tile of `out`, ROWS rows times COLUMNS columns, so nobody else adds to it, and every sum
has a fixed order. It walks the groups in windows of GROUPS, a power of two below the bits of a word, so that the
words of `masks` tell which rows have which group open, and where their values lie. Of each window the rows of the
dense matrix that some row needs, and the values, are brought to shared memory. A thread keeps R·4 sums. Threads
of a warp have the same rows, so closed groups are skipped without waiting for one another.

Where blocks are narrow, a row's open groups are walked bit by bit. Where a group has at least 4 numbers, it pays to
read 4·4 numbers of the dense matrix into registers and use them for every row that has the group open.

If the tiles are too few to fill the device, `slices` blocks of threads share one, each a part of the windows;
their sums go to an array of their own, which `add_slices` adds up in order.
"""

import functools

import numpy as np
from numba import cuda

from . import layout
from .jit import kernel
from .wide import fetch4, keep4, load4, store4


def window(block):
    """(pitch, groups): rows of a window that one group has, and groups in it; at most 32 rows in all.

    >>> [window(block) for block in (1, 3, 8, 10, 40)]
    [(1, 32), (4, 8), (8, 4), (12, 2), (32, 1)]
    """
    pitch = block if block < 3 else min(32, -(-block // 4) * 4)
    return pitch, 1 << (32 // pitch).bit_length() - 1


@functools.cache
def masked(dtype, rows, columns, r, pitch, groups, by_example, vector):
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
    def masked(lists, masks, examples, blocks, block, values, dense, out, slices, keep, rate):
        numbers = cuda.shared.array((DEPTH, COLUMNS), DTYPE)
        factors = cuda.shared.array((ROWS, DEPTH), DTYPE)
        opened = cuda.shared.array(ROWS, np.uint32)    # the groups of the window that a row has open
        places = cuda.shared.array(ROWS, np.int32)     # where the first of them lies in the lists
        union = cuda.shared.array(4, np.uint32)        # [0]: the groups that some row has open
        mine = cuda.local.array(R, np.uint32)
        sums = cuda.local.array((R, 4), DTYPE)
        zero = DTYPE(0)
        thread = cuda.threadIdx.x
        row, column = thread // QUADS * R, thread % QUADS * 4
        positions = layout.by_block(lists, examples, blocks)[1]
        if BY_EXAMPLE:
            height, count = examples, blocks
            heads = layout.heads(lists, examples, blocks)[0]
            words = layout.bits(masks, examples, blocks)[0]
            starts = layout.starts(lists, examples, blocks)[0]
        else:
            height, count = blocks * block, examples
            heads = layout.heads(lists, examples, blocks)[1]
            words = layout.bits(masks, examples, blocks)[1]
            starts = layout.starts(lists, examples, blocks)[1]
        stretch = len(words) // ((count + 31) // 32)   # words of all rows for the same 32 groups
        pieces = (block + PITCH - 1) // PITCH if BY_EXAMPLE else 1    # windows that a wide block takes
        windows = (count + GROUPS - 1) // GROUPS * pieces
        panels = (dense.shape[1] + COLUMNS - 1) // COLUMNS
        tiles = (height + ROWS - 1) // ROWS * panels
        for item in range(cuda.blockIdx.x, tiles * slices, cuda.gridDim.x):
            part, top, left = item // tiles, item % tiles // panels * ROWS, item % panels * COLUMNS
            for i in range(R):
                for c in range(4):
                    sums[i, c] = zero
            for w in range(part * windows // slices, (part + 1) * windows // slices):
                group, piece = w // pieces * GROUPS, w % pieces * PITCH
                if thread == 0:
                    union[0] = 0
                cuda.syncthreads()
                for i in range(thread, ROWS, THREADS):
                    inside = np.uint32(0)
                    if top + i < height:
                        place = group // 32 * stretch + (top + i if BY_EXAMPLE else (top + i) // block)
                        word = words[place]
                        inside = (word >> np.uint32(group % 32)) & np.uint32((1 << GROUPS) - 1)
                        before = word & ((np.uint32(1) << np.uint32(group % 32)) - np.uint32(1))
                        places[i] = starts[place] + layout.ones(before)
                        cuda.atomic.or_(union, 0, inside)
                    opened[i] = inside
                cuda.syncthreads()
                needed = union[0]
                if needed == 0:
                    cuda.syncthreads()  # before `union` is emptied again
                    continue
                for q in range(thread, ROWS * DEPTH, THREADS):
                    i, k = q // DEPTH, q % DEPTH
                    g, c = k // PITCH, piece + k % PITCH
                    if (opened[i] >> np.uint32(g)) & np.uint32(1):
                        entry = places[i] + layout.ones(opened[i] & ((np.uint32(1) << np.uint32(g)) - np.uint32(1)))
                        if BY_EXAMPLE:
                            factors[i, k] = values[entry, c] if c < block else zero
                        else:
                            factors[i, k] = values[positions[entry], (top + i) % block]
                for q in range(thread, DEPTH * QUADS, THREADS):
                    k, place = q // QUADS, q % QUADS * 4
                    g, c = k // PITCH, piece + k % PITCH
                    if (needed >> np.uint32(g)) & np.uint32(1):
                        four = zero, zero, zero, zero
                        if not BY_EXAMPLE:
                            four = fetch4(dense, group + g, left + place, VECTOR)
                        elif c < block:
                            four = fetch4(dense, (group + g) * block + c, left + place, VECTOR)
                        store4(numbers, k, place, four)
                cuda.syncthreads()
                if WIDE:
                    for i in range(R):
                        mine[i] = opened[row + i]
                    for k in range(0, DEPTH, 4):
                        bit = np.uint32(1) << np.uint32(k // PITCH)
                        if needed & bit:
                            n0, n1 = load4(numbers, k, column), load4(numbers, k + 1, column)
                            n2, n3 = load4(numbers, k + 2, column), load4(numbers, k + 3, column)
                            for i in range(R):
                                if mine[i] & bit:
                                    f = load4(factors, row + i, k)
                                    for c in range(4):
                                        # In steps that are one instruction each.
                                        sums[i, c] += f[0] * n0[c]
                                        sums[i, c] += f[1] * n1[c]
                                        sums[i, c] += f[2] * n2[c]
                                        sums[i, c] += f[3] * n3[c]
                else:
                    for i in range(R):
                        left_over = opened[row + i]
                        while left_over != 0:
                            g = cuda.ffs(left_over) - 1
                            left_over &= left_over - np.uint32(1)
                            for c in range(PITCH):
                                factor = factors[row + i, g * PITCH + c]
                                four = load4(numbers, g * PITCH + c, column)
                                for n in range(4):
                                    sums[i, n] += factor * four[n]
            for i in range(R):
                line = top + row + i
                if line < height:
                    owner = line if BY_EXAMPLE else line // block
                    if keep and heads[owner] == heads[owner + 1]:
                        continue
                    four = rate * sums[i, 0], rate * sums[i, 1], rate * sums[i, 2], rate * sums[i, 3]
                    if keep:
                        a = fetch4(out, line, left + column, VECTOR)
                        four = a[0] + four[0], a[1] + four[1], a[2] + four[2], a[3] + four[3]
                    keep4(out, part * height + line, left + column, four, VECTOR)

    return masked


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
