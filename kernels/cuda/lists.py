"""Make the lists of open blocks from gates on the device. The number of open blocks stays on the device.

There are three launches. The first writes the gates as bits, in both orders. The second sums the bits, and so finds
where each list begins. The third writes the lists. `layout` describes the positions of the lists in the buffers.
"""

import math

import numpy as np
from numba import cuda

from ..device import arrays, work
from . import layout
from .errors import GATES, marks
from .grid import SCAN, for_each, launch
from .jit import device, kernel

SCAN_THREADS = 512


def listed(gates):
    """(lists, masks): the buffers of a contiguous gate array (B, G), as in `layout`. The device fills them."""
    examples, blocks = gates.shape
    length_of_lists, length_of_masks = layout.lengths(examples, blocks)
    library = arrays.device_library()
    lists, masks = library.empty(length_of_lists, np.int32), library.empty(length_of_masks, np.uint32)
    if gates.size:
        squares = layout.words(examples) * layout.words(blocks)
        launch(mask_gates, squares, layout.WORD, gates, masks, marks())
    launch(sum_masks, 2, SCAN, masks, examples, blocks, lists)
    for_each(list_entries, masks.size, masks, examples, blocks, lists)
    return lists, masks


def list_of_tiles(lists, shape, rows):
    """The work list of tiles of `rows` entries, for the lists of gates of this shape: see `minigrad.kernels.cuda`."""
    examples, blocks = shape
    library = arrays.device_library()
    ends = library.empty(blocks + 1, np.int32)
    tiles = library.empty((1 + blocks * -(-examples // rows), 3), np.int32)
    work.allocated(ends.nbytes + tiles.nbytes)
    launch(list_tiles, 1, SCAN, lists, examples, blocks, rows, ends, tiles)
    return tiles


@kernel
def mask_gates(gates, masks, marks):
    """The bits of `gates`, in both orders: a block of 32 threads for each square of 32 by 32 gates."""
    columns = cuda.shared.array(32, np.uint32)
    examples, blocks = gates.shape
    rows, block_masks = layout.bits(masks, examples, blocks)
    lane = cuda.threadIdx.x
    v = cuda.blockIdx.x % ((examples + 31) // 32)
    w = cuda.blockIdx.x // ((examples + 31) // 32)
    column = np.uint32(0)
    j = 32 * w + lane
    if j < blocks:
        for bit in range(32):
            i = 32 * v + bit
            if i < examples:
                gate = gates[i, j]
                if gate != 0:
                    column |= np.uint32(1) << np.uint32(bit)
                if not math.isfinite(gate):
                    marks[GATES] = 1
        block_masks[v * blocks + j] = column
    columns[lane] = column
    cuda.syncthreads()
    i = 32 * v + lane
    if i < examples:
        rows[w * examples + i] = layout.across(columns, lane)


@kernel
def sum_masks(masks, examples, blocks, lists):
    """Find where lists begin. Block 0 of the grid sums over examples, block 1 over blocks."""
    sums = cuda.shared.array(SCAN_THREADS, np.int32)
    indptr, block_indptr = layout.heads(lists, examples, blocks)
    starts, block_starts = layout.starts(lists, examples, blocks)
    rows, block_masks = layout.bits(masks, examples, blocks)
    if cuda.blockIdx.x == 0:
        begin(rows, examples, indptr, starts, sums)
    else:
        begin(block_masks, blocks, block_indptr, block_starts, sums)


@device
def begin(masks, count, heads, starts, sums):
    """heads[i] = the number of 1 bits in the words of 0..i-1. starts[word] also counts those in earlier words of i."""
    words = len(masks) // count if count else 0
    for i in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        total = 0
        for word in range(words):
            total += layout.ones(masks[word * count + i])
        heads[i + 1] = total
    cuda.syncthreads()
    accumulate(heads, count, sums)
    for i in range(cuda.threadIdx.x, count, cuda.blockDim.x):
        total = heads[i]
        for word in range(words):
            starts[word * count + i] = total
            total += layout.ones(masks[word * count + i])


@device
def accumulate(heads, count, sums):
    """Turn heads[i + 1], the number of entries of i, into the place where the entries of i + 1 begin. heads[0] = 0.

    Each thread sums a part of the array. Then the sums of the parts are added in doubling steps (Hillis & Steele,
    "Data parallel algorithms", CACM 1986). Then each thread goes through its part again.
    """
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    low, high = thread * count // threads, (thread + 1) * count // threads
    total = 0
    for i in range(low, high):
        total += heads[i + 1]
    sums[thread] = total
    cuda.syncthreads()
    step = 1
    while step < threads:
        total = sums[thread]
        if thread >= step:
            total += sums[thread - step]
        cuda.syncthreads()
        sums[thread] = total
        cuda.syncthreads()
        step *= 2
    total = 0 if thread == 0 else sums[thread - 1]
    for i in range(low, high):
        total += heads[i + 1]
        heads[i + 1] = total
    if thread == 0:
        heads[0] = 0
    cuda.syncthreads()


@kernel
def list_entries(masks, examples, blocks, lists):
    """Write the lists in both orders. Each thread takes one word of bits."""
    indices, rows = layout.by_example(lists, examples, blocks)
    entry_examples, positions = layout.by_block(lists, examples, blocks)
    starts, block_starts = layout.starts(lists, examples, blocks)
    row_masks, block_masks = layout.bits(masks, examples, blocks)
    for item in range(cuda.grid(1), len(masks), cuda.gridsize(1)):
        if item < len(row_masks):
            word = row_masks[item]
            i, first = item % examples, 32 * (item // examples)
            place = starts[item]
            for bit in range(32):
                if (word >> np.uint32(bit)) & np.uint32(1):
                    indices[place] = first + bit
                    rows[place] = i
                    place += 1
        else:
            item -= len(row_masks)
            word = block_masks[item]
            j, first = item % blocks, 32 * (item // blocks)
            place = block_starts[item]
            for bit in range(32):
                if (word >> np.uint32(bit)) & np.uint32(1):
                    i = first + bit
                    entry_examples[place] = i
                    positions[place] = layout.position(starts, row_masks, examples, i, j)
                    place += 1


@kernel
def list_tiles(lists, examples, blocks, rows, ends, tiles):
    """tiles[1:] = (block, start, stop) of runs of at most `rows` places; tiles[0, 0] = the number of tiles."""
    sums = cuda.shared.array(SCAN_THREADS, np.int32)
    block_indptr = layout.heads(lists, examples, blocks)[1]
    for j in range(cuda.threadIdx.x, blocks, cuda.blockDim.x):
        ends[j + 1] = (block_indptr[j + 1] - block_indptr[j] + rows - 1) // rows
    cuda.syncthreads()
    accumulate(ends, blocks, sums)
    for j in range(cuda.threadIdx.x, blocks, cuda.blockDim.x):
        start, stop = block_indptr[j], block_indptr[j + 1]
        for tile in range(ends[j], ends[j + 1]):
            tiles[1 + tile, 0] = j
            tiles[1 + tile, 1] = start
            tiles[1 + tile, 2] = start + rows if start + rows < stop else stop
            start += rows
    if cuda.threadIdx.x == 0:
        tiles[0, 0] = ends[blocks]
