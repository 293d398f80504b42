"""Choose how a product is computed on the device: the kernel, the size of a tile, and the number of blocks of threads.

`plain` and `shared` have the same functions in a simpler form. Read them first. Here, narrow blocks and few examples
are computed by `pairs` and `masked`, wide blocks by `tile`, and packed inputs by `both`.

The size of a tile has to be known when its kernel is compiled, so there is one kernel for each size and dtype. The
sizes below were chosen for compute capabilities 8.0 and 9.0, from the report of ptxas on each kernel. No register is
spilled. Several blocks of threads fit on one multiprocessor, so some compute while others wait for memory.
(`tests/cuda_ptx.py` tests both.) Doubles take twice the space, so their tiles are smaller. In the simulator each
thread is a Python thread, so tiles have only a few threads. Nothing else is different there.
"""

import math

from numba import config

from ..device import arrays, work
from . import both, layout, masked, pairs, tile
from .grid import for_each, launch, resident
from .plain import dsd_both  # noqa: F401 (a thread for each number is as good as a tile there)
from .wide import fits

# The least number of units per block, and of examples, for which a tile of results in registers is full enough.
WIDE_BLOCK = FEW_EXAMPLES = 8

if config.ENABLE_CUDASIM:
    SAMPLED = {4: {8: (8, 8, 4, 4, 4)}, 8: {8: (8, 8, 4, 4, 4)}}
    GRADIENT = {4: {8: (8, 8, 4, 4)}, 8: {8: (8, 8, 4, 4)}}
    PAIRS = {4: (8, 8, 2, 2, 2), 8: (8, 8, 2, 2, 2)}
    MASKED = {4: {1: (8, 8, 4), 4: (8, 8, 4)}, 8: {1: (8, 8, 4), 4: (8, 8, 4)}}
    BOTH = 4, 2
else:
    # {bytes of a number: {least number of units per block: arguments of the function that makes the kernel}}
    SAMPLED = {
        4: {8: (64, 8, 16, 4, 4), 16: (64, 16, 16, 4, 4), 32: (64, 32, 16, 8, 4)},
        8: {8: (64, 8, 8, 4, 4), 16: (64, 16, 8, 4, 4), 32: (64, 32, 8, 4, 4)},
    }
    GRADIENT = {
        4: {8: (8, 128, 16, 4), 16: (16, 128, 16, 4), 32: (32, 128, 16, 8)},
        8: {8: (8, 64, 8, 4), 16: (16, 64, 8, 4), 32: (32, 64, 8, 4)},
    }
    PAIRS = {4: (48, 32, 16, 8, 10), 8: (48, 32, 16, 8, 10)}
    # The key is the least number of rows of a window that belong to one group.
    MASKED = {4: {1: (32, 128, 8), 4: (64, 128, 16)}, 8: {1: (32, 128, 8), 4: (32, 128, 8)}}
    BOTH = 128, 8


def at_least(table, size):
    """The entry of a table whose keys are least sizes: the one with the largest key that is not above `size`."""
    return table[max(least for least in table if least <= size)]


def sdd(x, weight, blocks, values):
    """values (B·G, block), at first zeros, = x weightᵀ at the open blocks. Rows of x and weight are contiguous."""
    if not values.size or not x.size:
        return
    dtype, block, vector = x.dtype.name, values.shape[1], fits(x, weight)
    if block < WIDE_BLOCK or len(x) < FEW_EXAMPLES:
        units, depth, teams, lanes, each = PAIRS[x.itemsize]
        kernel = pairs.sdd(dtype, units, depth, teams, lanes, each, vector)
        tiles = layout.words(len(x)) * math.ceil(len(weight) / units)
        queue(kernel, tiles, teams * lanes, blocks.lists, blocks.masks, x, weight, values)
        return
    rows, units, depth, r, u = at_least(SAMPLED[x.itemsize], block)
    tiles = blocks.tiles(rows)
    queue(tile.sdd(dtype, rows, units, depth, r, u, vector), len(tiles) * math.ceil(block / units),
          rows // r * units // u, blocks.lists, tiles, x, weight, values)


def dsd(values, weight, blocks, out):
    """out (B, D) += packed values times weight. Rows of weight and out are contiguous."""
    if not out.size or not values.size:
        return
    examples, count = blocks.shape
    block = values.shape[1]
    pitch, groups = masked.window(block)
    rows, columns, r = at_least(MASKED[out.itemsize], pitch)
    tiles = math.ceil(examples / rows) * math.ceil(out.shape[1] / columns)
    slices = slices_for(tiles, math.ceil(count / groups) * math.ceil(block / pitch))
    target = out
    if slices > 1:
        target = arrays.device_library().empty((slices * examples, out.shape[1]), out.dtype)
        work.allocated(target.nbytes)
    kernel = masked.product(out.dtype.name, rows, columns, r, pitch, groups, True, fits(weight, target))
    queue(kernel, tiles * slices, rows // r * columns // 4, blocks.lists, blocks.masks, examples, count, block, values,
          weight, target, slices, int(slices == 1), out.dtype.type(1))
    if slices > 1:
        for_each(masked.add_slices, out.size, slices, target, out)


def slices_for(tiles, windows):
    """Blocks of threads per tile: as many as fill the device twice, if there are enough windows for each."""
    return max(1, min(resident() // (4 * tiles), windows // 8))


def dw(values, x, blocks, out, keep, rate):
    """out (H, D) = keep · out + rate · valuesᵀ x. Rows of x and out are contiguous."""
    if not out.size:
        return
    if not x.size:
        if not keep:
            out[...] = 0
        return
    dtype, block, rate = x.dtype.name, values.shape[1], values.dtype.type(rate)
    if block < WIDE_BLOCK:
        rows, columns, r = MASKED[x.itemsize][1]
        kernel = masked.product(dtype, rows, columns, r, *masked.window(1), False, fits(x, out))
        tiles = math.ceil(len(out) / rows) * math.ceil(out.shape[1] / columns)
        queue(kernel, tiles, rows // r * columns // 4, blocks.lists, blocks.masks, *blocks.shape, block, values, x, out,
              1, int(keep), rate)
        return
    units, columns, depth, r = at_least(GRADIENT[x.itemsize], block)
    tiles = blocks.shape[1] * math.ceil(block / units) * math.ceil(out.shape[1] / columns)
    queue(tile.dw(dtype, units, columns, depth, r, fits(values, x, out)), tiles, units // r * columns // 4,
          blocks.lists, values, x, out, int(keep), rate)


def sdd_both(x, weight, blocks, x_blocks, values):
    """sdd for a packed x: its values (·, x_block) on x_blocks."""
    if values.size:
        threads, units = BOTH
        queue(both.sdd_both(x.dtype.name, threads, units), len(values), threads, blocks.lists, *blocks.shape,
              x_blocks.lists, x_blocks.shape[1], x, weight, values)


def dw_both(values, x, blocks, x_blocks, out, rate):
    """out (H, D) += rate · valuesᵀ x for a packed x: its values (·, x_block) on x_blocks."""
    if values.size and x.size:
        queue(both.dw_both, blocks.shape[1], BOTH[0], blocks.lists, *blocks.shape, values, x_blocks.lists,
              x_blocks.shape[1], x, out, values.dtype.type(rate))


def queue(kernel, tiles, threads, *arguments):
    """Queue a kernel whose blocks of threads divide `tiles` among them, at most as many as fill the device."""
    launch(kernel, max(1, min(tiles, resident())), threads, *arguments)
