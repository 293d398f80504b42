"""The products in their simplest form: one thread for each number of the result, and no shared memory.

`dispatch` has the same functions, which are faster because they keep tiles of results in registers:

    sdd   values[open] = x weightᵀ                  sparse = dense · dense, computed at open blocks only
    dsd   out += values weight                      dense = sparse · dense
    dw    out = keep · out + rate · valuesᵀ x       gradient of a weight

`*_both` are the same products for a packed x; their argument `x` is the array of its values. Each thread adds the terms
of its sums in order, so results do not depend on the number of threads.
"""

from numba import cuda

from . import layout
from .grid import for_each
from .jit import kernel


def sdd(x, weight, blocks, values):
    """values (B·G, block) = x weightᵀ at the open blocks."""
    for_each(sdd_kernel, values.size, blocks.lists, *blocks.shape, x, weight, values)


def dsd(values, weight, blocks, out):
    """out (B, D) += packed values times weight."""
    for_each(dsd_kernel, out.size, blocks.lists, *blocks.shape, values, weight, out)


def dw(values, x, blocks, out, keep, rate):
    """out (H, D) = keep · out + rate · valuesᵀ x."""
    for_each(dw_kernel, out.size, blocks.lists, *blocks.shape, values, x, out, keep, values.dtype.type(rate))


def sdd_both(x, weight, blocks, x_blocks, values):
    """sdd for a packed x, its values on x_blocks."""
    for_each(sdd_both_kernel, values.size, blocks.lists, *blocks.shape, x_blocks.lists, x_blocks.shape[1], x, weight,
           values)


def dsd_both(values, weight, blocks, x_blocks, out):
    """dsd at the open blocks of a packed x: out (B·G of x, block of x) += packed values times weight."""
    for_each(dsd_both_kernel, out.size, blocks.lists, *blocks.shape, x_blocks.lists, x_blocks.shape[1], values, weight,
           out)


def dw_both(values, x, blocks, x_blocks, out, rate):
    """out (H, D) += rate · valuesᵀ x for a packed x, its values on x_blocks."""
    for_each(dw_both_kernel, out.size, blocks.lists, *blocks.shape, values, x_blocks.lists, x_blocks.masks,
           x_blocks.shape[1], x, out, values.dtype.type(rate))


@kernel
def sdd_kernel(lists, examples, blocks, x, weight, values):
    """values[position, c] = x[example] · weight[unit c of the block]."""
    indptr = layout.heads(lists, examples, blocks)[0]
    indices, rows = layout.by_example(lists, examples, blocks)
    block, inputs = values.shape[1], x.shape[1]
    for item in range(cuda.grid(1), indptr[examples] * block, cuda.gridsize(1)):
        p, c = item // block, item % block
        i, unit = rows[p], indices[p] * block + c
        total = values.dtype.type(0)
        for d in range(inputs):
            total += x[i, d] * weight[unit, d]
        values[p, c] = total


@kernel
def dsd_kernel(lists, examples, blocks, values, weight, out):
    """out[example] += the sum over its open units of values · weight[unit]."""
    indptr = layout.heads(lists, examples, blocks)[0]
    indices = layout.by_example(lists, examples, blocks)[0]
    block, width = values.shape[1], out.shape[1]
    for item in range(cuda.grid(1), examples * width, cuda.gridsize(1)):
        i, d = item // width, item % width
        total = out[i, d]
        for p in range(indptr[i], indptr[i + 1]):
            for c in range(block):
                total += values[p, c] * weight[indices[p] * block + c, d]
        out[i, d] = total


@kernel
def dw_kernel(lists, examples, blocks, values, x, out, keep, rate):
    """out[unit] = keep · out[unit] + rate · the sum over examples of value · x[example]."""
    block_indptr = layout.heads(lists, examples, blocks)[1]
    entry_examples, positions = layout.by_block(lists, examples, blocks)
    block, width = values.shape[1], out.shape[1]
    for item in range(cuda.grid(1), blocks * block * width, cuda.gridsize(1)):
        unit, d = item // width, item % width
        j, c = unit // block, unit % block
        total = values.dtype.type(0)
        for e in range(block_indptr[j], block_indptr[j + 1]):
            total += values[positions[e], c] * x[entry_examples[e], d]
        out[unit, d] = out[unit, d] + rate * total if keep else rate * total


@kernel
def sdd_both_kernel(lists, examples, blocks, x_lists, x_blocks, x, weight, values):
    """Like sdd, for a packed x: the sums only have terms for its open blocks."""
    indptr = layout.heads(lists, examples, blocks)[0]
    indices, rows = layout.by_example(lists, examples, blocks)
    x_indptr = layout.heads(x_lists, examples, x_blocks)[0]
    x_indices = layout.by_example(x_lists, examples, x_blocks)[0]
    block, x_block = values.shape[1], x.shape[1]
    for item in range(cuda.grid(1), indptr[examples] * block, cuda.gridsize(1)):
        p, c = item // block, item % block
        i, unit = rows[p], indices[p] * block + c
        total = values.dtype.type(0)
        for q in range(x_indptr[i], x_indptr[i + 1]):
            for d in range(x_block):
                total += x[q, d] * weight[unit, x_indices[q] * x_block + d]
        values[p, c] = total


@kernel
def dsd_both_kernel(lists, examples, blocks, x_lists, x_blocks, values, weight, out):
    """Like dsd at the open blocks of a packed x: out[position of x] += ..."""
    indptr = layout.heads(lists, examples, blocks)[0]
    indices = layout.by_example(lists, examples, blocks)[0]
    x_indptr = layout.heads(x_lists, examples, x_blocks)[0]
    x_indices, x_rows = layout.by_example(x_lists, examples, x_blocks)
    block, x_block = values.shape[1], out.shape[1]
    for item in range(cuda.grid(1), x_indptr[examples] * x_block, cuda.gridsize(1)):
        q, d = item // x_block, item % x_block
        i, column = x_rows[q], x_indices[q] * x_block + d
        total = out[q, d]
        for p in range(indptr[i], indptr[i + 1]):
            for c in range(block):
                total += values[p, c] * weight[indices[p] * block + c, column]
        out[q, d] = total


@kernel
def dw_both_kernel(lists, examples, blocks, values, x_lists, x_masks, x_blocks, x, out, rate):
    """out[unit] += rate · the sum of value · x[example], over the examples that open both blocks."""
    block_indptr = layout.heads(lists, examples, blocks)[1]
    entry_examples, positions = layout.by_block(lists, examples, blocks)
    x_starts = layout.starts(x_lists, examples, x_blocks)[0]
    x_open = layout.bits(x_masks, examples, x_blocks)[0]
    block, x_block, width = values.shape[1], x.shape[1], out.shape[1]
    for item in range(cuda.grid(1), blocks * block * width, cuda.gridsize(1)):
        unit, column = item // width, item % width
        j, c = unit // block, unit % block
        k, d = column // x_block, column % x_block
        total = values.dtype.type(0)
        for e in range(block_indptr[j], block_indptr[j + 1]):
            i = entry_examples[e]
            if layout.is_open(x_open, examples, i, k):
                q = layout.position(x_starts, x_open, examples, i, k)
                total += values[positions[e], c] * x[q, d]
        out[unit, column] += rate * total
