"""The products with the TILE x TILE tile in shared memory that textbooks explain. Read this between `plain` and `tile`.

In `plain` each thread reads every number that it multiplies from memory. Here a square of threads computes a square of
results together. The factors are read in squares as well: each thread copies one number of each factor to shared
memory, and then every number there is used TILE times. `tile` goes one step further: a thread computes several
results, so it uses each number that it reads from shared memory several times, too.

Gates decide which numbers are in a square. For sdd and dw, the rows of a square are examples that open the same block.
The lists contain these examples. For dsd, a square goes through all blocks, and skips those that none of its examples
opens. (Kirk & Hwu, "Programming Massively Parallel Processors", chapter 5, explain the tile without gates.)
"""

import math

from numba import config, cuda

from . import layout
from .grid import launch, resident
from .jit import kernel

TILE = 2 if config.ENABLE_CUDASIM else 16


@kernel
def sdd_kernel(lists, tiles, x, weight, values):
    """values[position, c] = x[example] · weight[unit c of the block]."""
    xs = cuda.shared.array((TILE, TILE), x.dtype)
    ws = cuda.shared.array((TILE, TILE), x.dtype)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    zero = values.dtype.type(0)
    block, width = values.shape[1], x.shape[1]
    examples, positions = layout.by_block(lists, x.shape[0], weight.shape[0] // block)
    parts = (block + TILE - 1) // TILE
    for n in range(cuda.blockIdx.x, tiles[0, 0] * parts, cuda.gridDim.x):
        j, start, stop = tiles[1 + n // parts, 0], tiles[1 + n // parts, 1], tiles[1 + n // parts, 2]
        first = n % parts * TILE
        total = zero
        for left in range(0, width, TILE):
            d = left + column
            xs[row, column] = x[examples[start + row], d] if start + row < stop and d < width else zero
            ws[column, row] = weight[j * block + first + row, d] if first + row < block and d < width else zero
            cuda.syncthreads()
            for k in range(TILE):
                total += xs[row, k] * ws[k, column]
            cuda.syncthreads()
        if start + row < stop and first + column < block:
            values[positions[start + row], first + column] = total


@kernel
def dsd_kernel(lists, masks, examples, blocks, values, weight, out):
    """out[example] += the sum over its open units of values · weight[unit]."""
    vs = cuda.shared.array((TILE, TILE), values.dtype)
    ws = cuda.shared.array((TILE, TILE), values.dtype)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    zero = values.dtype.type(0)
    block, width = values.shape[1], out.shape[1]
    words = layout.bits(masks, examples, blocks)[0]
    starts = layout.starts(lists, examples, blocks)[0]
    panels = (width + TILE - 1) // TILE
    for n in range(cuda.blockIdx.x, (examples + TILE - 1) // TILE * panels, cuda.gridDim.x):
        i, d = n // panels * TILE + row, n % panels * TILE + column
        total = zero
        for j in range(blocks):
            is_open = i < examples and layout.is_open(words, examples, i, j)
            if not cuda.syncthreads_or(1 if is_open else 0):
                continue
            position = layout.position(starts, words, examples, i, j) if is_open else 0
            for first in range(0, block, TILE):
                c = first + column
                vs[row, column] = values[position, c] if is_open and c < block else zero
                ws[row, column] = weight[j * block + first + row, d] if first + row < block and d < width else zero
                cuda.syncthreads()
                for k in range(TILE):
                    total += vs[row, k] * ws[k, column]
                cuda.syncthreads()
        if i < examples and d < width:
            out[i, d] += total


@kernel
def dw_kernel(lists, values, x, out, keep, rate):
    """out[unit] = keep · out[unit] + rate · the sum over examples of value · x[example]."""
    vs = cuda.shared.array((TILE, TILE), values.dtype)
    xs = cuda.shared.array((TILE, TILE), values.dtype)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    zero = values.dtype.type(0)
    block, width = values.shape[1], out.shape[1]
    blocks = out.shape[0] // block
    block_indptr = layout.heads(lists, x.shape[0], blocks)[1]
    examples, positions = layout.by_block(lists, x.shape[0], blocks)
    parts, panels = (block + TILE - 1) // TILE, (width + TILE - 1) // TILE
    for n in range(cuda.blockIdx.x, blocks * parts * panels, cuda.gridDim.x):
        j, first = n // (parts * panels), n // panels % parts * TILE
        d = n % panels * TILE + column
        total = zero
        for low in range(block_indptr[j], block_indptr[j + 1], TILE):
            e, c = low + row, first + column
            vs[row, column] = values[positions[e], c] if e < block_indptr[j + 1] and c < block else zero
            xs[row, column] = x[examples[e], d] if e < block_indptr[j + 1] and d < width else zero
            cuda.syncthreads()
            for k in range(TILE):
                total += vs[k, row] * xs[k, column]
            cuda.syncthreads()
        if first + row < block and d < width:
            unit = j * block + first + row
            out[unit, d] = out[unit, d] + rate * total if keep else rate * total


def sdd(x, weight, blocks, values):
    """See `dispatch.sdd`."""
    tiles = blocks.tiles(TILE)
    queue(sdd_kernel, len(tiles) * math.ceil(values.shape[1] / TILE), blocks.lists, tiles, x, weight, values)


def dsd(values, weight, blocks, out):
    """See `dispatch.dsd`."""
    squares = math.ceil(len(out) / TILE) * math.ceil(out.shape[1] / TILE)
    queue(dsd_kernel, squares, blocks.lists, blocks.masks, *blocks.shape, values, weight, out)


def dw(values, x, blocks, out, keep, rate):
    """See `dispatch.dw`."""
    squares = blocks.shape[1] * math.ceil(values.shape[1] / TILE) * math.ceil(out.shape[1] / TILE)
    queue(dw_kernel, squares, blocks.lists, values, x, out, int(keep), values.dtype.type(rate))


def queue(kernel, squares, *arguments):
    launch(kernel, max(1, min(squares, resident())), (TILE, TILE), *arguments)
