"""From gates on the device to lists of open blocks, without the host learning how many there are.

Three launches: the gates as bits, in both orders; sums of the bits, which say where each list begins; and the
lists. What stands where is said in `layout`.
"""

import math

import numpy as np
from numba import cuda

from ..device import arrays, work
from ..gates import OpenBlocks
from . import layout
from .errors import GATES
from .jit import device, kernel
from .launch import SCAN, launch, spread

SCAN_THREADS = 512


class DeviceBlocks(OpenBlocks):
    """OpenBlocks on the device: the same lists, with room for all B·G entries, of which the first n_open count.

    Attributes
    ----------
    lists, masks : the buffers described in `minigrad.kernels.cuda`.
    binary : every open gate is known to be 1. (That all of them are is not looked up: it would take a
        transfer.)

    ``n_open``, ``density``, ``same_as`` other lists and ``repr`` ask the device, and wait for it.
    """

    __slots__ = ("_n_open", "_tiles", "lists", "masks")

    on_device = True

    def __init__(self, shape, lists, masks, binary):
        self.shape = shape
        self.lists = lists
        self.masks = masks
        self.binary = binary
        self._n_open = None
        self._tiles = {}

    indptr = property(lambda self: layout.heads.py_func(self.lists, *self.shape)[0])
    block_indptr = property(lambda self: layout.heads.py_func(self.lists, *self.shape)[1])
    indices = property(lambda self: layout.by_example.py_func(self.lists, *self.shape)[0])
    rows = property(lambda self: layout.by_example.py_func(self.lists, *self.shape)[1])
    examples = property(lambda self: layout.by_block.py_func(self.lists, *self.shape)[0])
    positions = property(lambda self: layout.by_block.py_func(self.lists, *self.shape)[1])

    @property
    def capacity(self):
        return self.shape[0] * self.shape[1]

    @property
    def n_open(self):
        if self._n_open is None:
            self._n_open = int(arrays.to_host(self.indptr[-1:])[0])
        return self._n_open

    @property
    def nbytes(self):
        return self.lists.nbytes + self.masks.nbytes

    def same_as(self, other):
        return self is other or (
            isinstance(other, DeviceBlocks)
            and self.shape == other.shape
            and np.array_equal(arrays.to_host(self.masks), arrays.to_host(other.masks))
        )

    def tiles(self, rows):
        """The work list of register tiles of `rows` entries: see `minigrad.kernels.cuda`."""
        if rows not in self._tiles:
            examples, blocks = self.shape
            library = arrays.device_library()
            ends = library.empty(blocks + 1, np.int32)
            tiles = library.empty((1 + blocks * -(-examples // rows), 3), np.int32)
            work.allocated(ends.nbytes + tiles.nbytes)
            launch(list_tiles, 1, SCAN, self.lists, examples, blocks, rows, ends, tiles)
            self._tiles[rows] = tiles
        return self._tiles[rows]


def buffers(shape):
    """Empty lists and masks for gates of `shape`."""
    lists, masks = layout.lengths(*shape)
    library = arrays.device_library()
    return library.empty(lists, np.int32), library.empty(masks, np.uint32)


def tiles_of(shape):
    """The squares of 32 by 32 gates that cover `shape`."""
    return layout.words(shape[0]) * layout.words(shape[1])


def from_masks(shape, lists, masks, binary):
    """DeviceBlocks whose masks are filled in and whose lists are not yet."""
    examples, blocks = shape
    launch(sum_masks, 2, SCAN, masks, examples, blocks, lists)
    spread(list_entries, masks.size, masks, examples, blocks, lists)
    made = DeviceBlocks(shape, lists, masks, binary)
    work.allocated(made.nbytes)
    return made


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
    """Where lists begin: block 0 of the grid sums over examples, block 1 over blocks."""
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
    """heads[i]: the bits of the words of 0..i-1; starts[word]: those and the ones of earlier words of i."""
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
    """Turn heads[i + 1], the number of entries of i, into where those of i + 1 begin; heads[0] = 0.

    Each thread sums a part; the sums of the parts are summed by doubling steps (Hillis & Steele, "Data
    parallel algorithms", CACM 1986); each thread goes over its part again.
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
    """The lists in both orders, one word of bits to a thread."""
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
    """tiles[1:] = (block, start, stop) of runs of at most `rows` places; tiles[0, 0] their number."""
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
